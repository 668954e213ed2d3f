"""FeedStats: what the Feed did, for status and metrics."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["FeedStats"]


@dataclass
class FeedStats:
    """Counters since the start, and the last things that went wrong."""

    elements: int = 0
    "Hosts, networks and parts of limits that the kernel shall hold."
    limits: int = 0
    "Addresses that are limited and not banned."
    pending: int = 0
    "Of these and of deletions, how many are not in the kernel yet."
    commits: int = 0
    "Commits that the kernel took."
    failed: int = 0
    "Commits, set-ups and inspections that failed."
    retried: int = 0
    "Commits tried after a failed one."
    inspections: int = 0
    "Comparisons with the kernel."
    rebuilt: int = 0
    "Times that table, sets or rules were made again after somebody changed them."
    repaired: int = 0
    "Elements put in again after somebody took them out or changed them."
    foreign: int = 0
    "Elements in our sets that were nobody's decision and were taken out."
    failing: bool = False
    "The last try of anything failed."
    last_error: str = ""
    "Text of the last failure."
    last_error_time: float | None = None
    "Node time of the last failure."
    last_repair: str = ""
    "Text of the last repair."
    last_repair_time: float | None = None
    "Node time of the last repair."

    def as_json(self) -> dict[str, Any]:
        """Give all fields by name."""
        return asdict(self)
