"""Floods: many new sources with one fingerprint at once are forged addresses, not many attackers."""

from __future__ import annotations

from shield.blocklist.policy_settings import PolicySettings
from shield.detect.alert import Alert
from shield.detect.window import Window

__all__ = ["FEW_MESSAGES", "Floods"]

FEW_MESSAGES = 5
"""A source with more requests than this is no stray packet of a forged flood."""


class Floods:
    """Counts new sources of each fingerprint, in event time."""

    def __init__(self) -> None:
        self.seen = 0
        """Floods since the start."""
        self._crowds: dict[str, Window] = {}
        self._until: dict[str, float] = {}

    def under_way(self, scenario: str, time: float) -> bool:
        """Whether unproven bans of a fingerprint have stopped at event time ``time``."""
        return self._until.get(scenario, 0.0) > time

    def note(self, alert: Alert, settings: PolicySettings) -> tuple[bool, bool]:
        """Count the source of an unproven alert: whether it is part of a flood, and shows one."""
        if not (alert.fingerprint or alert.sources > 1) or alert.messages > FEW_MESSAGES:
            return False, False
        name, time = alert.scenario, alert.time
        limit = settings.flood_sources + 1
        sources, _ = self._crowds.setdefault(name, Window()).add(
            hash(alert.source), time, proven=False, limit=limit, find_time=settings.hold_time
        )
        full = sources >= limit
        if full:
            self.seen += not self.under_way(name, time)
            self._until[name] = time + settings.flood_time
        return self.under_way(name, time), full
