"""Member: a node of the cluster, what it says of itself, and its states.

A record is signed by the member that it is about, so it can be handed on by anybody and changed by
nobody. Of two records the one with the higher incarnation and sequence counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, NamedTuple

from shield.cluster.identity import Certificate, Identity
from shield.cluster.messages import MAX_CERTIFICATE, MAX_TEXT, MemberNews, are_addresses
from shield.cluster.settings import Address
from shield.errors import RemoteError
from shield.wire import pack_value, unpack_value

__all__ = ["TRANSITIONS", "Happening", "Member", "MemberState", "Record"]

MAX_LINKS = 256
"""Neighbours of one member: a full mesh is meant for about 64."""

NEWS_RATE = 10.0
NEWS_BURST = 300.0
"""Records of one member that are taken in a second, and at once: as many as it may have connections that
come up. Each is handed on by everybody to everybody, and all look for their ways anew."""

ENABLED = 1
LEAVING = 2
"""Flags of a record."""


class MemberState(StrEnum):
    """What is known of a member (words of memberlist)."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    """Out of reach since a moment."""
    DEAD = "dead"
    LEFT = "left"
    """It said goodbye."""


class Happening(Enum):
    """What changes the state of a member."""

    REACHED = "reached"
    LOST = "lost"
    TIMED_OUT = "timed out"
    LEFT = "left"


TRANSITIONS: dict[tuple[MemberState, Happening], MemberState] = {
    (MemberState.ALIVE, Happening.LOST): MemberState.SUSPECT,
    (MemberState.ALIVE, Happening.LEFT): MemberState.LEFT,
    (MemberState.SUSPECT, Happening.REACHED): MemberState.ALIVE,
    (MemberState.SUSPECT, Happening.TIMED_OUT): MemberState.DEAD,
    (MemberState.SUSPECT, Happening.LEFT): MemberState.LEFT,
    (MemberState.DEAD, Happening.REACHED): MemberState.ALIVE,
    (MemberState.DEAD, Happening.LEFT): MemberState.LEFT,
    (MemberState.LEFT, Happening.REACHED): MemberState.ALIVE,
}
"""The whole state machine; what is not here changes nothing."""


class Record(NamedTuple):
    """What a member says of itself."""

    name: str
    incarnation: int
    sequence: int
    certificate: bytes
    addresses: tuple[Address, ...]
    links: tuple[tuple[str, int], ...]
    """Its neighbours and what a message to each costs."""
    relay_cost: int
    flags: int
    software: str

    @property
    def version(self) -> tuple[int, int]:
        """Orders the records of one member."""
        return self.incarnation, self.sequence

    @property
    def enabled(self) -> bool:
        """Whether it takes part in the capabilities."""
        return bool(self.flags & ENABLED)

    @property
    def leaving(self) -> bool:
        """Whether this is its goodbye."""
        return bool(self.flags & LEAVING)

    def sign(self, identity: Identity) -> MemberNews:
        """Pack and sign it."""
        body = pack_value(self)
        return MemberNews(body, identity.sign(body))

    @classmethod
    def read(cls, news: MemberNews, authority: bytes) -> tuple[Record, Certificate]:
        """Check shape, certificate and signature; raises RemoteError."""
        record = cls.claimed(news)
        return record, record.proven(news, authority)

    @classmethod
    def claimed(cls, news: MemberNews) -> Record:
        """Check the shape only: nothing of it is true yet; raises RemoteError."""
        values = unpack_value(news.body)
        if type(values) is not tuple or len(values) < len(cls._fields):
            raise RemoteError("shape", "member record")
        record = cls(*values[: len(cls._fields)])
        if not record._sound():
            raise RemoteError("shape", "member record")
        return record

    def proven(self, news: MemberNews, authority: bytes) -> Certificate:
        """Check certificate and signature of the news that this is from; raises RemoteError."""
        certificate = Certificate.read(self.certificate, authority)
        if certificate.name != self.name:
            raise RemoteError("forged_origin", f"a record of {self.name} by {certificate.name}")
        if not certificate.verify(news.signature, news.body):
            raise RemoteError("forged_origin", f"a record of {self.name} with a wrong signature")
        return certificate

    def _sound(self) -> bool:
        numbers = (self.incarnation, self.sequence, self.relay_cost, self.flags)
        return (
            type(self.name) is str
            and 0 < len(self.name) <= MAX_TEXT
            and all(type(number) is int and 0 <= number < 1 << 63 for number in numbers)
            and type(self.certificate) is bytes
            and len(self.certificate) <= MAX_CERTIFICATE
            and are_addresses(self.addresses)
            and type(self.links) is tuple
            and len(self.links) <= MAX_LINKS
            and all(map(_is_link, self.links))
            and type(self.software) is str
            and len(self.software) <= MAX_TEXT
        )


def _is_link(value: Any) -> bool:
    return (
        type(value) is tuple
        and len(value) == 2
        and type(value[0]) is str
        and len(value[0]) <= MAX_TEXT
        and type(value[1]) is int
        and 0 < value[1] < 1 << 20
    )


@dataclass(slots=True, eq=False)
class Member:
    """One node as we know it. Only ``Membership`` changes it."""

    record: Record
    certificate: Certificate
    news: MemberNews
    """The signed record as it is handed on."""
    state: MemberState
    since: float
    """Node time of the last change of state."""
    changes: int = 0
    """How often the state changed."""
    tokens: float = NEWS_BURST
    heard: float = 0.0
    """Node time up to which tokens were given."""

    def hears(self, now: float) -> bool:
        """Take a token for one more record of this member; False when it has said too much lately."""
        self.tokens = min(NEWS_BURST, self.tokens + (now - self.heard) * NEWS_RATE)
        self.heard = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    @property
    def name(self) -> str:
        """Name of the node."""
        return self.record.name
