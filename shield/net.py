"""Addresses, networks and datagrams: what every layer above says about the network.

Addresses are packed ``bytes`` of 4 (IPv4) or 16 (IPv6) octets, never text: they are cut from
frames and looked up in sets for each packet. IPv4-mapped IPv6 addresses (RFC 4291 section
2.5.5.2) are always held as the 4 octets, so one host has one key.
"""

from __future__ import annotations

import ipaddress
from enum import IntEnum
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton  # noqa: TID251 - arithmetic on text, no I/O
from typing import NamedTuple

from shield.errors import InputError

__all__ = ["Datagram", "Network", "Port", "Transport", "pack", "unpack"]

_MAPPED = bytes(10) + b"\xff\xff"
_PROTOCOLS = {"udp": 17, "tcp": 6}
"""Numbers of IANA's protocol registry."""


class Transport(IntEnum):
    """What carried a SIP message (RFC 3261 section 18; RFC 7118 for WebSocket)."""

    UDP = 0
    TCP = 1
    TLS = 2
    WS = 3
    WSS = 4


class Datagram(NamedTuple):
    """One SIP message (or what claims to be one) with where it came from and went to.

    A tuple and not a dataclass because one is made for every packet.
    """

    time: float
    """Seconds since the epoch, from the capture (event time)."""
    source: bytes
    """Packed address of the sender."""
    source_port: int
    destination: bytes
    destination_port: int
    transport: Transport
    payload: bytes
    connected: bool = False
    """The sender completed a TCP handshake, so its address is not forged."""


class Network(NamedTuple):
    """A network, or one host (``length`` is then 32 or 128)."""

    address: bytes
    """Packed, host bits zero."""
    length: int
    """Prefix length in bits."""

    @classmethod
    def parse(cls, text: str) -> Network:
        """Read ``192.0.2.1``, ``192.0.2.0/24``, ``2001:db8::/32`` or ``[2001:db8::1]``.

        Raises InputError when the text is no address or has host bits set.
        """
        plain = text.strip().removeprefix("[").removesuffix("]")
        if "/" not in plain:
            # A journal of 100,000 hosts is read in a start: this takes a tenth of ipaddress' time.
            try:
                packed = inet_pton(AF_INET6 if ":" in plain else AF_INET, plain)
            except (OSError, ValueError):
                pass  # ipaddress says what is wrong
            else:
                return cls.host(packed[12:] if packed[:12] == _MAPPED else packed)
        try:
            network = ipaddress.ip_network(plain)
        except ValueError as error:
            # Only this of Python's explanations tells more than "it is none".
            why = " (has host bits set)" if "host bits" in str(error) else ""
            raise InputError(f"not an address or network: {text!r}{why}") from None
        address, length = network.network_address.packed, network.prefixlen
        if length >= 96 and address[:12] == _MAPPED:
            return cls(address[12:], length - 96)
        return cls(address, length)

    @classmethod
    def host(cls, address: bytes) -> Network:
        """The network of one packed address."""
        return cls(address, len(address) * 8)

    @classmethod
    def around(cls, address: bytes, length: int) -> Network:
        """The network of ``length`` bits that holds ``address``."""
        bits = len(address) * 8
        keep = int.from_bytes(address, "big") >> (bits - length) << (bits - length)
        return cls(keep.to_bytes(len(address), "big"), length)

    @property
    def is_host(self) -> bool:
        """True for a single address."""
        return self.length == len(self.address) * 8

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if len(self.address) == 4 else 6

    def contains(self, other: Network) -> bool:
        """True when ``other`` lies inside this network (or equals it)."""
        if len(other.address) != len(self.address) or other.length < self.length:
            return False
        return Network.around(other.address, self.length) == self

    def __str__(self) -> str:
        text = unpack(self.address)
        return text if self.is_host else f"{text}/{self.length}"


class Port(NamedTuple):
    """A UDP or TCP port of some address. Behind a NAT it tells one host from the others."""

    protocol: int
    """17 for UDP, 6 for TCP."""
    number: int

    @classmethod
    def parse(cls, text: str) -> Port:
        """Read ``udp/40001``; raises InputError."""
        name, _, digits = text.partition("/")
        number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 6 else 0
        if name not in _PROTOCOLS or not 0 < number < 65536:
            raise InputError(f"not a port: {text[:40]!r} (udp/5060 is one)")
        return cls(_PROTOCOLS[name], number)

    def __str__(self) -> str:
        return f"{'udp' if self.protocol == _PROTOCOLS['udp'] else 'tcp'}/{self.number}"


def pack(text: str) -> bytes:
    """Pack the text of one address; raises InputError when it is none."""
    try:
        packed = ipaddress.ip_address(text.strip().removeprefix("[").removesuffix("]")).packed
    except ValueError:
        raise InputError(f"not an address: {text!r}") from None
    return packed[12:] if packed[:12] == _MAPPED else packed


def unpack(address: bytes) -> str:
    """The text of a packed address."""
    if len(address) == 4:
        return "%d.%d.%d.%d" % tuple(address)  # noqa: UP031 - lists have 100,000 of them; 5 times as fast
    # A tenth of ipaddress' time; only where it writes the end as IPv4 (::192.0.2.1) they differ.
    text = inet_ntop(AF_INET6, address) if len(address) == 16 else "."
    return str(ipaddress.ip_address(address)) if "." in text else text
