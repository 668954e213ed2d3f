"""Routing: the cheapest way to each member, and parcels that travel over others.

Link state as in OSPF (RFC 2328): each member says who its neighbours are, and everybody computes. A
connection counts only when both ends name it, except our own, which we see ourselves.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any, NamedTuple

from shield.cluster.identity import Identity
from shield.cluster.member import Record
from shield.cluster.messages import MAX_TEXT, Routed
from shield.errors import RemoteError
from shield.wire import pack_value, unpack_value

__all__ = ["LINK_COST", "MAX_HOPS", "Parcel", "Route", "Seen", "routes"]

LINK_COST = 10
"""Cost of a direct connection; ``relay_cost`` comes on top for each node between."""

MAX_HOPS = 8
"""Nodes that a parcel may pass: sites in a chain, never a loop."""

WINDOW = 4096
"""Sequence numbers of one origin that are remembered, to take each parcel once."""


class Route(NamedTuple):
    """The way to a member."""

    next_hop: str
    cost: int
    hops: int


def routes(own: str, links: Mapping[str, int], records: Mapping[str, Record]) -> dict[str, Route]:
    """Give the cheapest way to everybody who can be reached (Dijkstra).

    ``links``: our usable connections and their cost. ``records``: what the members say.
    """
    neighbours: dict[str, dict[str, int]] = {
        name: dict(record.links) for name, record in records.items() if name != own
    }
    found: dict[str, Route] = {}
    queue = [(cost, 1, name, name) for name, cost in links.items()]
    heapq.heapify(queue)
    while queue:
        cost, hops, name, first = heapq.heappop(queue)
        if name in found or name == own:
            continue
        found[name] = Route(first, cost, hops)
        record = records.get(name)
        if record is None or hops > MAX_HOPS or not record.enabled:
            continue
        for other, price in neighbours[name].items():
            if other not in found and name in neighbours.get(other, ()):
                step = cost + price + record.relay_cost
                heapq.heappush(queue, (step, hops + 1, other, first))
    return found


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
