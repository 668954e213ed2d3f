"""Counters of rules: sliding windows, distinct values, leaky buckets and fading scores, on event time.

Each is bounded by the rule's own limits: to know whether N things happened within find_time, the last N
are enough. Things that prove the source address are counted a second time on their own, so that a proven
ban never rests on evidence that could be forged.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

__all__ = ["Bucket", "Counter", "Score", "Window"]

_entry = Struct("qd")
"""Key and time."""
_pack, _unpack_from = _entry.pack, _entry.unpack_from
_KEY, _SIZE = 8, _entry.size


class Window:
    """Counts distinct keys seen within ``find_time`` seconds; exact, at most ``limit`` keys kept.

    Keys are hashes, 16 bytes with their times: a suspect has some windows of ten. For plain counting the
    caller gives a new key each time.
    """

    __slots__ = ("_certain", "_seen", "proven_alert", "quiet_until", "total")

    def __init__(self) -> None:
        self._seen = b""
        """Entries, the latest last. As bytes they are searched and cut without an object for each."""
        self._certain = self._seen
        """The proven ones; the same bytes while all of them are."""
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
        entry, before, certain = _pack(key, time), self._seen, self._certain
        most = _SIZE * (limit if limit > keep else keep)  # noqa: FURB136 - no call for each message
        self._seen = seen = _added(before, entry, most)
        count = len(seen) // _SIZE
        if time - _unpack_from(seen)[1] > find_time:
            count = self.count(time, find_time)
        proofs = 0
        if proven and certain is before:
            self._certain, proofs = seen, count
        elif proven or certain:
            if proven:
                self._certain = _added(certain, entry, most)
            proofs = self.proven(time, find_time)
        if count > limit:
            return limit, min(proofs, limit)
        return count, proofs

    def add_first(self, key: int, time: float) -> None:
        """Take over a key that was counted elsewhere."""
        self._seen = _pack(key, time)

    def forgive(self, key: int) -> None:
        """Take a key out again: what it stood for turned out well."""
        entry = _pack(key, 0.0)[:_KEY]
        seen = _without(self._seen, entry)
        self._certain = seen if self._certain is self._seen else _without(self._certain, entry)
        self._seen = seen

    def count(self, time: float, find_time: float) -> int:
        """Keys within find_time before ``time``."""
        return sum(time - then <= find_time for _, then in _entry.iter_unpack(self._seen))

    def proven(self, time: float, find_time: float) -> int:
        """The same of proven keys."""
        return sum(time - then <= find_time for _, then in _entry.iter_unpack(self._certain))

    @property
    def kept(self) -> int:
        """Keys remembered, however old."""
        return len(self._seen) // _SIZE

    def entries(self) -> Iterator[tuple[int, float, bool]]:
        """Each key with its time and whether it is a proven one, in the order in which they came."""
        certain = {key for key, _ in _entry.iter_unpack(self._certain)}
        for key, time in _entry.iter_unpack(self._seen):
            yield key, time, key in certain


def _added(seen: bytes, entry: bytes, most: int) -> bytes:
    """The entries with one more as the latest, at most ``most`` bytes of them."""
    key = entry[:_KEY]
    if key in seen:
        seen = _without(seen, key)
    seen += entry
    return seen if len(seen) <= most else seen[-most:]


def _without(seen: bytes, key: bytes) -> bytes:
    """The entries but that of ``key``; its bytes may also stand where no key does."""
    at = seen.find(key)
    while at >= 0:
        if not at % _SIZE:
            return seen[:at] + seen[at + _SIZE :]
        at = seen.find(key, at + 1)
    return seen


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
