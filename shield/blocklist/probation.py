"""Probation: near the end of an unproven ban its packets are read again, so that the rules judge anew.

Packets that were skipped must not lengthen a ban: a forged one would then be renewed by the good traffic
of its victim. What is read can: a scan that goes on makes the next alert, which extends the ban (or
finds the proof that was missing), and a login or an answered call lifts it. The source is read to the
end that its ban had then, also when the first packet has extended it: one forged packet must not hide
all others.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from shield.blocklist.cache import DecisionCache
from shield.blocklist.decision import Decision
from shield.blocklist.guard import Guard
from shield.net import Network

__all__ = ["PART", "Probation"]

PART = 0.2
"""Part of the duration, the last one, in which packets are read: a minute of five. A flood that goes on
is read for a fourth of the time at most."""
STALE_SLACK = 4096
"""Entries of bans that ended otherwise that are tolerated before the order is built anew."""


class Probation:
    """Opens and closes ``guard`` for the hosts in ``cache``, the unproven ones, as time passes."""

    def __init__(self, guard: Guard, cache: DecisionCache) -> None:
        self._guard = guard
        self._cache = cache
        self._next: dict[bytes, float] = {}
        """Node time of the next turn of an address; what the order says beside it is stale."""
        self._order: list[tuple[float, bytes]] = []

    def begin(self, decision: Decision) -> None:
        """Follow a new unproven ban of a host; it may be extended without a word."""
        self._at(_opens(decision), decision.network.address)

    def end(self, address: bytes) -> None:
        """Follow no more: the ban is over, or proven."""
        self._next.pop(address, None)
        self._guard.close(address)

    def turn(self, now: float, limit: int) -> None:
        """Begin and end reading where it is time, ``limit`` addresses at most."""
        order, held = self._order, self._next
        for _ in range(limit):
            if not order or order[0][0] > now:
                return
            when, address = heappop(order)
            if held.get(address) != when:
                continue
            decision = self._cache.find(Network.host(address))
            if decision is None or decision.until <= now:
                del held[address]
                continue
            opens = _opens(decision)
            if opens > now:  # it was extended
                self._guard.close(address)
                self._at(opens, address)
            else:
                self._guard.open(address)
                self._at(decision.until, address)

    def _at(self, when: float, address: bytes) -> None:
        order = self._order
        if len(order) > 2 * len(self._next) + STALE_SLACK:
            order[:] = [(time, one) for one, time in self._next.items()]
            heapify(order)
        self._next[address] = when
        heappush(order, (when, address))


def _opens(decision: Decision) -> float:
    return decision.until - PART * decision.duration
