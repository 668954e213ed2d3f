"""Routing: the cheapest way to each member.

Link state as in OSPF (RFC 2328): each member says who its neighbours are, and everybody computes. A
connection counts only when both ends name it, except our own, which we see ourselves.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import NamedTuple

from shield.cluster.member import Record

__all__ = ["LINK_COST", "MAX_HOPS", "Route", "routes"]

LINK_COST = 10
"""Cost of a direct connection; ``relay_cost`` comes on top for each node between."""

MAX_HOPS = 8
"""Nodes that a parcel may pass: sites in a chain, never a loop."""


class Route(NamedTuple):
    """The way to a member."""

    next_hop: str
    cost: int
    hops: int


def routes(own: str, links: Mapping[str, int], records: Mapping[str, Record]) -> dict[str, Route]:
    """Give the cheapest way to everybody who can be reached (Dijkstra).

    ``links``: our usable connections and their cost. ``records``: what the members say.
    """
    least = min(links.values(), default=0)
    direct = {name for name, cost in links.items() if cost == least}
    if direct >= records.keys() - {own}:  # as in every mesh without faults: there is no cheaper way
        return {name: Route(name, least, 1) for name in sorted(direct - {own})}
    searched = {name: dict(record.links) for name, record in records.items() if name not in direct}
    searched.pop(own, None)
    found: dict[str, Route] = {}
    best: dict[str, int] = {}
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
        for other, price in record.links:
            if other in searched and other not in found and name in searched[other]:
                step = cost + price + record.relay_cost
                if other not in best or step < best[other]:
                    best[other] = step
                    heapq.heappush(queue, (step, hops + 1, other, first))
    return found
