"""Presence: whom this node hears of over a server, whom it has met, and who is silent.

There are no connections between nodes: each gives signs of life to everybody. One that is heard for the
first time is only believed after it has answered this node's greeting: a parcel to this start of this
node cannot be an old one that somebody sends again, and what its origin says after it is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shield.cluster.member import Member
from shield.cluster.nats_wire import Place
from shield.cluster.parcels import Seen
from shield.cluster.routing import LINK_COST, Route

__all__ = ["Presence"]

LOST_SIGNS = 3
"""A node is out of reach when it has let so many signs of life pass."""

MAX_SILENCE = 60.0
"""Seconds that a node may ask others to wait for its next signs."""

FIRST_PAUSE = 1.0
MAX_PAUSE = 30.0
"""Seconds until a node is greeted again that does not answer; doubled each time."""

REPLY_PAUSE = 0.5
"""Seconds between two answers to the greetings of one node."""

MAX_GREETED = 2048
"""Names that greetings are remembered of: anybody can use any name in what is not proven yet."""

GREETINGS = 100
"""Greetings in one turn of the timers, a quarter of a second: a start of all nodes takes seconds. Half
of them are kept for members."""


@dataclass(slots=True)
class _Peer:
    """A node that we have met."""

    incarnation: int
    heard: float
    """Node time of its last sign."""
    patience: float
    """Seconds that it may be silent."""
    seen: dict[Place, Seen] = field(default_factory=dict)
    clock_offset: float | None = None
    refused: bool = False
    """It speaks no version of the protocol that we speak."""


@dataclass(slots=True)
class _Greeting:
    due: float
    pause: float
    replied: float = float("-inf")


class Presence:
    """A ``Reach`` by signs of life. ``patience``: seconds until a node has told its own interval."""

    def __init__(self, patience: float) -> None:
        self.connected = False
        """Whether this node itself is there."""
        self._patience = patience
        self._peers: dict[str, _Peer] = {}
        self._greeted: dict[str, _Greeting] = {}
        self._greetings = 0

    # --- Reach ------------------------------------------------------------------------------

    def links(self, members: Mapping[str, Member], now: float) -> Mapping[str, int]:  # noqa: ARG002
        """None: everybody reaches the server."""
        return {}

    def routes(self, members: Mapping[str, Member], now: float) -> dict[str, Route]:
        """Everybody whom we have met, and who is not silent."""
        if not self.connected:
            return {}
        found = {}
        for name, peer in self._peers.items():
            member = members.get(name)
            if (
                member is not None
                and peer.incarnation == member.record.incarnation
                and now - peer.heard <= peer.patience
                and not (member.record.leaving or peer.refused)
            ):
                found[name] = Route(name, LINK_COST, 1)
        return found

    def forget(self, name: str) -> None:
        """A member was removed."""
        self._peers.pop(name, None)
        self._greeted.pop(name, None)

    # --- meeting ----------------------------------------------------------------------------

    def met(self, name: str, incarnation: int) -> bool:
        """Whether we have met a node since its last start."""
        peer = self._peers.get(name)
        return peer is not None and peer.incarnation == incarnation

    def meet(self, name: str, incarnation: int, sequence: int, now: float) -> None:
        """A parcel to this very node proves that its origin is there now."""
        if self.met(name, incarnation):
            return
        peer = self._peers[name] = _Peer(incarnation, now, self._patience)
        for place in (Place.HERE, Place.ALL):
            peer.seen[place] = Seen()
            peer.seen[place].begin(incarnation, sequence)

    def refuse(self, name: str) -> None:
        """Do without a node until its next start."""
        self._peers[name].refused = True

    def refused(self, name: str) -> bool:
        """Whether we do without a node that we have met."""
        return self._peers[name].refused

    def taken(self, place: Place, name: str, incarnation: int, sequence: int) -> bool:
        """Whether what a node says to everybody is not new for sure, without looking who signed it."""
        peer = self._peers.get(name)
        return peer is not None and peer.seen[place].taken(incarnation, sequence)

    def first(self, place: Place, name: str, sequence: int) -> bool:
        """Whether what a node that we have met says to everybody is new; remembers it."""
        peer = self._peers[name]
        return peer.seen[place].first(peer.incarnation, sequence)

    def hear(self, name: str, now: float, interval: float | None = None) -> None:
        """A node gives a sign of life; ``interval``: seconds until its next one, if it says so."""
        peer = self._peers[name]
        peer.heard = now
        if interval is not None:
            peer.patience = min(max(LOST_SIGNS * interval, 0.3), MAX_SILENCE)

    # --- greetings --------------------------------------------------------------------------

    def next_turn(self) -> None:
        """The timers run: greetings are counted anew."""
        self._greetings = 0

    def may_greet(self, name: str, now: float, *, known: bool) -> bool:
        """Whether a node shall be greeted, that we hear and have not met; counts it."""
        greeting = self._greeting(name, now, known=known)
        most = GREETINGS if known else GREETINGS // 2
        if greeting is None or greeting.due > now or self._greetings >= most:
            return False
        self._greetings += 1
        greeting.due = now + greeting.pause
        greeting.pause = min(2 * greeting.pause, MAX_PAUSE)
        return True

    def may_reply(self, name: str, now: float, *, known: bool) -> bool:
        """Whether the greeting of a node shall be answered; counts it."""
        greeting = self._greeting(name, now, known=known)
        if greeting is None or now - greeting.replied < REPLY_PAUSE:
            return False
        greeting.replied = now
        return True

    def _greeting(self, name: str, now: float, *, known: bool) -> _Greeting | None:
        greeting = self._greeted.get(name)
        if greeting is None:
            if len(self._greeted) >= MAX_GREETED:
                self._greeted = {key: one for key, one in self._greeted.items() if one.due > now}
            if len(self._greeted) >= MAX_GREETED and not known:
                return None
            greeting = self._greeted[name] = _Greeting(now, FIRST_PAUSE)
        return greeting

    # --- for people -------------------------------------------------------------------------

    def clock_told(self, name: str, offset: float) -> None:
        """A node has told its wall clock, in seconds ahead of ours."""
        if peer := self._peers.get(name):
            peer.clock_offset = offset

    def as_json(self, name: str, now: float) -> dict[str, float | None]:
        """What is known of one node; nothing before we have met it."""
        peer = self._peers.get(name)
        if peer is None:
            return {}
        offset = peer.clock_offset
        return {
            "rtt": None,
            "clock_offset": None if offset is None else round(offset, 3),
            "waiting": 0,
            "silent": round(now - peer.heard, 3),
        }
