"""Parcels: messages that do not come over a connection of their origin, signed by it, each taken once.

Over others (``PeerCore``) or over a server (``NatsCore``): who hands a parcel on needs no trust. It can
drop it, but not change, forge or repeat it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from shield.cluster.identity import Identity
from shield.cluster.member import Member
from shield.cluster.membership import Membership
from shield.cluster.messages import MAX_TEXT, Data, Routed
from shield.cluster.routing import MAX_HOPS
from shield.errors import RemoteError
from shield.wire import pack_value, unpack_value

__all__ = ["WINDOW", "Parcel", "Parcels", "Seen"]

WINDOW = 4096
"""Sequence numbers of one origin that are remembered, to take each parcel once."""


class Parcel(NamedTuple):
    """A message of a capability from one member to another, signed by its origin."""

    origin: str
    incarnation: int
    sequence: int
    destination: str
    capability: str
    kind: int
    tag: int
    body: Any
    destination_incarnation: int
    """That of the destination's present start: an old parcel means nothing to a later one."""

    def sign(self, identity: Identity) -> Routed:
        """Pack and sign it for its way."""
        body = pack_value(self)
        return Routed(MAX_HOPS, body, identity.sign(body))

    @classmethod
    def read(cls, routed: Routed) -> Parcel:
        """Check the shape, not the signature, which is for the destination; raises RemoteError."""
        values = unpack_value(routed.body)
        if type(values) is not tuple or len(values) < len(cls._fields):
            raise RemoteError("shape", "parcel")
        parcel = cls(*values[: len(cls._fields)])
        texts = (parcel.origin, parcel.destination, parcel.capability)
        started = parcel.destination_incarnation
        numbers = (parcel.incarnation, parcel.sequence, parcel.kind, parcel.tag, started)
        if not all(type(text) is str and len(text) <= MAX_TEXT for text in texts) or not all(
            type(number) is int and 0 <= number < 1 << 63 for number in numbers
        ):
            raise RemoteError("shape", "parcel")
        return parcel


class Seen:
    """Which parcels of one origin were taken: each once, none of an earlier start."""

    __slots__ = ("_bits", "_highest", "_incarnation")

    def __init__(self) -> None:
        self._incarnation = 0
        self._highest = 0
        self._bits = 0

    def begin(self, incarnation: int, sequence: int) -> None:
        """Count as taken all that this start of the origin has sent up to a number."""
        self._incarnation, self._highest, self._bits = incarnation, sequence, (1 << WINDOW) - 1

    def taken(self, incarnation: int, sequence: int) -> bool:
        """Whether this one was taken, or is too old to tell."""
        behind = self._highest - sequence
        if incarnation != self._incarnation:
            return incarnation < self._incarnation
        return behind >= 0 and (behind >= WINDOW or bool(self._bits >> behind & 1))

    def first(self, incarnation: int, sequence: int) -> bool:
        """Whether this one is new; remembers it."""
        if self.taken(incarnation, sequence):
            return False
        if incarnation > self._incarnation:
            self._incarnation, self._highest, self._bits = incarnation, 0, 0
        ahead = sequence - self._highest
        if ahead > 0:
            self._highest = sequence
            self._bits = ((self._bits << ahead) | 1) & ((1 << WINDOW) - 1) if ahead < WINDOW else 1
            return True
        self._bits |= 1 << -ahead
        return True


class Parcels:
    """What one node signs, and which parcels of others it takes."""

    def __init__(self, membership: Membership) -> None:
        self.sequence = 0
        """Of the last parcel of this node."""
        self._seen: dict[str, Seen] = {}
        self._membership = membership

    def make(self, node: str, message: Data, started: int | None = None) -> Routed:
        """Sign a message for a node, or for everybody (an empty name).

        ``started``: incarnation of the node; None for what a member's record says.
        """
        membership = self._membership
        self.sequence += 1
        if started is None:
            started = membership.members[node].record.incarnation if node else 0
        parcel = Parcel(membership.name, membership.incarnation, self.sequence, node, *message, started)
        return parcel.sign(membership.identity)

    def open(self, parcel: Parcel, routed: Routed, by: str) -> Data:
        """Take a parcel for this node: proven, and new; raises RemoteError.

        ``by``: by whom it came, for people.
        """
        self.prove(parcel, routed, by)
        self.once(parcel)
        return Data(parcel.capability, parcel.kind, parcel.tag, parcel.body)

    def once(self, parcel: Parcel) -> None:
        """Remember a proven parcel to this start of this node; raises RemoteError("replayed")."""
        if parcel.destination_incarnation != self._membership.incarnation:
            raise RemoteError("replayed", parcel.origin)
        seen = self._seen.setdefault(parcel.origin, Seen())
        if not seen.first(parcel.incarnation, parcel.sequence):
            raise RemoteError("replayed", parcel.origin)

    def taken(self, parcel: Parcel) -> bool:
        """Whether a parcel is not new for sure, without looking who signed it."""
        if parcel.destination_incarnation != self._membership.incarnation:
            return True
        seen = self._seen.get(parcel.origin)
        return seen is not None and seen.taken(parcel.incarnation, parcel.sequence)

    def prove(self, parcel: Parcel, routed: Routed, by: str) -> Member:
        """Check that a member, in no earlier start than its last, signed it; raises RemoteError."""
        member = self._membership.members.get(parcel.origin)
        if member is None:
            raise RemoteError("unknown_sender", parcel.origin)
        if not member.certificate.verify(routed.signature, routed.body):
            raise RemoteError("forged_origin", f"a parcel of {parcel.origin} by way of {by}")
        if parcel.incarnation < member.record.incarnation:
            raise RemoteError("replayed", parcel.origin)
        return member
