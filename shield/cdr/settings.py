"""Section ``[cdr]`` of the configuration: call detail records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shield.errors import ConfigError

__all__ = ["CdrSettings", "Failed"]


class Failed(StrEnum):
    """Which calls that were never answered are reported."""

    NONE = "none"
    KNOWN = "known"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class CdrSettings:
    """Calls that this node sees are reported to the collectors of the cluster, which write them down."""

    report: bool = False
    """Follow calls here and report each to all collectors. Off by default: it says who called whom."""
    collect: bool = False
    """This node is a collector: it writes the calls of all nodes. With several each has all calls."""
    collectors: tuple[str, ...] = ()
    """Names of the nodes that may collect from this one; empty: every node that says it collects. What
    is reported waits for each that is named; another one has only the calls since it was first met."""
    failed: Failed = Failed.KNOWN
    """Unanswered calls: ``known`` are those with credentials and those that rang, so that a scan writes
    nothing; ``all`` or ``none``."""
    spool: str = "/var/lib/shield/cdr-spool.db"
    """What was reported and not yet confirmed by every collector."""
    max_spool: int = 1_000_000
    """Reports that wait at most, some 300 octets each; then the oldest are lost, which is counted."""
    ledger: str = "/var/lib/shield/cdr.db"
    """The journal of a collector (SQLite)."""
    keep: float = 7_776_000.0
    """Seconds that a call stays in the journal after its end (90 days)."""
    export: str = ""
    """Directory in which a collector writes finished calls as CSV and JSON lines; empty: none."""
    rotate_size: int = 104_857_600
    """Octets after which an export file is followed by a new one; each day has its own in any case."""
    keep_files: int = 0
    """Export files of each kind that are kept, the oldest go; 0 keeps all."""

    def __post_init__(self) -> None:
        problems = []
        if self.max_spool < 1_000:
            problems.append("cdr.max_spool: must be 1000 or more")
        if self.keep < 3_600:
            problems.append("cdr.keep: must be an hour or more")
        if self.rotate_size < 4_096:
            problems.append("cdr.rotate_size: must be 4096 or more")
        if self.keep_files < 0:
            problems.append("cdr.keep_files: must be 0 or more")
        if problems:
            raise ConfigError(*problems)
