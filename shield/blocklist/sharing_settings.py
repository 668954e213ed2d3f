"""Section ``[sharing]`` of the configuration: what this node takes from the others."""

from __future__ import annotations

from dataclasses import dataclass

from shield.durations import MAX_DURATION
from shield.errors import ConfigError

__all__ = ["SharingSettings"]


@dataclass(frozen=True, slots=True)
class SharingSettings:
    """What decisions of other nodes may do here.

    A node that was captured, or that went mad, must not be able to shut the telephony off: the own
    allowlist is asked first, and beyond these limits decisions are held until an operator releases them.
    """

    max_lifetime: float = 2_592_000.0
    """Seconds that a ban of another node lasts here at most."""
    min_prefix_v4: int = 16
    """Shortest IPv4 prefix length that another node may ban or allow, in bits."""
    min_prefix_v6: int = 32
    """Shortest IPv6 prefix length that another node may ban or allow, in bits."""
    rate: int = 200
    """New bans a second that one node may cause here for long. A node that a botnet scans finds some
    tens a second; one that went mad would find as many as it can send, 30,000."""
    burst: int = 20_000
    """New bans that one node may cause here at once before ``rate`` counts: an imported list fits."""
    max_bans: int = 100_000
    """Live bans of addresses that one node may have here: with two of three nodes gone mad the blocklist
    has still room for the third."""
    max_networks: int = 100
    """Live bans of networks that one node may have here: each may hold 65,536 addresses."""
    unproven_rate: int = 20
    """New unproven bans a second that one node may cause here for long, beside those of ``rate``: with
    five minutes for each some ``max_unproven`` are live then."""
    unproven_burst: int = 500
    """New unproven bans that one node may cause here at once before ``unproven_rate`` counts."""
    max_unproven: int = 5_000
    """Live unproven bans that one node may have here, and that this node tells the others: a tenth of
    what ``blocklist.max_unproven`` holds. 0 takes and tells none."""
    max_allow: int = 1_000
    """Allowlist entries that one node may have here."""
    quorum: int = 1
    """Nodes that must ban the same address before the others do. 1 believes each node; with 2 a single
    captured node can ban nobody elsewhere, and unproven bans hold where they were decided only. The
    node that decided bans at once in any case."""
    share_allow: bool = True
    """Whether allowlist entries made by ``shield allow`` on other nodes hold here. Entries of the
    configuration never leave their node."""

    def __post_init__(self) -> None:
        problems = []
        if not 60 <= self.max_lifetime <= MAX_DURATION:
            problems.append("sharing.max_lifetime: must be between 60 seconds and 10 years")
        for name, bits in (("min_prefix_v4", 32), ("min_prefix_v6", 128)):
            if not 0 <= getattr(self, name) <= bits:
                problems.append(f"sharing.{name}: must be between 0 and {bits}")
        problems += [
            f"sharing.{name}: must be between 1 and 1000000"
            for name in ("rate", "unproven_rate")
            if not 1 <= getattr(self, name) <= 1_000_000
        ]
        problems += [
            f"sharing.{name}: must be 0 or more"
            for name in (
                "burst",
                "max_bans",
                "max_networks",
                "unproven_burst",
                "max_unproven",
                "max_allow",
            )
            if getattr(self, name) < 0
        ]
        if not 1 <= self.quorum <= 64:
            problems.append("sharing.quorum: must be between 1 and 64")
        if problems:
            raise ConfigError(*problems)
