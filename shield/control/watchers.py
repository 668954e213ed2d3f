"""Watchers: clients that see alerts and changes as they happen (command ``watch``).

Each has a short queue. One that reads too slowly loses events and they are counted: the node
never waits for a terminal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

__all__ = ["Watch", "Watchers"]

QUEUE_EVENTS = 1000
"""Events that wait for one watcher: some seconds of a strong attack, about 1 MB."""

Event = dict[str, Any]


class Watch:
    """One subscription, from its making to ``aclose``; an async iterator of events."""

    def __init__(self, owner: Watchers, wanted: Callable[[Event], bool]) -> None:
        self.wanted = wanted
        self.queue: asyncio.Queue[Event] = asyncio.Queue(QUEUE_EVENTS)
        self._owner = owner

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        return await self.queue.get()

    async def aclose(self) -> None:
        """End the subscription; may be called twice."""
        self._owner.leave(self)


class Watchers:
    """All subscriptions. False while there are none, so that nobody builds events for nobody."""

    def __init__(self) -> None:
        self.events = 0
        """Events that were put into a queue."""
        self.dropped = 0
        """Events that a slow watcher did not get."""
        self._watches: set[Watch] = set()

    def __len__(self) -> int:
        return len(self._watches)

    def subscribe(self, wanted: Callable[[Event], bool]) -> Watch:
        """Begin to collect the events for which ``wanted`` holds."""
        watch = Watch(self, wanted)
        self._watches.add(watch)
        return watch

    def leave(self, watch: Watch) -> None:
        """Forget a subscription."""
        self._watches.discard(watch)

    def publish(self, event: Event) -> None:
        """Give an event to everybody who wants it; never waits."""
        for watch in self._watches:
            if not watch.wanted(event):
                continue
            try:
                watch.queue.put_nowait(event)
                self.events += 1
            except asyncio.QueueFull:
                self.dropped += 1
