"""Hooks: one queue for each target, so that a slow or broken one delays neither the node nor the others.

``offer`` never waits: what a full queue has no room for is dropped, the oldest first, and counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from shield.hooks.delivery import Delivery, RetryError, Sender
from shield.hooks.program import Runner
from shield.hooks.settings import HooksSettings
from shield.hooks.webhook import Poster

__all__ = ["Hooks"]

TEST_EVENT: Mapping[str, Any] = {
    "event": "compromised", "kind": "test", "id": "test", "account": "test", "realm": "example.com",
    "value": "192.0.2.66", "reason": "a test of the hooks: nothing has happened", "calls": [],
    "calls_total": 0,
}  # fmt: skip
"""What ``shield hooks test`` sends."""

_log = logging.getLogger("shield.hooks")


class _Stats:
    """Counters of one target."""

    def __init__(self) -> None:
        self.sent = self.failed = self.retried = self.dropped = 0
        self.last_error = ""

    def as_json(self) -> dict[str, Any]:
        """All counters."""
        return dict(vars(self))


class _Target:
    """A sender with its queue."""

    def __init__(self, sender: Sender, settings: HooksSettings) -> None:
        self.sender, self.settings = sender, settings
        self.queue: deque[Delivery] = deque()
        self.wake = asyncio.Event()
        self.stats = _Stats()

    def offer(self, delivery: Delivery) -> None:
        if len(self.queue) >= self.settings.queue:
            self.queue.popleft()
            self.stats.dropped += 1
        self.queue.append(delivery)
        self.wake.set()

    async def work(self) -> None:
        """Send what comes, one after the other; ``parallel`` of these run."""
        while True:
            while not self.queue:
                self.wake.clear()
                await self.wake.wait()
            await self._deliver(self.queue.popleft())

    async def _deliver(self, delivery: Delivery) -> None:
        """Send until it is taken, refused, or too old."""
        while True:
            try:
                await self.sender.send(delivery)
            except RetryError as error:
                wait = self._pause(delivery, error)
                if wait is None:
                    return
                await asyncio.sleep(wait)
                continue
            except Exception as error:  # noqa: BLE001 - one target must not end the node
                self._failed(str(error) or repr(error))
                return
            self.stats.sent += 1
            self.stats.last_error = ""
            return

    def _pause(self, delivery: Delivery, error: RetryError) -> float | None:
        """Seconds until the next try; None when the event is given up."""
        settings = self.settings
        wait = min(settings.retry_last, settings.retry_first * 2.0 ** min(delivery.tries, 30))
        wait = min(settings.retry_last, max(wait, error.after))
        delivery.tries += 1
        if time.time() + wait - delivery.at > settings.retry_time:
            self._failed(f"given up after {delivery.tries} tries: {error}")
            return None
        self.stats.retried += 1
        if str(error) != self.stats.last_error:
            self.stats.last_error = str(error)
            _log.warning("%s: %s; tried again", self.sender.name, error)
        return wait

    def _failed(self, text: str) -> None:
        self.stats.failed += 1
        if text != self.stats.last_error:
            _log.warning("%s: %s", self.sender.name, text)
        self.stats.last_error = text


class Hooks:
    """All targets of a node. Making it reads their files; raises ConfigError."""

    def __init__(self, settings: HooksSettings, node: str) -> None:
        self.node = node
        senders: list[Sender] = [Poster(hook) for hook in settings.webhook]
        senders += [Runner(program, settings.parallel) for program in settings.exec]
        self.targets = [_Target(sender, settings) for sender in senders]
        names = {name for sender in senders for name in sender.events}
        self.wanted = frozenset(_SOURCE[name] for name in names)
        """Events of the hub that somebody wants."""
        self._made = 0

    def offer(self, event: Mapping[str, Any]) -> None:
        """Queue an event (in the shape of ``watch``) for all that want it; never waits."""
        for name in _names(event):
            for target in self.targets:
                if name in target.sender.events:
                    target.offer(self._delivery(name, event))

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for target in self.targets:
                    for _ in range(target.sender.parallel):
                        group.create_task(target.work())
        finally:
            for target in self.targets:
                await target.sender.close()

    async def test(self) -> list[dict[str, Any]]:
        """Send a sample to each target, once; gives ``target``, ``ok`` and ``message`` of each."""

        async def one(target: _Target) -> dict[str, Any]:
            name = min(target.sender.events)
            try:
                said = await target.sender.send(self._delivery(name, {**TEST_EVENT, "event": name}))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
                return {"target": target.sender.name, "ok": False, "message": str(error) or repr(error)}
            return {"target": target.sender.name, "ok": True, "message": said}

        return list(await asyncio.gather(*map(one, self.targets)))

    def stats(self) -> dict[str, Any]:
        """Counters of each target, by name."""
        return {
            f"{number}: {target.sender.name}": {**target.stats.as_json(), "waiting": len(target.queue)}
            for number, target in enumerate(self.targets, 1)
        }

    def short(self) -> dict[str, Any]:
        """Sums for ``status``."""
        each = [target.stats for target in self.targets]
        return {
            "targets": len(each),
            "waiting": sum(len(target.queue) for target in self.targets),
            "sent": sum(stats.sent for stats in each),
            "failed": sum(stats.failed for stats in each),
            "dropped": sum(stats.dropped for stats in each),
        }

    def warnings(self) -> list[str]:
        """What an operator should know, one line each."""
        found = []
        for target in self.targets:
            name, stats = target.sender.name, target.stats
            if stats.last_error:
                found.append(f"hooks: {name}: {stats.last_error}")
            if stats.dropped:
                found.append(f"hooks: {name}: {stats.dropped:,} events were dropped (hooks.queue)")
        return found

    def _delivery(self, name: str, event: Mapping[str, Any]) -> Delivery:
        self._made += 1
        return Delivery(self.node, self._made, name, event, time.time())


_SOURCE = {
    "compromised": "compromised", "alert": "alert", "flood": "alert", "ban": "change", "unban": "change"
}  # fmt: skip
"""Event of a target to that of the hub."""


def _names(event: Mapping[str, Any]) -> tuple[str, ...]:
    """Names under which targets know an event of the hub."""
    if event["event"] == "alert":
        return ("alert", "flood") if event.get("kind") == "flood" else ("alert",)
    if event["event"] == "change":
        return ("ban",) if event.get("change") in ("added", "extended") else ("unban",)
    return (str(event["event"]),)
