"""RecentMap: a bounded map that forgets what was not written for a while.

Two plain dicts, ``young`` and ``old``. When ``young`` is full or its period is over, it becomes
``old`` and what was old is gone. This costs one look-up on the packet path, never walks the
table, and its memory has a ceiling whatever a flood of forged packets puts in.
"""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["RecentMap"]

K = TypeVar("K")
V = TypeVar("V")


class RecentMap(Generic[K, V]):
    """Holds entries for one to two ``period`` seconds, at most ``limit`` of them."""

    __slots__ = ("_half", "_period", "_turn", "dropped", "old", "young")

    def __init__(self, limit: int, period: float) -> None:
        self._half = max(1, limit // 2)
        self._period = period
        self._turn = 0.0
        self.young: dict[K, V] = {}
        self.old: dict[K, V] = {}
        self.dropped = 0
        """Entries forgotten before their time because the map was full."""

    def get(self, key: K) -> V | None:
        """Give the value, or None."""
        value = self.young.get(key)
        return value if value is not None else self.old.get(key)

    def put(self, key: K, value: V) -> None:
        """Set a value; it is young again."""
        if len(self.young) >= self._half:
            self.turn()
        self.young[key] = value

    def pop(self, key: K) -> V | None:
        """Take a value out; None when absent."""
        value = self.young.pop(key, None)
        older = self.old.pop(key, None)
        return value if value is not None else older

    def tick(self, time: float) -> None:
        """Let time pass; ``time`` in seconds on any clock that the caller keeps to."""
        if time >= self._turn:
            if self._turn:
                self._rotate()
            self._turn = time + self._period

    def turn(self) -> None:
        """Forget the older half now, as when the map is full."""
        self.dropped += len(self.old)
        self._rotate()

    def _rotate(self) -> None:
        self.old = self.young
        self.young = {}

    def __len__(self) -> int:
        return len(self.young) + len(self.old)
