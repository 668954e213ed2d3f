"""What an operator may set about the blocklist, and what it counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["BlocklistSettings", "BlocklistStats"]


@dataclass(frozen=True)
class BlocklistSettings:
    """Section ``[blocklist]`` of the configuration."""

    max_decisions: int = 1_000_000
    """Number of proven decisions about single addresses. About 0.5 kB of memory each. When full, the
    one that ends soonest makes room."""
    max_unproven: int = 50_000
    """Number of unproven decisions about single addresses: an attacker who forges addresses chooses how
    many there are."""
    max_networks: int = 10_000
    """Number of proven decisions about networks. Kernel sets of networks are slow to change."""
    max_unproven_networks: int = 1_000
    """Number of unproven decisions about networks."""
    min_prefix_v4: int = 8
    """Shortest IPv4 prefix length that may be banned, in bits: a slip must not ban half the Internet."""
    min_prefix_v6: int = 16
    """Shortest IPv6 prefix length that may be banned, in bits."""


@dataclass(slots=True)
class BlocklistStats:
    """What happened since the start."""

    added: int = 0
    extended: int = 0
    removed: int = 0
    """Taken out by an unban or a changed allowlist."""
    expired: int = 0
    restored: int = 0
    """Brought back from the journal."""
    unchanged: int = 0
    """Decisions that a longer or stronger one already covered."""
    evicted_proven: int = 0
    evicted_unproven: int = 0
    refused_full: int = 0
    """The cache was full and the decision would have ended before all others in it."""
    refused_allowlisted: int = 0
    refused_ended: int = 0
    """It was over before it arrived."""
    refused_prefix: int = 0
    """Network too large, see ``min_prefix_v4`` and ``min_prefix_v6``."""

    def as_json(self) -> dict[str, int]:
        """All counters by name."""
        return asdict(self)
