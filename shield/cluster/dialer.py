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
        wanted = {
            name: (name, member.record.addresses)
            for name, member in members.items()
            if name not in there and member.state is not MemberState.LEFT and member.record.addresses
        }
        found = [self._try(key, name, places, now) for key, (name, places) in wanted.items()]
        for key, address in self._seeds.items():
            if self._names.get(key) not in there and self._names.get(key) not in wanted:
                found.append(self._try(key, None, (address,), now))
        for key in [key for key in self._targets if key not in wanted and key not in self._seeds]:
            if not self._targets[key].dialing:
                del self._targets[key]
        return [attempt for attempt in found if attempt is not None]

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

    def _try(
        self, key: str, name: str | None, places: tuple[Address, ...], now: float
    ) -> Attempt | None:
        target = self._targets.get(key)
        if target is None:
            wait = GRACE_SECONDS if name is not None and name < self._own else 0.0
            target = self._targets[key] = _Target(now + wait)
        if target.dialing or target.due > now:
            return None
        target.dialing = True
        place = places[target.failures % len(places)]
        long = target.failures % 4 == 3
        return Attempt(key, name, place, LONG_CONNECT_SECONDS if long else CONNECT_SECONDS)
