"""Turns additions and deletions into nf_tables messages, for new kernels and old ones.

What the kernel can do differs: since 6.3 a deletion of what is absent need not fail (DESTROY),
since 6.12 an addition of what is present renews its timeout. Without these, an element is put in
before it is deleted, and deleted before it is put in again, all inside one transaction.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple

from shield.firewall import nft_messages as nft
from shield.firewall.cover import bounds, span
from shield.firewall.limits import Limit
from shield.firewall.nft_messages import Message, RawElement
from shield.net import Network

__all__ = ["Ability", "Plan", "limit_key", "limit_set", "read_limits", "read_networks"]

_ELEMENT_BYTES = {4: 68, 16: 80}
"""Upper bound of one encoded element with the longest key of each family, to cut the lists."""

Edges = tuple[bytes, bytes]
Span = tuple[Network, float]
"""A network and its timeout."""


class Ability(NamedTuple):
    """What this kernel can do."""

    renews: bool
    """An addition of a present element sets its new timeout."""
    destroys: bool
    """There is a deletion that does not fail when the element is absent."""


class Plan:
    """Messages for the sets of one table."""

    def __init__(self, table: str, ability: Ability) -> None:
        self.table = table
        self.ability = ability

    @property
    def _out(self) -> int:
        return nft.DESTROY_ELEMENT if self.ability.destroys else nft.DELETE_ELEMENT

    def delete_hosts(self, networks: Sequence[Network]) -> list[Message]:
        """Take hosts out, present or not."""
        found = []
        for size in (4, 16):
            keys = [nft.element(n.address) for n in networks if len(n.address) == size]
            if not self.ability.destroys:
                found += self.listed(nft.NEW_ELEMENT, "hosts", size, keys)
            found += self.listed(self._out, "hosts", size, keys)
        return found

    def add_hosts(self, items: Sequence[Span]) -> list[Message]:
        """Put hosts in or renew their timeout."""
        found = [] if self.ability.renews else self.delete_hosts([network for network, _ in items])
        for size in (4, 16):
            packed = [nft.element(n.address, t) for n, t in items if len(n.address) == size]
            found += self.listed(nft.NEW_ELEMENT, "hosts", size, packed)
        return found

    def delete_limits(self, limits: Sequence[Limit]) -> list[Message]:
        """Take limits out, present or not."""
        found = []
        for what, size, members in _by_set(limits):
            keys = [nft.element(limit_key(limit)) for limit in members]
            if not self.ability.destroys:
                found += self.listed(nft.NEW_ELEMENT, what, size, keys)
            found += self.listed(self._out, what, size, keys)
        return found

    def add_limits(self, items: Mapping[Limit, float]) -> list[Message]:
        """Put limits in, or renew their timeouts."""
        found = [] if self.ability.renews else self.delete_limits(list(items))
        for what, size, members in _by_set(items):
            packed = [nft.element(limit_key(limit), items[limit]) for limit in members]
            found += self.listed(nft.NEW_ELEMENT, what, size, packed)
        return found

    def networks(
        self,
        add: Sequence[Span],
        delete: Sequence[Network],
        ranges: Mapping[Network, Edges],
        present: Container[Network],
    ) -> list[Message]:
        """Take networks out and put networks in; a renewed one is taken out first.

        ``ranges`` are somebody else's intervals that are no network: they go out as they came in.
        ``present`` is asked only where the kernel cannot destroy.
        """
        out = list(dict.fromkeys([*delete, *(network for network, _ in add)]))
        if not self.ability.destroys:
            out = [network for network in out if network in present]
        found: list[Message] = []
        for size in (4, 16):
            edges = dict.fromkeys(ranges.get(n, bounds(n)) for n in out if len(n.address) == size)
            found += self.listed(
                self._out, "nets", size, [part for edge in edges for part in interval(*edge)]
            )
        for size in (4, 16):
            parts = [part for n, t in add if len(n.address) == size for part in interval(*bounds(n), t)]
            found += self.listed(nft.NEW_ELEMENT, "nets", size, parts)
        return found

    def allow(self, networks: Sequence[Network]) -> list[Message]:
        """Replace the allowed networks, which must not overlap."""
        found = [nft.flush_set(self.table, set_name("allow", size)) for size in (4, 16)]
        for size in (4, 16):
            parts = [part for n in networks if len(n.address) == size for part in interval(*bounds(n))]
            found += self.listed(nft.NEW_ELEMENT, "allow", size, parts)
        return found

    def listed(self, kind: int, what: str, size: int, elements: Iterable[bytes]) -> list[Message]:
        """Messages of one kind for one set."""
        name = set_name(what, size)
        return list(nft.element_messages(kind, self.table, name, elements, _ELEMENT_BYTES[size]))


def set_name(what: str, size: int) -> str:
    """Name the set for addresses of ``size`` bytes."""
    return f"{what}{4 if size == 4 else 6}"


def limit_set(limit: Limit) -> str:
    """Name the set that a limit belongs to."""
    return set_name("ports" if limit.protocol else "limit", len(limit.address))


def limit_key(limit: Limit) -> bytes:
    """Encode the key of a limit; each part of a concatenation is padded to four octets."""
    if not limit.protocol:
        return limit.address
    return b"%b%c\0\0\0%b\0\0" % (limit.address, limit.protocol, limit.number.to_bytes(2, "big"))


def read_limits(elements: Iterable[RawElement]) -> dict[Limit, float]:
    """Read a set of limits with their remaining seconds."""
    found = {}
    for key, _, left in elements:
        size = len(key) if len(key) in (4, 16) else len(key) - 8
        protocol, number = (
            (key[size], int.from_bytes(key[size + 4 : size + 6], "big")) if key[size:] else (0, 0)
        )
        found[Limit(key[:size], protocol, number)] = left
    return found


def _by_set(limits: Iterable[Limit]) -> list[tuple[str, int, list[Limit]]]:
    """Sort limits into their sets: kind, octets of an address, members."""
    sets: dict[tuple[str, int], list[Limit]] = {}
    for limit in limits:
        kind = "ports" if limit.protocol else "limit"
        sets.setdefault((kind, len(limit.address)), []).append(limit)
    return [(what, size, members) for (what, size), members in sets.items()]


def interval(first: bytes, last: bytes, timeout: float = math.inf) -> list[bytes]:
    """Encode an interval as the kernel wants it: its first address and the first behind it."""
    parts = [nft.element(first, timeout)]
    behind = int.from_bytes(last, "big") + 1
    if behind >> (8 * len(last)) == 0:  # an interval up to the last address of all has no end
        parts.append(nft.element(behind.to_bytes(len(last), "big"), end=True))
    return parts


def read_networks(elements: Iterable[RawElement]) -> tuple[dict[Network, float], dict[Network, Edges]]:
    """Read an interval set: networks with remaining seconds, and those that are part of a range."""
    found: dict[Network, float] = {}
    ranges: dict[Network, Edges] = {}
    # Where two intervals touch, the end of one sorts before the start of the next.
    edges = sorted(elements, key=lambda raw: (raw.key, not raw.is_end))
    for i, raw in enumerate(edges):
        if raw.is_end:
            continue
        last = b"\xff" * len(raw.key)
        if i + 1 < len(edges):
            last = (int.from_bytes(edges[i + 1].key, "big") - 1).to_bytes(len(raw.key), "big")
        parts = span(raw.key, last)
        for network in parts:
            found[network] = raw.remaining
            if len(parts) > 1:
                ranges[network] = (raw.key, last)
    return found, ranges
