"""Dialer: to whom a node connects, and when it tries again. Says so; the carrier connects.

Every two members want one connection. Both may dial; the one whose name comes first in the alphabet does
so at once and the other a little later, because only one of them may be reachable from the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from shield.cluster.member import Member, MemberState
from shield.cluster.settings import Address

__all__ = ["Attempt", "Dialer"]

GRACE_SECONDS = 1.0
"""How long the one with the later name waits to be dialed."""

QUICK_SECONDS = 0.25
"""Pause between tries while a member was there lately: a cut network shall heal at once."""

SLOW_SECONDS = 5.0
"""Pause between tries after SLOW_AFTER failures in a row."""
SLOW_AFTER = 240

CONNECT_SECONDS = 1.0
"""A try is given up after this time: when a cut network heals, a new try is quicker than the pause
of TCP, which doubles. Every fourth try gets LONG_CONNECT_SECONDS, for networks that are slow."""
LONG_CONNECT_SECONDS = 5.0

MAX_DIALING = 16
"""Tries under way. When a large cluster starts, all at once would keep all so busy that none succeeds;
when a network heals, half of a mesh of 64 is tried within some seconds."""


class Attempt(NamedTuple):
    """Somebody to connect to."""

    key: str
    """Name of the member, or ``host:port`` of a seed: what ``ended`` is told."""
    name: str | None
    """Who must answer; None when anybody of the cluster may (a seed)."""
    address: Address
    timeout: float


@dataclass(slots=True)
class _Target:
    due: float
    failures: int = 0
    dialing: bool = False
    problem: str = ""

    def ready(self, now: float) -> bool:
        """Whether it may be tried."""
        return not self.dialing and self.due <= now


class Dialer:
    """Keeps count of tries. ``own``: name of this node."""

    def __init__(self, own: str, seeds: Iterable[Address]) -> None:
        self._own = own
        self._seeds = {f"{host}:{port}": (host, port) for host, port in seeds}
        self._names: dict[str, str] = {}
        """Who answered at a seed's address."""
        self._targets: dict[str, _Target] = {}

    def due(self, members: Mapping[str, Member], linked: Iterable[str], now: float) -> list[Attempt]:
        """Give what to try now; each is under way until ``ended``."""
        there = {self._own, *linked}
        wanted: dict[str, tuple[str | None, tuple[Address, ...]]] = {
            name: (name, member.record.addresses)
            for name, member in members.items()
            if name not in there and member.state is not MemberState.LEFT and member.record.addresses
        }
        for key, address in self._seeds.items():
            if self._names.get(key) not in there and self._names.get(key) not in wanted:
                wanted[key] = None, (address,)
        for key in [key for key in self._targets if key not in wanted and key not in self._seeds]:
            if not self._targets[key].dialing:
                del self._targets[key]
        for key, (name, _) in wanted.items():
            if key not in self._targets:
                wait = GRACE_SECONDS if name is not None and name < self._own else 0.0
                self._targets[key] = _Target(now + wait)
        free = MAX_DIALING - sum(target.dialing for target in self._targets.values())
        ready = [key for key in wanted if self._targets[key].ready(now)]
        # Who has waited longest; of nodes that start together, each begins with another one.
        ready.sort(key=lambda key: (self._targets[key].due, key < self._own, key))
        return [self._try(key, *wanted[key]) for key in ready[: max(0, free)]]

    def ended(self, attempt: Attempt, name: str | None, problem: str, now: float) -> None:
        """A try is over: who answered (this node itself, perhaps), or why nobody did."""
        if attempt.name is None and name is not None:
            self._names[attempt.key] = name
        target = self._targets.get(attempt.key)
        if target is None:
            return
        target.dialing = False
        target.failures = 0 if name is not None else target.failures + 1
        target.problem = problem
        target.due = now + (SLOW_SECONDS if target.failures > SLOW_AFTER else QUICK_SECONDS)

    def problems(self) -> dict[str, str]:
        """Why each target that cannot be reached cannot."""
        return {key: target.problem for key, target in self._targets.items() if target.problem}

    def _try(self, key: str, name: str | None, places: tuple[Address, ...]) -> Attempt:
        target = self._targets[key]
        target.dialing = True
        place = places[target.failures % len(places)]
        long = target.failures % 4 == 3
        return Attempt(key, name, place, LONG_CONNECT_SECONDS if long else CONNECT_SECONDS)
