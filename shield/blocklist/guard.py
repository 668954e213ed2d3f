"""Guard: what the packet path asks about a source before it looks at a packet.

Who is banned is skipped, and of who is limited what comes from the ports of the culprit: the kernel
drops that too. All else of a limited source is read, for it may go on guessing; and all of a banned one
near the end of a ban without proof.

A set of packed addresses beside the cache of record, because the cache costs ten times as much
to ask (section 7 of the measurements: 0.3 to 0.6 us against 4.6 us) and must not be asked for each
packet. The Blocklist alone changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shield.blocklist.networks import PrefixTable
from shield.blocklist.owners import Owners
from shield.net import Network, Port

__all__ = ["Guard"]

MAX_COUNTED = 50_000
"""Addresses in each of the two generations of per-address counters: under 20 MB together. UDP
sources can be forged, and inside one banned network every address may knock."""


class Guard:
    """The addresses and networks that are skipped now, minus what the allowlist covers.

    ``allowed`` says whether the allowlist covers an address. It is asked only for an address in a
    banned network; an allowlisted address is never in ``hosts``.
    """

    __slots__ = (
        "_allowed", "_newer", "_older", "hits", "hosts", "limited", "networks", "owners", "ports",
        "reread", "wide",
    )  # fmt: skip

    def __init__(self, allowed: Callable[[bytes], object]) -> None:
        self._allowed = allowed
        self.hosts: set[bytes] = set()
        """Packed addresses banned one by one, whose packets are skipped."""
        self.reread: set[bytes] = set()
        """Banned ones whose packets are read all the same (``probation``)."""
        self.networks: PrefixTable[None] = PrefixTable()
        """Banned networks."""
        self.wide = False
        """Whether there are any: the usual packet pays one test for it."""
        self.limited: dict[bytes, tuple[Port, ...]] = {}
        """Packed addresses that are limited and not banned, with the ports that are dropped."""
        self.ports: set[tuple[bytes, int, int]] = set()
        """Address, protocol and number of each of these ports."""
        self.hits = 0
        """Packets of banned sources that were skipped, all together."""
        self.owners: Owners | None = None
        """Who decided, while nodes share their decisions."""
        self._newer: dict[bytes, list[float]] = {}
        """How many packets of an address were skipped, and when the last one was."""
        self._older: dict[bytes, list[float]] = {}

    def covers(self, address: bytes) -> bool:
        """Tell whether packets of the packed ``address`` are skipped: banned and not allowlisted."""
        if address in self.hosts:
            return True
        return self.wide and self.networks.match(address) is not None and not self._allowed(address)

    def bans(self, address: bytes) -> bool:
        """Tell whether the packed ``address`` is banned and not allowlisted, read or not."""
        return address in self.reread or self.covers(address)

    def hit(self, address: bytes, time: float) -> None:
        """Count one skipped packet of ``address``, which came at event time ``time``."""
        self.hits += 1
        if self.owners is not None:
            self.owners.hit(address)
        newer = self._newer
        counted = newer.get(address)
        if counted is None:
            if len(newer) >= MAX_COUNTED:
                # The generation before last is forgotten: addresses silent for that long.
                self._older, self._newer = newer, {}
                newer = self._newer
            newer[address] = counted = self._older.pop(address, None) or [0, 0.0]
        counted[0] += 1
        counted[1] = time

    def hits_of(self, address: bytes) -> int:
        """Packets of this address that were skipped during its ban, as far as remembered."""
        return int(self._counted(address)[0])

    def last_hit(self, address: bytes) -> float | None:
        """Event time of the last skipped packet of this address; None when there was none."""
        return self._counted(address)[1] or None

    def _counted(self, address: bytes) -> Sequence[float]:
        return self._newer.get(address) or self._older.get(address) or (0, 0.0)

    def insert(self, network: Network) -> None:
        """Start to skip ``network``."""
        if network.is_host:
            if network.address in self.limited:
                self._limit_no_more(network.address)
            self.hosts.add(network.address)
        else:
            self.networks.insert(network, None)
            self.wide = True

    def limit(self, address: bytes, ports: tuple[Port, ...]) -> None:
        """Note that an address is limited and not banned any more; skip what comes from ``ports``."""
        self._limit_no_more(address)
        self.hosts.discard(address)
        self.reread.discard(address)
        self.limited[address] = ports
        self.ports.update((address, *port) for port in ports)

    def _limit_no_more(self, address: bytes) -> None:
        self.ports.difference_update((address, *port) for port in self.limited.pop(address, ()))

    def discard(self, network: Network) -> None:
        """Stop to skip or limit ``network``; the counters of a host are forgotten with it."""
        if self.owners is not None:
            self.owners.end(network)
        if network.is_host:
            address = network.address
            self.hosts.discard(address)
            self.reread.discard(address)
            if address in self.limited:
                self._limit_no_more(address)
            self._newer.pop(address, None)
            self._older.pop(address, None)
        else:
            self.networks.remove(network)
            self.wide = bool(self.networks)

    def open(self, address: bytes) -> None:
        """Read packets of a banned host from now on."""
        if address in self.hosts:
            self.hosts.remove(address)
            self.reread.add(address)

    def close(self, address: bytes) -> None:
        """Skip them again."""
        if address in self.reread:
            self.reread.remove(address)
            self.hosts.add(address)

    def __contains__(self, network: object) -> bool:
        """Whether there is a decision about exactly this network."""
        if not isinstance(network, Network):
            return False
        if not network.is_host:
            return network in self.networks
        address = network.address
        return address in self.hosts or address in self.limited or address in self.reread

    def __len__(self) -> int:
        """Return how many hosts and networks are banned."""
        return len(self.hosts) + len(self.reread) + len(self.networks)
