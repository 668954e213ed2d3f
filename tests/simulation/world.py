"""Time, places and processors of the simulation: events in order, delays by a seed, work that lasts.

Nothing here waits: time is a number that goes from event to event.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

__all__ = ["COSTS", "PLACES", "Costs", "Host", "Machine", "Places", "World"]

RETRANSMISSION = 0.2
"""Seconds until TCP sends a lost segment again (RFC 6298, Linux' least value), doubled each time."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of a processor, about as measured on two cores of 2.5 GHz."""

    handshake: float = 0.003
    """One side of a TLS handshake with certificates on both sides."""
    read: float = 0.00015
    """A piece read from one connection."""
    frame: float = 0.00002
    octet: float = 16e-9
    """Read and taken apart."""
    octet_out: float = 2e-9
    write: float = 0.0001
    """A piece written to one connection."""
    tick: float = 0.0002
    """A look at the timers."""


COSTS = Costs()


@dataclass(frozen=True, slots=True)
class Places:
    """Where nodes are: seconds of one way between regions, and how much of it varies."""

    name: str
    ways: tuple[tuple[float, ...], ...]
    jitter: float = 0.2
    loss: float = 0.0
    """Share of pieces whose first try is lost."""

    def delay(self, a: int, b: int, random: Random) -> float:
        """Seconds from node number ``a`` to ``b``; nodes are spread evenly over the regions."""
        way = self.ways[a % len(self.ways)][b % len(self.ways)] * (1 + random.random() * self.jitter)
        wait = RETRANSMISSION
        while self.loss and random.random() < self.loss:
            way, wait = way + wait, wait * 2
        return way


PLACES = {
    "loopback": Places("loopback", ((0.00003,),)),
    "rack": Places("rack", ((0.0001,),)),
    "regions": Places("regions", ((0.001, 0.02, 0.1), (0.02, 0.001, 0.1), (0.1, 0.1, 0.001))),
}
"""One machine; one rack; three regions, two near each other and one far away."""


class World:
    """The events to come. ``random`` is the only source of chance."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Have something done at a time, or now if it has passed."""
        self._order += 1
        heapq.heappush(self._events, (max(when, self.now), self._order, action))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self._step()
        self.now = end

    def until(self, done: Callable[[], bool], limit: float) -> float:
        """Let time pass until something is so; gives when it became so. Raises TimeoutError."""
        end = self.now + limit
        while not done():
            if not self._events or self._events[0][0] > end:
                raise TimeoutError(f"not within {limit:g} simulated seconds")
            self._step()
        return self.now

    def _step(self) -> None:
        self.now, _, action = heapq.heappop(self._events)
        action()


class Machine:
    """Processors that some nodes share."""

    def __init__(self, cores: int) -> None:
        self._free = [0.0] * cores

    def free_at(self) -> float:
        """When the next processor is free."""
        return self._free[0]

    def work(self, start: float, seconds: float) -> float:
        """Keep one processor busy; gives when that is done."""
        heapq.heapreplace(self._free, start + seconds)
        return start + seconds


class Host:
    """One node's event loop: does one thing after the other, each of which takes time."""

    def __init__(self, world: World, machine: Machine) -> None:
        self.world, self.machine = world, machine
        self._waiting: deque[Callable[[], float]] = deque()
        self._running = False
        self.busy = 0.0
        """Seconds of work so far."""

    def post(self, work: Callable[[], float]) -> None:
        """Have something done as soon as all before it is; it gives the seconds that it costs."""
        self._waiting.append(work)
        if not self._running:
            self._running = True
            self.world.at(self.machine.free_at(), self._step)

    def _step(self) -> None:
        if self.machine.free_at() > self.world.now:
            self.world.at(self.machine.free_at(), self._step)
            return
        seconds = self._waiting.popleft()()
        self.busy += seconds
        done = self.machine.work(self.world.now, seconds)
        if self._waiting:
            self.world.at(done, self._step)
        else:
            self._running = False
