"""Neighbours: our own connections to other members, which of them are used, and the ways they open."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from shield.cluster.member import MAX_LINKS, Member, Record
from shield.cluster.routing import LINK_COST, Route, routes

__all__ = ["Neighbours"]

FLAPS = 4
"""A neighbour whose connection came up so often within FLAP_SECONDS is held: it is used again when it
has been up for a while, longer each time, so that one bad cable does not keep all nodes busy."""
FLAP_SECONDS = 60.0
TOGETHER_SECONDS = 0.5
"""After a start both sides dial, and one of two connections replaces the other: it came up once."""
HOLD_SECONDS = 5.0
MAX_HOLD = 60.0


@dataclass(slots=True)
class _Neighbour:
    """Our own connection to another node."""

    up: bool = False
    ups: deque[float] = field(default_factory=lambda: deque(maxlen=64))
    held_until: float = 0.0


class Neighbours:
    """A ``Reach`` by link state: who can be got to over connections that work. ``own``: our name."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._neighbours: dict[str, _Neighbour] = {}
        self._asked: tuple[dict[str, int], dict[str, Record]] = {}, {}
        """Links and records from which the ways were found last."""
        self._routes: dict[str, Route] = {}

    def up(self, peer: str, now: float) -> None:
        """A connection to ``peer`` works; it is used unless it has flapped."""
        neighbour = self._neighbours.setdefault(peer, _Neighbour())
        neighbour.up = True
        if not neighbour.ups or now - neighbour.ups[-1] >= TOGETHER_SECONDS:
            neighbour.ups.append(now)
        flaps = sum(now - moment < FLAP_SECONDS for moment in neighbour.ups)
        if flaps > FLAPS:
            neighbour.held_until = now + min(HOLD_SECONDS * 2 ** (flaps - FLAPS - 1), MAX_HOLD)

    def down(self, peer: str) -> None:
        """The connection to ``peer`` is gone."""
        if neighbour := self._neighbours.get(peer):
            neighbour.up = False

    def held(self, peer: str, now: float) -> float:
        """Seconds that a connection is still held back because it flapped."""
        neighbour = self._neighbours.get(peer)
        return max(0.0, neighbour.held_until - now) if neighbour is not None else 0.0

    def links(self, members: Mapping[str, Member], now: float) -> dict[str, int]:
        """Our usable connections to members, and their cost."""
        found = {
            name: LINK_COST
            for name, neighbour in self._neighbours.items()
            if neighbour.up and neighbour.held_until <= now and name in members
        }
        return dict(list(found.items())[:MAX_LINKS])

    def routes(self, members: Mapping[str, Member], now: float) -> dict[str, Route]:
        """The cheapest way to each member that can be reached.

        Asked several times a second, and most times nothing has changed.
        """
        asked = self.links(members, now), {name: member.record for name, member in members.items()}
        if asked != self._asked:
            links, records = self._asked = asked
            found = routes(self._own, links, records)
            self._routes = {name: route for name, route in found.items() if name in records}
        return dict(self._routes)

    def forget(self, name: str) -> None:
        """A member was removed."""
        self._neighbours.pop(name, None)
