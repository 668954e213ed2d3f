"""Expiry: which keys end when, in slots of one second.

A heap of a million ends costs more memory than the entries themselves; a list for each second costs
one pointer a key. A key may stand in several slots (it was written again): who asks looks at its entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from shield.cluster.entry import Written

__all__ = ["Expiry"]


class Expiry:
    """Keys by the second in which they end; ``noted`` counts notes, also of entries since replaced."""

    def __init__(self) -> None:
        self._slots: dict[int, list[bytes]] = {}
        self._order: list[int] = []
        self.noted = 0

    def note(self, written: Iterable[Written]) -> None:
        """Note the ends of entries."""
        slots, noted = self._slots, 0
        for key, (_, _, until, _, _), _ in written:
            noted += 1
            second = int(until)
            slot = slots.get(second)
            if slot is None:
                slots[second] = [key]
                heappush(self._order, second)
            else:
                slot.append(key)
        self.noted += noted

    def due(self, now: float, limit: int) -> list[bytes]:
        """Take out and return at most ``limit`` keys whose second is over at node time ``now``."""
        due: list[bytes] = []
        present = int(now)
        while self._order and self._order[0] < present and len(due) < limit:
            slot = self._slots[self._order[0]]
            room = limit - len(due)
            due += slot[-room:]
            del slot[-room:]
            if not slot:
                del self._slots[heappop(self._order)]
        self.noted -= len(due)
        return due

    def clear(self) -> None:
        """Forget all notes."""
        self._slots.clear()
        self._order.clear()
        self.noted = 0
