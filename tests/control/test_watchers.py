"""Watchers: who watches gets what he asked for, and nobody is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from shield.control.watchers import QUEUE_EVENTS, Watchers

T = TypeVar("T")


def run(work: Awaitable[T]) -> T:
    async def main() -> T:
        async with asyncio.timeout(5):
            return await work

    return asyncio.run(main())


def test_only_wanted_events() -> None:
    """A watcher gets the events for which its condition holds, in their order."""

    async def work() -> list[int]:
        watchers = Watchers()
        watch = watchers.subscribe(lambda event: event["n"] % 2 == 1)
        for n in range(4):
            watchers.publish({"n": n})
        return [(await anext(watch))["n"], (await anext(watch))["n"]]

    assert run(work()) == [1, 3]


def test_slow_watcher_loses_counted_events() -> None:
    """A full queue loses the newest and counts them; another watcher loses nothing."""
    watchers = Watchers()
    slow = watchers.subscribe(lambda event: True)
    other = watchers.subscribe(lambda event: event["n"] < 3)
    for n in range(QUEUE_EVENTS + 5):
        watchers.publish({"n": n})
    assert watchers.dropped == 5
    assert slow.queue.qsize() == QUEUE_EVENTS
    assert other.queue.qsize() == 3


def test_leaving_ends_collection() -> None:
    """After aclose(), twice even, nothing is collected and the watchers are false again."""

    async def work() -> Watchers:
        watchers = Watchers()
        watch = watchers.subscribe(lambda event: True)
        assert watchers
        await watch.aclose()
        await watch.aclose()
        watchers.publish({})
        assert watch.queue.empty()
        return watchers

    assert not run(work())
