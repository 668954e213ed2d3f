"""Outbox: what waits to be published, within a budget; what concerns the cluster itself goes first.

Parcels are signed when they leave, so that their numbers are in the order of their way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from shield.cluster.messages import Data

__all__ = ["Item", "Outbox"]

MAX_URGENT = 20_000
"""Messages of the cluster itself that may wait, a kilobyte each: greetings of hundreds of nodes."""


class Item(NamedTuple):
    """Something to be published."""

    subject: str
    node: str
    """For whom; empty for everybody."""
    content: Data | bytes
    """A message to be signed, or a payload as it is."""
    size: int
    """Octets, about."""
    started: int | None = None
    """Incarnation of the node; None for what its record says."""


class Outbox:
    """Two queues. ``budget``: octets of messages of capabilities that may wait."""

    def __init__(self, budget: int) -> None:
        self.waiting = 0
        """Octets of messages of capabilities."""
        self.dropped = 0
        """Messages that were not taken."""
        self.lost = False
        """Some were not taken since the last look."""
        self._budget = budget
        self._urgent: deque[Item] = deque()
        self._messages: deque[Item] = deque()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._messages)

    def add_urgent(self, item: Item) -> None:
        """Take what concerns the cluster itself; without room it is counted, and said again later."""
        if len(self._urgent) >= MAX_URGENT:
            self.dropped += 1
        else:
            self._urgent.append(item)

    def add(self, items: Sequence[Item]) -> bool:
        """Take one message, perhaps in parts: all of them, or False when too much waits."""
        size = sum(item.size for item in items)
        if self.waiting + size > self._budget:
            self.dropped += 1
            self.lost = True
            return False
        self._messages.extend(items)
        self.waiting += size
        return True

    def next_item(self) -> Item | None:
        """Give what is published next."""
        if self._urgent:
            return self._urgent.popleft()
        if not self._messages:
            return None
        item = self._messages.popleft()
        self.waiting -= item.size
        return item

    def clear(self) -> None:
        """Forget all: there is no connection, and what is old by then is told anew or compared."""
        self._urgent.clear()
        self._messages.clear()
        self.waiting = 0
