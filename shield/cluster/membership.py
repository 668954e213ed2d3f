"""Membership: who is in the cluster, in which state, and by which way each one is reached.

Every member signs a record of itself, and records are flooded. Who can be reached is found out by the
carrier (``Reach``). All changes of state are made here, by the table in ``member``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from shield.cluster.carrier import Reach
from shield.cluster.identity import Certificate, Identity
from shield.cluster.member import (
    ENABLED,
    LEAVING,
    TRANSITIONS,
    Happening,
    Member,
    MemberState,
    Record,
)
from shield.cluster.messages import MemberNews
from shield.cluster.routing import Route
from shield.cluster.settings import Address
from shield.errors import RemoteError

__all__ = ["MAX_MEMBERS", "Change", "Membership"]

MAX_MEMBERS = 1024
"""Members remembered, dead ones too; the mesh is meant for about 64."""

GATHER_SECONDS = 0.5
"""Between two records of this node that say only of more connections."""
GATHER_FROM = 8
"""Connections from which on they are gathered: in a small cluster there is nothing to gain."""


@dataclass(frozen=True, slots=True)
class Change:
    """A member's state changed."""

    member: Member
    before: MemberState | None
    """None for one that was not known."""


class Membership:
    """What one node knows of all others. Gives changes; does not send."""

    def __init__(
        self,
        identity: Identity,
        reach: Reach,
        *,
        incarnation: int,
        addresses: Iterable[Address],
        relay_cost: int,
        software: str,
        dead_after: float,
    ) -> None:
        self.identity = identity
        self.reach = reach
        self.incarnation = incarnation
        self.members: dict[str, Member] = {}
        """By name, without this node."""
        self.routes: dict[str, Route] = {}
        self.names_digest = _fingerprint(identity.name)
        """XOR of 8 octets of the name of each member, and of this node."""
        self.enabled = True
        self.leaving = False
        self.renamed = 0
        """How often somebody else's record with our name and a higher incarnation was met."""
        self.addresses = tuple(addresses)
        self._relay_cost = relay_cost
        self._software = software
        self._dead_after = dead_after
        self._sequence = 0
        self._said: Record | None = None
        self._said_at = float("-inf")
        self.news = self._sign(0.0)
        """Our own signed record, as it is now."""

    @property
    def name(self) -> str:
        """Name of this node."""
        return self.identity.name

    def certificate_of(self, name: str) -> Certificate | None:
        """Certificate of a node that is known, or of this one."""
        if name == self.name:
            return self.identity.own
        member = self.members.get(name)
        return None if member is None else member.certificate

    @property
    def record(self) -> Record:
        """What we say of ourselves."""
        assert self._said is not None
        return self._said

    # --- records ----------------------------------------------------------------------------

    def advertise(self, now: float) -> MemberNews | None:
        """Our record signed anew, if what it says has changed since the last call.

        When it says of one more of many connections and nothing else, it waits for GATHER_SECONDS after
        the last: where many nodes start, each has many that come up one after the other, and everybody
        must hear of them.
        """
        fresh, said = self._record(now), self.record
        if fresh[3:] == said[3:] and fresh[1] == said[1]:
            return None
        many = len(said.links) >= GATHER_FROM
        if many and now - self._said_at < GATHER_SECONDS and _more_links(said, fresh):
            return None  # the next tick asks again
        self._said_at = now
        self.news = self._sign(now)
        return self.news

    def accept(
        self, news: MemberNews, wall: float, revoked: Mapping[str, float], now: float
    ) -> list[Change] | None:
        """Take a member's record; gives the changes that follow, None when it is not news.

        Raises RemoteError for one that must not be believed.
        """
        record = Record.claimed(news)
        known = self.members.get(record.name)
        if known is not None and record.version <= known.record.version:
            return None  # as most that are handed on: not worth looking at its signature
        certificate = record.proven(news, self.identity.authority)
        if record.name == self.name:
            # From before our restart, with a clock that was ahead of ours: speak louder than it.
            if record.version > self.record.version and record.certificate:
                self.incarnation = max(self.incarnation, record.incarnation + 1)
                self.renamed += 1
            return None
        certificate.check(wall, revoked)
        if known is None:
            if len(self.members) >= MAX_MEMBERS:
                raise RemoteError("too_many_members", record.name)
            state = MemberState.LEFT if record.leaving else MemberState.DEAD
            self.names_digest ^= _fingerprint(record.name)
            fresh = self.members[record.name] = Member(record, certificate, news, state, now)
            changes = [change for change in self.recompute(now) if change.member is not fresh]
            return [*changes, Change(fresh, None)]
        if not known.hears(now):
            raise RemoteError("too_much_news", record.name)
        known.record, known.certificate, known.news = record, certificate, news
        changes = self._happens(known, Happening.LEFT, now) if record.leaving else []
        return changes + self.recompute(now)

    def remove(self, name: str) -> Member | None:
        """Forget a member, until it shows up again."""
        self.reach.forget(name)
        self.routes.pop(name, None)
        if name in self.members:
            self.names_digest ^= _fingerprint(name)
        return self.members.pop(name, None)

    # --- who can be reached -----------------------------------------------------------------

    def recompute(self, now: float) -> list[Change]:
        """Find the ways anew; gives the changes of state that follow."""
        self.routes = self.reach.routes(self.members, now)
        changes: list[Change] = []
        for name, member in self.members.items():
            if name not in self.routes:
                changes += self._happens(member, Happening.LOST, now)
            elif not member.record.leaving:
                changes += self._happens(member, Happening.REACHED, now)
        return changes

    def tick(self, now: float) -> list[Change]:
        """Let time pass: held connections are used again, suspects die."""
        changes = self.recompute(now)
        for member in self.members.values():
            if member.state is MemberState.SUSPECT and now - member.since >= self._dead_after:
                changes += self._happens(member, Happening.TIMED_OUT, now)
        return changes

    def reachable(self, name: str) -> bool:
        """Whether a message can get to a member that takes part."""
        member = self.members.get(name)
        return member is not None and name in self.routes and member.record.enabled

    def _happens(self, member: Member, happening: Happening, now: float) -> list[Change]:
        before = member.state
        after = TRANSITIONS.get((before, happening))
        if after is None:
            return []
        member.state, member.since = after, now
        member.changes += 1
        return [Change(member, before)]

    def _record(self, now: float) -> Record:
        flags = (ENABLED if self.enabled else 0) | (LEAVING if self.leaving else 0)
        return Record(
            self.name,
            self.incarnation,
            self._sequence,
            self.identity.certificate,
            self.addresses,
            tuple(sorted(self.reach.links(self.members, now).items())),
            self._relay_cost,
            flags,
            self._software,
        )

    def _sign(self, now: float) -> MemberNews:
        self._sequence += 1
        self._said = self._record(now)
        return self._said.sign(self.identity)


def _fingerprint(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def _more_links(old: Record, new: Record) -> bool:
    """Whether connections were added, and that is all."""
    added = new._replace(links=old.links, sequence=old.sequence) == old
    return added and set(old.links) <= set(new.links)
