"""Campaigns: which accused sources run the same program, told by the shape of its requests."""

from __future__ import annotations

from shield.sip.recent import RecentMap

__all__ = ["Campaigns"]

MAX_CAMPAIGNS = 4_096
MAX_SOURCES = 1_000
"""Sources of one campaign that are told apart; beyond, it is "1000", which says enough."""
CAMPAIGN_TIME = 86_400.0
"""Seconds that a silent campaign is remembered at least: botnets take their time."""


class Campaigns:
    """Accused sources by campaign; bounded in number and time."""

    def __init__(self) -> None:
        self._sources: RecentMap[bytes, set[bytes]] = RecentMap(MAX_CAMPAIGNS, CAMPAIGN_TIME)

    def accused(self, campaign: bytes, source: bytes) -> int:
        """Note an accused source; gives how many there are of its campaign."""
        found = self._sources.get(campaign)
        if found is None:
            found = set()
        self._sources.put(campaign, found)
        if len(found) < MAX_SOURCES:
            found.add(source)
        return len(found)

    def tick(self, time: float) -> None:
        """Let event time pass."""
        self._sources.tick(time)
