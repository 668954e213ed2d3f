"""Owners: which bans came from other nodes, how many of each, and the work that this saved.

The Blocklist tells what begins and ends, so the counts are exact whatever ended a ban. A ban of this
node has no owner here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from shield.blocklist.networks import PrefixTable
from shield.net import Network

__all__ = ["LOCAL_ORIGINS", "Owners"]

LOCAL_ORIGINS = frozenset({"cli", "import"})
"""Origins of decisions that an operator made on the node that holds them."""


class Owners:
    """The bans that other nodes decided. ``local`` are the origins that mean this node."""

    __slots__ = ("_hosts", "_local", "_networks", "_unproven", "hosts", "networks", "saved", "unproven")

    def __init__(self, local: Iterable[str]) -> None:
        self._local = frozenset(local) | LOCAL_ORIGINS
        self._hosts: dict[bytes, str] = {}
        self._unproven: dict[bytes, str] = {}
        self._networks: PrefixTable[str] = PrefixTable()
        self.hosts: Counter[str] = Counter()
        """Banned addresses by the node that decided, proven ones."""
        self.unproven: Counter[str] = Counter()
        """The same, unproven ones."""
        self.networks: Counter[str] = Counter()
        """Banned networks by the node that decided."""
        self.saved: Counter[str] = Counter()
        """Packets that were skipped because of another node's decision, by that node."""

    def is_local(self, origin: str) -> bool:
        """Tell whether a decision of ``origin`` was made on this node."""
        return origin in self._local

    def begin(self, network: Network, origin: str, *, proven: bool = True) -> None:
        """Note who decides about ``network`` from now on."""
        local = origin in self._local
        if not network.is_host:
            self.end(network)
            if not local:
                self._networks.insert(network, origin)
                self.networks[origin] += 1
            return
        address = network.address
        held, count = (self._hosts, self.hosts) if proven else (self._unproven, self.unproven)
        if not local and held.get(address) == origin:
            return
        if address in self._hosts or address in self._unproven:
            self.end(network)
        if not local:
            held[address] = origin
            count[origin] += 1

    def end(self, network: Network) -> None:
        """Note that nobody bans ``network`` any more."""
        if network.is_host:
            for held, count in ((self._hosts, self.hosts), (self._unproven, self.unproven)):
                before = held.pop(network.address, None)
                if before is not None:
                    count[before] -= 1
            return
        before = self._networks.get(network)
        if before is not None:
            self._networks.remove(network)
            self.networks[before] -= 1

    def of(self, network: Network) -> str | None:
        """Node that decided about exactly ``network``; None when it is this one, or nobody."""
        if not network.is_host:
            return self._networks.get(network)
        return self._hosts.get(network.address) or self._unproven.get(network.address)

    def hit(self, address: bytes) -> None:
        """Count a packet that was skipped; for one of an own ban nothing happens."""
        origin = self._hosts.get(address) or self._unproven.get(address)
        if origin is None and self._networks:
            found = self._networks.match(address)
            origin = None if found is None else found[1]
        if origin is not None:
            self.saved[origin] += 1
