"""Parcels: messages that do not come over a connection of their origin, signed by it, each taken once.

Over others (``PeerCore``) or over a server (``NatsCore``): who hands a parcel on needs no trust. It can
drop it, but not change, forge or repeat it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from shield.cluster.identity import Identity
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

    def first(self, incarnation: int, sequence: int) -> bool:
        """Whether this one is new; remembers it."""
        if incarnation < self._incarnation:
            return False
        if incarnation > self._incarnation:
            self._incarnation, self._highest, self._bits = incarnation, 0, 0
        ahead = sequence - self._highest
        if ahead > 0:
            self._highest = sequence
            self._bits = ((self._bits << ahead) | 1) & ((1 << WINDOW) - 1) if ahead < WINDOW else 1
            return True
        if -ahead >= WINDOW or self._bits >> -ahead & 1:
            return False
        self._bits |= 1 << -ahead
        return True


class Parcels:
    """What one node signs, and which parcels of others it takes."""

    def __init__(self, membership: Membership) -> None:
        self.sequence = 0
        """Of the last parcel of this node."""
        self.seen: dict[str, Seen] = {}
        self._membership = membership

    def make(self, node: str, message: Data) -> Routed:
        """Sign a message for a member."""
        membership = self._membership
        self.sequence += 1
        started = membership.members[node].record.incarnation
        parcel = Parcel(membership.name, membership.incarnation, self.sequence, node, *message, started)
        return parcel.sign(membership.identity)

    def open(self, parcel: Parcel, routed: Routed, by: str) -> Data:
        """Check who signed a parcel for this node, and that it is new; raises RemoteError.

        ``by``: by whom it came, for people.
        """
        membership = self._membership
        member = membership.members.get(parcel.origin)
        if member is None:
            raise RemoteError("unknown_sender", parcel.origin)
        if not member.certificate.verify(routed.signature, routed.body):
            raise RemoteError("forged_origin", f"a parcel of {parcel.origin} by way of {by}")
        if (
            parcel.incarnation < member.record.incarnation
            or parcel.destination_incarnation != membership.incarnation
        ):
            raise RemoteError("replayed", parcel.origin)
        seen = self.seen.setdefault(parcel.origin, Seen())
        if not seen.first(parcel.incarnation, parcel.sequence):
            raise RemoteError("replayed", parcel.origin)
        return Data(parcel.capability, parcel.kind, parcel.tag, parcel.body)
