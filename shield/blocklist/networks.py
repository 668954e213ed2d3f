"""PrefixTable: values by network, found by the longest prefix that covers an address.

One dict for each family and prefix length. On 100,000 prefixes of mixed length a look-up costs
about as much as in a compiled radix tree, a change is one dict operation, and nothing has to be
installed. Keys are the leading bits as an integer, so a look-up converts the address once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from shield.net import Network

__all__ = ["PrefixTable"]

T = TypeVar("T")


class PrefixTable(Generic[T]):
    """Networks of both families with a value each; falsy while empty."""

    def __init__(self) -> None:
        # For each address size in octets: (bits to shift off, entries), longest prefix first.
        self._levels: dict[int, list[tuple[int, dict[int, tuple[Network, T]]]]] = {4: [], 16: []}
        self._size = 0

    def insert(self, network: Network, value: T) -> None:
        """Set the value of ``network``."""
        key, shift = _key(network)
        entries = self._level(len(network.address), shift)
        self._size += key not in entries
        entries[key] = (network, value)

    def remove(self, network: Network) -> bool:
        """Take exactly ``network`` out; False when it was not there."""
        key, shift = _key(network)
        levels = self._levels[len(network.address)]
        for index, (level_shift, entries) in enumerate(levels):
            if level_shift == shift:
                if entries.pop(key, None) is None:
                    return False
                if not entries:
                    del levels[index]  # each length that is left costs every look-up
                self._size -= 1
                return True
        return False

    def get(self, network: Network) -> T | None:
        """Value of exactly ``network``."""
        key, shift = _key(network)
        for level_shift, entries in self._levels[len(network.address)]:
            if level_shift == shift:
                entry = entries.get(key)
                return None if entry is None else entry[1]
        return None

    def match(self, address: bytes) -> tuple[Network, T] | None:
        """Entry with the longest prefix that covers the packed ``address``."""
        levels = self._levels[len(address)]
        if levels:
            number = int.from_bytes(address, "big")
            for shift, entries in levels:
                entry = entries.get(number >> shift)
                if entry is not None:
                    return entry
        return None

    def covers(self, address: bytes) -> bool:
        """Tell whether some network here holds the packed ``address``."""
        return self.match(address) is not None

    def covering(self, network: Network) -> Iterator[tuple[Network, T]]:
        """Entries that hold the whole of ``network`` (itself included), longest prefix first."""
        size = len(network.address)
        number = int.from_bytes(network.address, "big")
        longest = size * 8 - network.length
        for shift, entries in self._levels[size]:
            if shift >= longest:
                entry = entries.get(number >> shift)
                if entry is not None:
                    yield entry

    def inside(self, network: Network) -> Iterator[tuple[Network, T]]:
        """Entries that lie within ``network`` (itself included). Looks at every entry of the family."""
        key, shift = _key(network)
        for level_shift, entries in self._levels[len(network.address)]:
            if level_shift == shift:
                entry = entries.get(key)
                if entry is not None:
                    yield entry
            elif level_shift < shift:
                surplus = shift - level_shift
                for prefix, entry in entries.items():
                    if prefix >> surplus == key:
                        yield entry

    def __iter__(self) -> Iterator[tuple[Network, T]]:
        for levels in self._levels.values():
            for _, entries in levels:
                yield from entries.values()

    def __len__(self) -> int:
        return self._size

    def __contains__(self, network: object) -> bool:
        if not isinstance(network, Network):
            return False
        key, shift = _key(network)
        return any(at == shift and key in entries for at, entries in self._levels[len(network.address)])

    def _level(self, size: int, shift: int) -> dict[int, tuple[Network, T]]:
        levels = self._levels[size]
        for level_shift, entries in levels:
            if level_shift == shift:
                return entries
        entries = {}
        levels.append((shift, entries))
        levels.sort(key=lambda level: level[0])
        return entries


def _key(network: Network) -> tuple[int, int]:
    shift = len(network.address) * 8 - network.length
    return int.from_bytes(network.address, "big") >> shift, shift
