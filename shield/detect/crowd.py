"""Crowds: what many sources do to one target together, each of them below every limit of its own.

A crowd belongs to one target of one rule: an account, a number, a network. It counts different things
(guesses, users), and each thing belongs to the source that showed it first: a phone that moves from
address to address shows the same Call-ID everywhere and stays one source, however many addresses it has.
A source takes part with ``each`` things of its own.
"""

from __future__ import annotations

from struct import Struct

from shield.detect.shape import campaign_of
from shield.sip.message import Request
from shield.sip.recent import RecentMap

__all__ = ["Crowd", "Crowds", "Member"]

MAX_CROWDS = 65_536
"""Targets at a time; each costs 150 bytes until a second source comes."""
MAX_THINGS = 512
"""Things that one crowd remembers, the latest: more than any rule needs, and little to keep."""
MAX_ALL_THINGS = 100_000
"""Things in all crowds of a generation, about 30 MB. Who forges addresses makes one with each packet;
then the oldest crowds go."""
CROWD_TIME = 86_400.0
"""Seconds that a silent crowd is remembered at least: the longest ``find_time``."""


class Member:
    """One source in a crowd."""

    __slots__ = (
        "campaign", "proofs", "proven", "proven_alert", "quiet_until", "things", "time",
    )  # fmt: skip

    def __init__(self) -> None:
        self.things = 0
        self.proven = 0
        """How many of them prove the address."""
        self.proofs = 0
        self.time = 0.0
        """Event time of its last thing."""
        self.quiet_until = 0.0
        self.proven_alert = False
        self.campaign = b""
        """Of the first message that was at hand; empty of one who was alone with the target then."""


class Crowd:
    """The sources of one target, and what they showed within ``find_time``."""

    __slots__ = ("_things", "complete", "members", "proven", "proven_ready", "ready")

    def __init__(self) -> None:
        self._things: dict[int, tuple[bytes, float, bool]] = {}
        self.members: dict[bytes, Member] = {}
        self.ready = 0
        """Sources with enough things of their own."""
        self.proven = 0
        """Things that prove the address of their source."""
        self.proven_ready = 0
        """Sources with enough proven things."""
        self.complete = False
        """All that take part have been accused; from now on one by one."""

    def add(
        self, client: bytes, thing: int, time: float, proofs: int, proven: int, *, each: int,
        find_time: float,
    ) -> Member | None:  # fmt: skip
        """Count a thing; gives its source, or None when another source has shown it before."""
        self._expire(time - find_time, each)
        known = self._things.pop(thing, None)
        if known is not None and known[0] != client:
            self._things[thing] = known
            return None
        if len(self._things) >= MAX_THINGS:
            self._forget(next(iter(self._things)), each)
        member = self.members.get(client)
        if member is None:
            member = self.members[client] = Member()
        if known is None:
            member.things += 1
            self.ready += member.things == each
        if proven and not (known and known[2]):
            self.proven += 1
            member.proven += 1
            self.proven_ready += member.proven == each
        self._things[thing] = (client, time, bool(proven or (known and known[2])))
        member.time = max(member.time, time)
        member.proofs |= proofs
        return member

    def forgive(self, client: bytes, thing: int | None, each: int) -> None:
        """A success of this source: take the thing out, or all of its things."""
        found = [key for key, held in self._things.items() if held[0] == client and thing in (None, key)]
        for key in found:
            self._forget(key, each)

    def __len__(self) -> int:
        return len(self._things)

    def _expire(self, before: float, each: int) -> None:
        things = self._things
        while things:
            first = next(iter(things))
            if things[first][1] >= before:
                return
            self._forget(first, each)

    def _forget(self, thing: int, each: int) -> None:
        client, _, proven = self._things.pop(thing)
        member = self.members[client]
        self.ready -= member.things == each
        member.things -= 1
        if proven:
            self.proven_ready -= member.proven == each
            self.proven -= 1
            member.proven -= 1
        if not member.things:
            del self.members[client]


_single = Struct("qdBB")
"""Thing, time, proofs, whether they prove the source; its address follows."""


class Crowds:
    """All crowds by key; bounded in number, in things, and in time.

    Where one source is alone with a target only its latest thing is kept, as bytes: nothing can be
    complete before a second one comes, and of forged addresses each makes a target.
    """

    def __init__(self) -> None:
        self._crowds: RecentMap[int, Crowd | bytes] = RecentMap(MAX_CROWDS, CROWD_TIME)
        self._things = 0

    def add(
        self, key: int, client: bytes, thing: int, time: float, *, proofs: int, proven: bool,
        each: int, find_time: float, alone: bool, request: Request | None = None,
    ) -> tuple[Crowd, Member] | None:  # fmt: skip
        """Count a thing for a target; None when that cannot complete anything.

        ``alone``: one source is enough for this rule.
        """
        self._things += 1
        if self._things > MAX_ALL_THINGS:
            self._crowds.turn()
            self._things = 0
        crowd = self._crowds.get(key)
        if not isinstance(crowd, Crowd):
            if not alone and (crowd is None or crowd[_single.size :] == client):
                self._crowds.put(key, _single.pack(thing, time, proofs, proven) + client)
                return None
            first, crowd = crowd, Crowd()
            if first is not None:
                crowd.add(
                    first[_single.size :], *_single.unpack_from(first), each=each, find_time=find_time
                )
        self._crowds.put(key, crowd)
        member = crowd.add(client, thing, time, proofs, proven, each=each, find_time=find_time)
        if member is None:
            return None
        if not member.campaign:
            member.campaign = campaign_of(request) or b""
        return crowd, member

    def forgive(self, key: int, client: bytes, thing: int | None, each: int) -> None:
        """A success of this source at this target: take the thing, or all of its things, out again."""
        crowd = self._crowds.get(key)
        if isinstance(crowd, Crowd):
            crowd.forgive(client, thing, each)
        elif (
            crowd is not None
            and crowd[_single.size :] == client
            and thing in (None, _single.unpack_from(crowd)[0])
        ):
            self._crowds.pop(key)

    def tick(self, time: float) -> None:
        """Let event time pass."""
        self._crowds.tick(time)

    def __len__(self) -> int:
        return len(self._crowds)
