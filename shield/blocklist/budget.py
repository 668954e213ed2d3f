"""Budget: how many bans each other node may cause here.

Each change costs a token of its origin; tokens come back with ``sharing.rate``. Live bans are limited
as well, networks by a much smaller number. While a node was out of sight, and after a start, its tokens
may grow up to ``max_bans``: what it decided meanwhile comes at once and is no sign of madness.
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
    """Tokens of one origin."""

    __slots__ = ("at", "catches_up", "tokens")

    def __init__(self, tokens: float, at: float) -> None:
        self.tokens = tokens
        self.at = at
        self.catches_up = at + CATCH_UP
        """Node time until which more tokens than ``burst`` may be there; ``inf`` while out of sight."""


class Budget:
    """Accounts of all origins; ``owners`` knows how many bans of each are live."""

    def __init__(self, settings: SharingSettings, owners: Owners) -> None:
        self._settings = settings
        self._owners = owners
        self._accounts: dict[str, _Account] = {}

    def take(self, origin: str, network: Network, now: float) -> bool:
        """Pay for one ban; False when it must be held."""
        settings = self._settings
        account = self._accounts.get(origin)
        if account is None:
            account = self._open(origin, now)
        if now > account.at:
            most = settings.max_bans if account.catches_up > now else settings.burst
            grown = min(most, account.tokens + (now - account.at) * settings.rate)
            account.tokens = max(grown, min(account.tokens, most))
            account.at = now
        if account.tokens < 1:
            return False
        if network.is_host:
            full = self._owners.hosts[origin] >= settings.max_bans
        else:
            full = self._owners.networks[origin] >= settings.max_networks
        if full and self._owners.of(network) != origin:
            return False
        account.tokens -= 1
        return True

    def in_sight(self, origin: str, now: float) -> None:
        """Hear that an origin can be reached (again)."""
        account = self._accounts.get(origin)
        if account is None:
            self._open(origin, now)
        elif account.catches_up == inf:
            account.catches_up = now + CATCH_UP

    def out_of_sight(self, origin: str) -> None:
        """Hear that an origin cannot be reached: what it decides now will come at once, later."""
        if origin in self._accounts:
            self._accounts[origin].catches_up = inf

    def settle(self, now: float) -> None:
        """Hear that there is nothing left to catch up: the maps are equal."""
        for account in self._accounts.values():
            if account.catches_up != inf:
                account.catches_up = min(account.catches_up, now)
                account.tokens = min(account.tokens, self._settings.burst)

    def forget(self, origin: str) -> None:
        """Close an account."""
        self._accounts.pop(origin, None)

    def _open(self, origin: str, now: float) -> _Account:
        account = self._accounts[origin] = _Account(self._settings.max_bans, now)
        return account
