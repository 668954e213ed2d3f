"""Budget: how many bans each other node may cause here.

Each change costs a token of its origin; tokens come back with ``sharing.rate``. Live bans are limited
as well, networks by a much smaller number. While a node was out of sight, and after a start, its tokens
may grow up to ``max_bans``: what it decided meanwhile comes at once and is no sign of madness. Unproven
bans have tokens and limits of their own: whoever makes a node decide many cannot use up the others.
"""

from __future__ import annotations

from math import inf

from shield.blocklist.owners import Owners
from shield.blocklist.sharing_settings import SharingSettings
from shield.net import Network

__all__ = ["Budget"]

CATCH_UP = 300.0
"""Seconds after a node came into sight in which it may hand over what it decided before: the largest
map takes 15 s, a slow line some minutes."""


class _Account:
    """Tokens of one origin for one kind of bans; ``live`` of these it may have at most."""

    __slots__ = ("at", "burst", "live", "rate", "tokens")

    def __init__(self, rate: float, burst: int, live: int, at: float) -> None:
        self.rate, self.burst, self.live = rate, burst, live
        self.tokens = float(live)
        self.at = at

    def refill(self, now: float, *, catches_up: bool) -> bool:
        """Count what has come back; tells whether there is a token."""
        if now > self.at:
            most = self.live if catches_up else self.burst
            grown = min(most, self.tokens + (now - self.at) * self.rate)
            self.tokens = max(grown, min(self.tokens, most))
            self.at = now
        return self.tokens >= 1

    def settle(self) -> None:
        """Keep no more tokens than at any other time."""
        self.tokens = min(self.tokens, self.burst)


class _Origin:
    """Both accounts of one node, and until when it may hand over what it decided before."""

    __slots__ = ("catches_up", "proven", "unproven")

    def __init__(self, settings: SharingSettings, at: float) -> None:
        self.proven = _Account(settings.rate, settings.burst, settings.max_bans, at)
        self.unproven = _Account(
            settings.unproven_rate, settings.unproven_burst, settings.max_unproven, at
        )
        self.catches_up = at + CATCH_UP
        """Node time until which more tokens than a burst may be there; ``inf`` while out of sight."""


class Budget:
    """Accounts of all origins; ``owners`` knows how many bans of each are live."""

    def __init__(self, settings: SharingSettings, owners: Owners) -> None:
        self._settings = settings
        self._owners = owners
        self._origins: dict[str, _Origin] = {}

    def take(self, origin: str, network: Network, now: float, *, proven: bool = True) -> bool:
        """Pay for one ban; False when it must be held."""
        found = self._origins.get(origin)
        if found is None:
            found = self._open(origin, now)
        account = found.proven if proven else found.unproven
        if not account.refill(now, catches_up=found.catches_up > now):
            return False
        owners = self._owners
        if not network.is_host:
            full = owners.networks[origin] >= self._settings.max_networks
        else:
            full = (owners.hosts if proven else owners.unproven)[origin] >= account.live
        if full and owners.of(network) != origin:
            return False
        account.tokens -= 1
        return True

    def in_sight(self, origin: str, now: float) -> None:
        """Hear that an origin can be reached (again)."""
        found = self._origins.get(origin)
        if found is None:
            self._open(origin, now)
        elif found.catches_up == inf:
            found.catches_up = now + CATCH_UP

    def out_of_sight(self, origin: str) -> None:
        """Hear that an origin cannot be reached: what it decides now will come at once, later."""
        if origin in self._origins:
            self._origins[origin].catches_up = inf

    def settle(self, now: float) -> None:
        """Hear that there is nothing left to catch up: the maps are equal."""
        for found in self._origins.values():
            if found.catches_up != inf:
                found.catches_up = min(found.catches_up, now)
                found.proven.settle()
                found.unproven.settle()

    def forget(self, origin: str) -> None:
        """Close the accounts of an origin."""
        self._origins.pop(origin, None)

    def _open(self, origin: str, now: float) -> _Origin:
        found = self._origins[origin] = _Origin(self._settings, now)
        return found
