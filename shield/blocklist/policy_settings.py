"""What an operator may set about the policy."""

from __future__ import annotations

from dataclasses import dataclass

from shield.errors import ConfigError

__all__ = ["PolicySettings"]


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """How long bans last and what weak evidence may do."""

    unproven_ban_time: float = 300.0
    """Seconds of a ban whose evidence could be forged."""
    max_ban_time: float = 604_800.0
    """Seconds that a ban never exceeds, however often it was repeated."""
    escalation: float = 4.0
    """Each earlier proven ban of the same address makes the next one longer by this factor."""
    escalation_memory: float = 604_800.0
    """Seconds for which an earlier ban counts."""
    hold_time: float = 10.0
    """Seconds of event time that a single suspicious message waits before its source is banned."""
    flood_sources: int = 8
    """More new sources than this with one fingerprint inside hold_time are a forged flood."""
    flood_time: float = 60.0
    """Seconds for which unproven bans of a fingerprint stop after a forged flood was seen."""

    def __post_init__(self) -> None:
        for name in (
            "unproven_ban_time",
            "max_ban_time",
            "escalation_memory",
            "hold_time",
            "flood_time",
        ):
            if getattr(self, name) <= 0:
                raise ConfigError(f"policy.{name}: must be above 0")
        if self.escalation < 1:
            raise ConfigError("policy.escalation: must be 1 or more")
        if self.flood_sources < 1:
            raise ConfigError("policy.flood_sources: must be 1 or more")
