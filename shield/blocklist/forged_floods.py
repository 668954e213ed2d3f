"""ForgedFloods: floods of forged sources that no single node can see.

Somebody who writes other people's addresses on his packets sends a few to each node of a cluster, so
that none of them notices. All nodes hear of the bans: many addresses with a message or two each, accused
of the same within some seconds, are forged, and bans of these are not taken for a while.

An address counts at the moment when its ban was decided, in node time of this node (its end less its
duration, so no clock of another node matters): what a joiner hears at once, and what comes late, was not
decided at once.
"""

from __future__ import annotations

from shield.blocklist.floods import FEW_MESSAGES
from shield.blocklist.policy import Policy
from shield.net import Network
from shield.sip.recent import RecentMap

__all__ = ["ForgedFloods"]

MAX_SLOTS = 4_096
"""Half seconds of ``hold_time`` and scenarios that are remembered; each has ``flood_sources`` addresses
and one. The names of scenarios are the choice of who sends them."""
MAX_FLOODS = 64
"""Scenarios whose floods are remembered; the oldest goes. There are fewer rules."""


class ForgedFloods:
    """Counts unproven bans of all nodes; the numbers are those of the policy's own brake."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._slots: RecentMap[tuple[str, int], dict[Network, None]] = RecentMap(MAX_SLOTS, 600.0)
        self._floods: dict[str, tuple[float, float]] = {}
        """By scenario: node times between which what was decided is forged."""
        self._time = 0.0
        self.seen = 0
        """Floods since the start."""

    def note(self, scenario: str, network: Network, decided: float, messages: int) -> list[Network]:
        """Count one ban; gives the addresses of a flood when it has just shown itself."""
        if messages > FEW_MESSAGES:
            return []
        settings = self._policy.settings
        half = settings.hold_time / 2
        slot = int(decided // half)
        here = self._slots.get((scenario, slot))
        if here is None:
            here = {}
            self._slots.put((scenario, slot), here)
        if len(here) <= settings.flood_sources:
            here[network] = None
        for first in (slot - 1, slot):
            together = {
                **(self._slots.get((scenario, first)) or {}),
                **(self._slots.get((scenario, first + 1)) or {}),
            }
            if len(together) > settings.flood_sources:
                known = self.flooded(scenario, decided, messages)
                self._mark(scenario, first * half, decided + settings.flood_time, known=known)
                return [] if known else list(together)
        return []

    def flooded(self, scenario: str, decided: float, messages: int) -> bool:
        """Whether a ban is part of a flood."""
        since, until = self._floods.get(scenario, (0.0, 0.0))
        return since <= decided < until and messages <= FEW_MESSAGES

    def tick(self, now: float) -> None:
        """Let node time pass."""
        self._time = now
        self._slots.tick(now)

    def going_on(self) -> list[str]:
        """Scenarios whose bans are not taken at the moment."""
        return [name for name, (_, until) in self._floods.items() if until > self._time]

    def _mark(self, scenario: str, since: float, until: float, *, known: bool) -> None:
        before = self._floods.pop(scenario, None)
        if known and before is not None:
            since, until = min(since, before[0]), max(until, before[1])
        else:
            self.seen += 1
        self._floods[scenario] = since, until
        if len(self._floods) > MAX_FLOODS:
            del self._floods[next(iter(self._floods))]
