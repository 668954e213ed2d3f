"""Decision: what shall be done about an address or network, until when, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from shield.detect.alert import Proof
from shield.errors import InputError
from shield.net import Network, Port

__all__ = [
    "BAN", "BY_HAND", "DECISION_KEYS", "EARNED", "LIMIT", "MAX_PORTS", "Change", "ChangeKind",
    "Decision", "read_ports",
]  # fmt: skip

BAN, LIMIT = "ban", "limit"
"""Types of decisions. A limit is for a single address that is trusted, or when an operator wants it."""

BY_HAND = ("manual", "import")
"""Scenarios of what an operator decided."""

EARNED = "the address has earned trust"
"""Reason for which an unproven ban is lifted; in a cluster the other nodes judge for themselves."""

MAX_PORTS = 4
"""Ports that one limit names; who attacks from more of them changes them at will."""

DECISION_KEYS = (
    "value",
    "scope",
    "type",
    "scenario",
    "origin",
    "proof",
    "time",
    "duration",
    "remaining",
    "repeats",
    "id",
    "reason",
    "ports",
)
"""Order of the keys in plain lines and lists for scripts: new ones are only ever added at the end."""


class Decision(NamedTuple):
    """A ban or limit of one address or network. A tuple: a joiner makes a million in some seconds."""

    network: Network
    scenario: str
    """Behaviour that led to it, or ``manual``, ``import``."""
    origin: str
    """Who decided: a node's name; ``cli`` or ``import`` for an operator's own."""
    proof: Proof
    """An unproven decision is short and lives in a capped table of its own."""
    time: float
    """Wall time of the decision, seconds since the epoch."""
    until: float
    """Node time (the monotonic ``now`` of this node) at which it ends."""
    duration: float
    """Seconds from the decision to its end."""
    id: str
    """Unique across nodes: origin, a counter and the time it was made."""
    reason: str = ""
    """One line for people."""
    type: str = BAN
    """``ban``: nothing passes. ``limit``: what comes from ``ports`` is dropped, or without ports what
    goes beyond a rate; detection goes on reading the rest."""
    repeats: int = 0
    """Earlier bans of the same value that led to this duration (ban escalation)."""
    ports: tuple[Port, ...] = ()
    """Of a limit: the ports of a culprit behind a NAT, at most MAX_PORTS; empty: the whole address."""

    @property
    def value(self) -> str:
        """Text of the address or network."""
        return str(self.network)

    @property
    def scope(self) -> str:
        """``ip`` or ``range``."""
        return "ip" if self.network.is_host else "range"

    def remaining(self, now: float) -> float:
        """Seconds left at node time ``now``, never negative."""
        return max(0.0, self.until - now)

    def extended(self, until: float, duration: float) -> Decision:
        """Return a copy that ends later."""
        return self._replace(until=until, duration=duration)

    def as_json(self, now: float) -> dict[str, Any]:
        """Return the one shape in which a decision is shown everywhere (CLI, export, control socket)."""
        return {
            "id": self.id,
            "value": self.value,
            "scope": self.scope,
            "type": self.type,
            "scenario": self.scenario,
            "origin": self.origin,
            "proof": self.proof.value,
            "time": round(self.time, 6),
            "duration": round(self.duration, 3),
            "remaining": round(self.remaining(now), 3),
            "repeats": self.repeats,
            "reason": self.reason,
            "ports": " ".join(map(str, self.ports)),
        }


def read_ports(text: str) -> tuple[Port, ...]:
    """Read ports as ``as_json`` writes them; raises InputError."""
    words = text.split()
    if len(words) > MAX_PORTS:
        raise InputError(f"{len(words)} ports, at most {MAX_PORTS} can be limited")
    return tuple(map(Port.parse, words))


class ChangeKind(StrEnum):
    """What happened to a decision."""

    ADDED = "added"
    EXTENDED = "extended"
    """Its end moved: later, or earlier when the nodes agreed on that."""
    REMOVED = "removed"
    EXPIRED = "expired"
    EVICTED = "evicted"


class Change(NamedTuple):
    """One change of the blocklist; the firewall, the journal and the cluster follow these."""

    kind: ChangeKind
    decision: Decision
    reason: str = ""
    """Why it was removed: ``unban``, ``allowlist``, ``full`` ..."""
