"""What sharing counts, and what it asks of the node around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from shield.blocklist.allowlist import AllowEntry
from shield.blocklist.decision import Change
from shield.net import Network

__all__ = ["Host", "SharingStats"]


class Host(Protocol):
    """What the changes of other nodes are handed to: the hub."""

    def take_shared(self, changes: Sequence[Change], now: float) -> None:
        """Hand on changes of the blocklist that must not be shared again."""
        ...

    def take_allowed(self, added: Sequence[AllowEntry], removed: Sequence[str], now: float) -> None:
        """Follow a changed allowlist: journal, bans that it ends, firewall."""
        ...

    def take_documents(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Keep alerts of other nodes."""
        ...

    def documents_of(self, network: Network) -> Sequence[Mapping[str, Any]]:
        """Alerts of this node about a network, newest first, as ``alert_document`` makes them."""
        ...


@dataclass(slots=True)
class SharingStats:
    """Counters since the start; those of the map say what was refused as malformed."""

    sent: int = 0
    """Records that this node wrote and told the others."""
    received: int = 0
    """Records in pushed messages."""
    merged: int = 0
    """Records of others that changed the map, pushed or by comparison; the rest was old or twice."""
    applied: int = 0
    """Changes of this blocklist that others caused."""
    alerts: int = 0
    """Alerts that came with decisions."""
    refused_alerts: int = 0
    unknown: int = 0
    """Records of kinds that this version does not know."""

    def as_json(self) -> dict[str, int]:
        """All counters by name."""
        return asdict(self)
