"""Counters of rules: sliding windows, distinct values, leaky buckets and fading scores, on event time.

Each is bounded by the rule's own limits: to know whether N things happened within find_time, the last N
are enough. Things that prove the source address are counted a second time on their own, so that a proven
ban never rests on evidence that could be forged.
"""

from __future__ import annotations

from array import array

__all__ = ["Bucket", "Counter", "Score", "Window"]


class _Latest:
    """The latest different things and when, 16 bytes for each: a suspect has some windows of ten."""

    __slots__ = ("keys", "times")

    def __init__(self) -> None:
        self.keys = array("q")
        self.times = array("d")

    def put(self, key: int, time: float, keep: int) -> None:
        keys, times = self.keys, self.times
        if key in keys:
            self.drop(key)
        keys.append(key)
        times.append(time)
        if len(keys) > keep:
            del keys[:-keep]
            del times[:-keep]

    def drop(self, key: int) -> None:
        at = self.keys.index(key)
        del self.keys[at]
        del self.times[at]

    def within(self, time: float, find_time: float) -> int:
        times = self.times
        if not times or time - times[0] <= find_time:
            return len(times)
        return sum(time - then <= find_time for then in times)


class Window:
    """Counts distinct keys seen within ``find_time`` seconds; exact, at most ``limit`` keys kept.

    Keys are hashes. For plain counting the caller gives a new key each time.
    """

    __slots__ = ("_proven", "_seen", "proven_alert", "quiet_until", "total")

    def __init__(self) -> None:
        self._seen = _Latest()
        self._proven: _Latest | None = None
        self.quiet_until = 0.0
        """No further alert before this event time."""
        self.proven_alert = False
        """The last alert was a proven one."""
        self.total = 0
        """Everything ever counted here."""

    def add(
        self, key: int, time: float, *, proven: bool, limit: int, find_time: float, keep: int = 0
    ) -> tuple[int, int]:
        """Count ``key``; gives how many keys (and how many proven ones) lie within find_time.

        Neither number goes above ``limit``. More than these are remembered when ``keep`` says so.
        """
        self.total += 1
        keep = max(keep, limit)
        self._seen.put(key, time, keep)
        if proven:
            if self._proven is None:
                self._proven = _Latest()
            self._proven.put(key, time, keep)
        count, proofs = self.counts(time, find_time)
        return min(count, limit), min(proofs, limit)

    def add_first(self, key: int, time: float) -> None:
        """Take over a key that was counted elsewhere."""
        self._seen.put(key, time, 1)

    def forgive(self, key: int) -> None:
        """Take a key out again: what it stood for turned out well."""
        for latest in (self._seen, self._proven):
            if latest is not None and key in latest.keys:
                latest.drop(key)

    def count(self, time: float, find_time: float) -> int:
        """Keys within find_time before ``time``."""
        return self._seen.within(time, find_time)

    def counts(self, time: float, find_time: float) -> tuple[int, int]:
        """Keys, and proven keys, within find_time before ``time``."""
        proven = self._proven
        return self._seen.within(time, find_time), proven.within(time, find_time) if proven else 0

    @property
    def kept(self) -> int:
        """Keys remembered, however old."""
        return len(self._seen.keys)


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
        self, key: int, time: float, *, proven: bool, limit: int, find_time: float, keep: int = 0
    ) -> tuple[int, int]:
        """Count one; gives the level (and that of proven ones) as whole numbers, at most ``limit``."""
        del key, keep
        self.total += 1
        if self._time:
            self._sink(max(0.0, time - self._time), limit, find_time)
        self._time = max(self._time, time)
        self._level = min(float(limit), self._level + 1.0)
        if proven:
            self._proven = min(float(limit), self._proven + 1.0)
        return int(self._level + 1e-9), int(self._proven + 1e-9)

    def _sink(self, passed: float, limit: int, find_time: float) -> None:
        leaked = passed * limit / find_time
        self._level = max(0.0, self._level - leaked)
        self._proven = max(0.0, self._proven - leaked)

    def forgive(self, key: int) -> None:
        """Let one drop out for a success."""
        del key
        self._level = max(0.0, self._level - 1.0)
        self._proven = max(0.0, self._proven - 1.0)

    def count(self, time: float, find_time: float) -> int:
        """Level now; the leak since the last thing is not applied."""
        del time, find_time
        return int(self._level + 1e-9)


class Score(Bucket):
    """Score that halves every find_time: what is slow but does not end adds up, what was once fades.

    The same memory for a minute as for a week. Steady things, one each ``gap``, add up to
    ``1 / (1 - 0.5 ** (gap / find_time))`` and never to more.
    """

    __slots__ = ()

    def _sink(self, passed: float, limit: int, find_time: float) -> None:
        del limit
        left = 0.5 ** (passed / find_time)
        self._level *= left
        self._proven *= left


Counter = Window | Bucket
