"""Section ``[location]`` of the configuration: where users are registered."""

from __future__ import annotations

from dataclasses import dataclass

from shield.errors import ConfigError

__all__ = ["LocationSettings"]


@dataclass(frozen=True, slots=True)
class LocationSettings:
    """What nodes tell each other of the users that are registered at them."""

    track: bool = False
    """Learn from REGISTER and its answers who is registered here, and tell the cluster. Off by default:
    it says who is online and from which address."""
    advertise: str = ""
    """Where other proxies reach the SIP server of this node: ``host``, ``host:port``, SIP URI. Empty:
    the address to which the REGISTER went."""
    grace: float = 60.0
    """Seconds after which the users of a node that left or died are no longer shown; until then they may
    still be there, and the node may be back."""
    max_users: int = 200_000
    """Addresses-of-record that one node may have here."""

    def __post_init__(self) -> None:
        problems = []
        if self.grace < 0:
            problems.append("location.grace: must be 0 or more")
        if not 1 <= self.max_users <= 1_000_000:
            problems.append("location.max_users: must be between 1 and 1000000")
        if any(c.isspace() or c in '<>"' for c in self.advertise) or len(self.advertise) > 255:
            problems.append("location.advertise: must be a host, host:port or SIP URI")
        if problems:
            raise ConfigError(*problems)
