"""Events of the cluster: what happened to members and links, for people and programs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Event", "Events"]

MAX_EVENTS = 1000
"""Events kept: a day of a calm cluster, an hour of a bad one."""


class Event(NamedTuple):
    """Something that an operator may want to know."""

    wall: float
    """Seconds since the epoch."""
    kind: str
    """``member``, ``link``, ``revoked``, ``overflow``, ``refused``, ``warning`` ..."""
    node: str
    text: str

    def as_json(self) -> dict[str, Any]:
        """The event as it is shown everywhere."""
        return {"time": round(self.wall, 3), "kind": self.kind, "node": self.node, "text": self.text}


class Events:
    """The latest events, and who follows them."""

    def __init__(self) -> None:
        self._kept: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._new: deque[Event] = deque(maxlen=MAX_EVENTS)
        self.follow: Callable[[Event], None] = lambda _event: None
        """Called with each event."""

    def add(self, wall: float, kind: str, node: str, text: str) -> None:
        """Something happened."""
        # Texts of peers are among it, and it goes to logs and terminals.
        event = Event(wall, kind, node, "".join(c if c.isprintable() else "?" for c in text))
        self._kept.append(event)
        self._new.append(event)
        self.follow(event)

    def next_event(self) -> Event | None:
        """Give the oldest event that was not given yet, for who would rather ask than be called."""
        return self._new.popleft() if self._new else None

    def latest(self, limit: int = MAX_EVENTS) -> list[Event]:
        """The latest events, oldest first."""
        return list(self._kept)[-limit:]
