"""Delivery: one event on its way to one target, and how a target refuses it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Delivery", "RetryError", "Sender"]


class RetryError(Exception):
    """The target could not take it now; ``after``: it asked for so many seconds."""

    def __init__(self, text: str, after: float = 0.0) -> None:
        super().__init__(text)
        self.after = after


class Delivery:
    """One event on its way to one target."""

    __slots__ = ("at", "body", "event", "id", "tries", "values")

    def __init__(self, node: str, number: int, name: str, event: Mapping[str, Any], at: float) -> None:
        self.id = f"{node}-{int(at * 1000):x}-h{number:x}"
        self.event, self.at, self.tries = name, at, 0
        document = {"id": self.id, "event": name, "node": node, "at": round(at, 3), "data": event}
        self.body = json.dumps(document).encode()
        self.values = {
            "EVENT": name,
            "ID": self.id,
            "NODE": node,
            **{key.upper(): str(event[key]) for key in _NAMED if event.get(key) is not None},
        }
        """What programs find in their environment, behind ``SHIELD_``."""


_NAMED = ("kind", "value", "account", "realm", "scenario", "proof", "change", "duration", "reason")


class Sender(Protocol):
    """One target."""

    name: str
    events: frozenset[str]
    parallel: int

    async def send(self, delivery: Delivery) -> str:
        """Hand over one event; gives what the target said. RetryError: worth another try."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
