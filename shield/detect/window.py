"""Counters of rules: sliding windows, distinct values and leaky buckets, on event time.

Each is bounded by the rule's own ``max_retry``: to know whether N things happened within find_time,
the last N are enough. Things that prove the source address are counted a second time on their own,
so that a proven ban never rests on evidence that could be forged.
"""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["Bucket", "Window"]


class Window:
    """Counts distinct keys seen within ``find_time`` seconds; exact, at most ``limit`` keys kept.

    For plain counting the caller gives a new key each time.
    """

    __slots__ = ("_proven", "_seen", "proven_alert", "quiet_until", "total")

    def __init__(self) -> None:
        self._seen: dict[Hashable, float] = {}
        self._proven: dict[Hashable, float] | None = None
        self.quiet_until = 0.0
        """No further alert before this event time."""
        self.proven_alert = False
        """The last alert was a proven one."""
        self.total = 0
        """Everything ever counted here."""

    def add(
        self, key: Hashable, time: float, *, proven: bool, limit: int, find_time: float
    ) -> tuple[int, int]:
        """Count ``key``; gives how many keys (and how many proven ones) lie within find_time.

        Neither number goes above ``limit``.
        """
        self.total += 1
        count = _put(self._seen, key, time, limit, find_time)
        if not proven:
            return count, _within(self._proven, time, find_time) if self._proven else 0
        if self._proven is None:
            self._proven = {}
        return count, _put(self._proven, key, time, limit, find_time)

    def add_first(self, key: Hashable, time: float) -> None:
        """Take over a key that was counted elsewhere."""
        self._seen[key] = time

    def forgive(self, key: Hashable) -> None:
        """Take a key out again: what it stood for turned out well."""
        self._seen.pop(key, None)
        if self._proven is not None:
            self._proven.pop(key, None)

    def count(self, time: float, find_time: float) -> int:
        """Keys within find_time before ``time``."""
        return _within(self._seen, time, find_time)


def _put(seen: dict[Hashable, float], key: Hashable, time: float, limit: int, find_time: float) -> int:
    seen.pop(key, None)
    seen[key] = time
    while len(seen) > limit:
        del seen[next(iter(seen))]
    if time - seen[next(iter(seen))] <= find_time:
        return len(seen)
    return _within(seen, time, find_time)


def _within(seen: dict[Hashable, float], time: float, find_time: float) -> int:
    return sum(1 for then in seen.values() if time - then <= find_time)


class Bucket:
    """Leaky bucket: each thing adds one, ``limit`` of them leak out per find_time."""

    __slots__ = ("_level", "_proven", "_time", "proven_alert", "quiet_until", "total")

    def __init__(self) -> None:
        self._level = 0.0
        self._proven = 0.0
        self._time = 0.0
        self.quiet_until = 0.0
        self.proven_alert = False
        self.total = 0

    def add(
        self, key: Hashable, time: float, *, proven: bool, limit: int, find_time: float
    ) -> tuple[int, int]:
        """Count one; gives the level (and that of proven ones) as whole numbers, at most ``limit``."""
        del key
        self.total += 1
        leaked = max(0.0, time - self._time) * limit / find_time if self._time else 0.0
        self._time = max(self._time, time)
        self._level = min(float(limit), max(0.0, self._level - leaked) + 1.0)
        self._proven = max(0.0, self._proven - leaked)
        if proven:
            self._proven = min(float(limit), self._proven + 1.0)
        return int(self._level + 1e-9), int(self._proven + 1e-9)

    def forgive(self, key: Hashable) -> None:
        """Let one drop out for a success."""
        del key
        self._level = max(0.0, self._level - 1.0)
        self._proven = max(0.0, self._proven - 1.0)

    def count(self, time: float, find_time: float) -> int:
        """Level now; the leak since the last thing is not applied."""
        del time, find_time
        return int(self._level)
