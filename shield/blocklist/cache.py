"""DecisionCache: a bounded cachetools cache of decisions, each with its own lifetime.

Built on ``cachetools.Cache`` and its ``popitem`` hook, not on its TLRUCache: that one removes
everything that has expired within whichever call comes next, so a list of a million entries
imported as one batch stops the process for most of a second when it ends. Here expiry is asked
for in portions, and never happens inside another call.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

import cachetools

from shield.blocklist.decision import Decision
from shield.net import Network

__all__ = ["DecisionCache"]

STALE_SLACK = 4096
"""Heap entries without a decision (left by unbans) that are tolerated before the heap is rebuilt;
rebuilding costs in proportion to its size, so it waits until half of it is stale as well."""


class DecisionCache(cachetools.Cache[Network, Decision]):
    """At most ``maxsize`` decisions by network; a full cache evicts the one that ends soonest.

    Every network in the cache has at least one heap entry, at its end or earlier: an extension leaves
    the entry where it is, and it moves when it surfaces. So extending costs nothing and leaves nothing.
    """

    def __init__(self, maxsize: int) -> None:
        super().__init__(maxsize)
        self._order: list[tuple[float, Network]] = []
        self.evicted: list[Decision] = []
        """What ``popitem`` pushed out and nobody has fetched yet."""

    def put(self, decision: Decision) -> list[Decision] | None:
        """Store a decision; returns those evicted for it, or None when it was refused.

        A newcomer to a full cache is refused when it would itself be the one that ends soonest.
        """
        network = decision.network
        if network not in self:
            if len(self) >= self.maxsize:
                soonest = self.soonest()
                if soonest is None or decision.until <= soonest:  # None: there is room for nothing
                    return None
            self._push(decision)
        elif decision.until < self[network].until:
            self._push(decision)  # never later than the end: an earlier end needs its own entry
        self[network] = decision
        evicted, self.evicted = self.evicted, []
        return evicted

    def discard(self, network: Network) -> Decision | None:
        """Remove and return the decision of a network, if there is one."""
        decision = self.find(network)
        if decision is not None:
            del self[network]
        return decision

    def find(self, network: Network) -> Decision | None:
        """Return the decision of a network, expired or not."""
        return self.get(network)

    def popitem(self) -> tuple[Network, Decision]:
        """Evict the decision that ends soonest (called by cachetools when the cache is full)."""
        if self.soonest() is None:
            raise KeyError("the cache is empty")
        network = heappop(self._order)[1]
        decision = self[network]
        del self[network]
        self.evicted.append(decision)
        return network, decision

    def soonest(self) -> float | None:
        """Node time at which the first decision ends."""
        order = self._order
        while order:
            when, network = order[0]
            decision = self.find(network)
            if decision is None:
                heappop(order)
            elif decision.until > when:
                heappop(order)
                heappush(order, (decision.until, network))
            else:
                return when
        return None

    def pop_expired(self, now: float, limit: int) -> Iterator[Decision]:
        """Remove and yield decisions that have ended at ``now``; looks at ``limit`` entries at most."""
        order = self._order
        for _ in range(limit):
            if not order or order[0][0] > now:
                return
            _, network = heappop(order)
            decision = self.find(network)
            if decision is None:
                continue
            if decision.until > now:
                heappush(order, (decision.until, network))
                continue
            del self[network]
            yield decision

    def live(self, now: float) -> Iterator[Decision]:
        """Yield what has not ended, from a copy of the keys: the cache may change meanwhile."""
        for network in list(self):
            decision = self.find(network)
            if decision is not None and decision.until > now:
                yield decision

    def _push(self, decision: Decision) -> None:
        order = self._order
        if len(order) > 2 * len(self) + STALE_SLACK:
            order[:] = [(self[network].until, network) for network in self]
            heapify(order)
        heappush(order, (decision.until, decision.network))
