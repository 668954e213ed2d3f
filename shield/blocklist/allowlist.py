"""Allowlist: addresses, networks and DNS names that are never banned, whatever asks for it.

It is asked by the policy, by the Blocklist for every decision from every side, by the Guard for
addresses inside banned networks, and it feeds the firewall's own set of what passes first. DNS is
asked by the node; this file only holds the answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shield.blocklist.networks import PrefixTable
from shield.errors import ConfigError, InputError
from shield.net import Network

__all__ = ["AllowEntry", "Allowlist", "AllowlistSettings"]

MAX_ADDRESSES_PER_NAME = 64
"""A DNS answer larger than this is no telephony peer, and each address costs a firewall element."""

MAX_REASON = 200
"""Characters of a reason that are kept: it is one line of a table."""

_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
"""Host name, RFC 1035 section 2.3.4 for the sizes. The last label starts with a letter, so a
mistyped address is never taken for a name."""

_BUILTIN = ("127.0.0.0/8", "::1")
_FIXED = frozenset({"builtin", "config"})


@dataclass(frozen=True)
class AllowlistSettings:
    """Section ``[allowlist]`` of the configuration."""

    entries: tuple[str, ...] = ()
    """Addresses, networks and DNS names that are never banned: your carriers, your own networks,
    the place you administer from. Names are resolved again every ``resolve_interval``."""

    resolve_interval: float = 300.0
    """Seconds between two look-ups of a DNS name. When a look-up fails, the last answer stays."""

    max_entries: int = 10_000
    """Number of entries, temporary ones and configured ones together."""

    builtin_loopback: bool = True
    """Always allow 127.0.0.0/8 and ::1. Switch off only to try shield out on one machine."""


@dataclass(frozen=True, slots=True)
class AllowEntry:
    """One thing that is never banned."""

    value: str
    """Text of the address, network or name, in its usual spelling."""
    networks: tuple[Network, ...]
    """What it covers; of a name the addresses of its last successful look-up, perhaps none yet."""
    kind: str
    """``address``, ``network`` or ``name``."""
    reason: str
    """One line for people."""
    origin: str
    """Who allowed it: ``config``, ``builtin``, ``cli`` or a node's name."""
    time: float
    """Wall time at which it was allowed, seconds since the epoch."""
    until: float | None = None
    """Node time at which it ends; None for no end."""

    def as_json(self, now: float) -> dict[str, Any]:
        """Shape in which an entry is shown everywhere."""
        return {
            "value": self.value,
            "kind": self.kind,
            "networks": [str(network) for network in self.networks],
            "reason": self.reason,
            "origin": self.origin,
            "time": round(self.time, 6),
            "remaining": None if self.until is None else round(max(0.0, self.until - now), 3),
        }


class Allowlist:
    """The entries, and the networks that they cover now.

    Entries of the configuration neither end nor can be removed while the node runs. Raises ConfigError
    when one of them is wrong.
    """

    def __init__(self, settings: AllowlistSettings | None = None) -> None:
        self.settings = settings or AllowlistSettings()
        self._entries: dict[str, AllowEntry] = {}
        self._table: PrefixTable[dict[str, AllowEntry]] = PrefixTable()
        self._born: dict[Network, int] = {}
        self._generation = 0
        self._resolved: dict[str, float] = {}
        if self.settings.builtin_loopback:
            for value in _BUILTIN:
                self._store(_entry(value, "loopback", "builtin", 0.0, None))
        problems = []
        for index, value in enumerate(self.settings.entries):
            try:
                self._room()
                self._store(_entry(value, "configuration", "config", 0.0, None))
            except InputError as error:
                problems.append(f"allowlist.entries[{index}]: {error}")
        if problems:
            raise ConfigError(*problems)

    def use(self, settings: AllowlistSettings) -> None:
        """Take over a configuration read again; raises ConfigError, and changes nothing, if it is wrong.

        The caller asks the Blocklist to ``enforce_allowlist`` at once.
        """
        fresh = {e.value: e for e in Allowlist(settings)._entries.values()}
        self.settings = settings
        for entry in list(self._entries.values()):
            if entry.origin in _FIXED and entry.value not in fresh:
                self._drop(entry)
        for value, entry in fresh.items():
            known = self._entries.get(value)
            if known is not None and known.origin in _FIXED:
                continue
            if known is not None:
                entry = replace(entry, networks=known.networks)  # noqa: PLW2901 - a name keeps its answer
                self._drop(known)
            self._store(entry)

    def add(
        self,
        value: str,
        now: float,
        *,
        reason: str = "",
        origin: str = "cli",
        duration: float | None = None,
        wall: float = 0.0,
    ) -> AllowEntry:
        """Allow ``value`` (again: the new reason and end replace the old); raises InputError.

        An entry of the configuration stays as it is and is returned. The caller asks the Blocklist to
        ``enforce_allowlist`` at once.
        """
        if duration is not None and not duration > 0:
            raise InputError(f"the duration must be more than 0 seconds: {duration}")
        until = None if duration is None else now + duration
        return self._replace(_entry(value, reason, origin, wall, until))

    def restore(self, entries: Iterable[AllowEntry], now: float) -> int:
        """Enter saved entries that have not ended; returns how many.

        Of a name in the configuration the saved addresses serve until DNS answers: it may be down at
        boot.
        """
        count = 0
        for entry in entries:
            known = self._entries.get(entry.value)
            if entry.until is not None and entry.until <= now:
                continue
            if known is not None and known.origin in _FIXED:
                if known.kind == "name" and not known.networks:
                    self._drop(known)
                    self._store(replace(known, networks=entry.networks))
            elif entry.origin not in _FIXED and len(self._entries) < self.settings.max_entries:
                count += self._replace(entry) is entry
        return count

    def remove(self, value: str) -> AllowEntry | None:
        """Take an entry out; None when there is none, InputError when only the configuration can."""
        key = _classify(value)[0]
        entry = self._entries.get(key)
        if entry is not None and entry.origin in _FIXED:
            raise InputError(f"{key} is allowed by the {entry.reason} and cannot be removed here")
        if entry is not None:
            self._drop(entry)
        return entry

    def expire(self, now: float) -> list[AllowEntry]:
        """Take out and return what has ended. Until then an entry counts as live."""
        ended = [e for e in self._entries.values() if e.until is not None and e.until <= now]
        for entry in ended:
            self._drop(entry)
        return ended

    def covers(self, address: bytes) -> AllowEntry | None:
        """Entry that allows the packed ``address``."""
        found = self._table.match(address)
        return None if found is None else next(iter(found[1].values()))

    def covers_network(self, network: Network) -> AllowEntry | None:
        """Entry that allows the whole of ``network``."""
        if network.is_host:
            return self.covers(network.address)
        for _, holders in self._table.covering(network):
            return next(iter(holders.values()))
        return None

    def overlaps(self, network: Network) -> list[Network]:
        """Return allowed networks inside a banned ``network``: they must pass before it drops."""
        return [inner for inner, _ in self._table.inside(network)]

    def networks(self, now: float) -> list[Network]:
        """Everything allowed at ``now``, for the firewall."""
        return [
            network
            for network, holders in self._table
            if any(entry.until is None or entry.until > now for entry in holders.values())
        ]

    def added_since(self, generation: int) -> tuple[list[Network], int]:
        """Networks that became allowed after ``generation``, and the present generation."""
        fresh = [network for network, born in self._born.items() if born > generation]
        return fresh, self._generation

    def names(self) -> list[str]:
        """Return all DNS names, for the node to resolve."""
        return [entry.value for entry in self._entries.values() if entry.kind == "name"]

    def due(self, now: float) -> list[str]:
        """DNS names whose last answer is older than ``resolve_interval``, or missing."""
        interval = self.settings.resolve_interval
        return [
            n for n in self.names() if n not in self._resolved or now - self._resolved[n] >= interval
        ]

    def resolve(self, name: str, addresses: Sequence[bytes], now: float) -> bool:
        """Enter the answer for a name; True when its networks changed.

        No addresses means that the look-up failed: the last ones stay, for a broken DNS must not ban a
        carrier.
        """
        key = _classify(name)[0]
        entry = self._entries.get(key)
        if entry is None or entry.kind != "name":
            return False
        self._resolved[key] = now
        networks = tuple(Network.host(a) for a in sorted(set(addresses))[:MAX_ADDRESSES_PER_NAME])
        if not networks or networks == entry.networks:
            return False
        self._drop(entry)
        self._store(replace(entry, networks=networks))
        self._resolved[key] = now
        return True

    def entries(self, now: float) -> list[AllowEntry]:
        """Entries that have not ended, by value."""
        live = (e for e in self._entries.values() if e.until is None or e.until > now)
        return sorted(live, key=lambda entry: entry.value)

    def get(self, value: str) -> AllowEntry | None:
        """Entry of exactly this value."""
        return self._entries.get(_classify(value)[0])

    def count(self, origin: str) -> int:
        """How many entries this origin made."""
        return sum(entry.origin == origin for entry in self._entries.values())

    @staticmethod
    def networks_of(value: str) -> tuple[Network, ...]:
        """What a value covers before DNS is asked; raises InputError when it cannot be allowed."""
        return _classify(value)[2]

    def as_json(self, now: float) -> list[dict[str, Any]]:
        """All entries as they are shown everywhere."""
        return [entry.as_json(now) for entry in self.entries(now)]

    def __len__(self) -> int:
        return len(self._entries)

    def _replace(self, entry: AllowEntry) -> AllowEntry:
        known = self._entries.get(entry.value)
        if known is not None:
            if known.origin in _FIXED:
                return known
            if entry.kind == "name" and not entry.networks:
                entry = replace(entry, networks=known.networks)
            self._drop(known)
        else:
            self._room()
        self._store(entry)
        return entry

    def _room(self) -> None:
        if len(self._entries) >= self.settings.max_entries:
            raise InputError(f"the allowlist is full (max_entries = {self.settings.max_entries})")

    def _store(self, entry: AllowEntry) -> None:
        self._generation += 1
        self._entries[entry.value] = entry
        for network in entry.networks:
            holders = self._table.get(network)
            if holders is None:
                self._table.insert(network, {entry.value: entry})
            else:
                holders[entry.value] = entry
            self._born[network] = self._generation

    def _drop(self, entry: AllowEntry) -> None:
        del self._entries[entry.value]
        self._resolved.pop(entry.value, None)
        for network in entry.networks:
            holders = self._table.get(network)
            if holders is not None:
                holders.pop(entry.value, None)
                if not holders:
                    self._table.remove(network)
                    self._born.pop(network, None)


def _entry(value: str, reason: str, origin: str, time: float, until: float | None) -> AllowEntry:
    text, kind, networks = _classify(value)
    return AllowEntry(text, networks, kind, reason[:MAX_REASON], origin, time, until)


def _classify(value: str) -> tuple[str, str, tuple[Network, ...]]:
    """Usual spelling, kind and networks of what an operator wrote."""
    try:
        network = Network.parse(value)
    except InputError as error:
        name = value.strip().lower().removesuffix(".")
        if not _NAME.fullmatch(name):
            raise InputError(f"not an address, network or DNS name: {value[:260]!r}") from error
        return name, "name", ()
    return str(network), "address" if network.is_host else "network", (network,)
