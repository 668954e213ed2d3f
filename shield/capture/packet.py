"""Read an IP packet and its UDP or TCP header, on bytes.

Gives a Datagram's addresses, ports and payload (UdpPacket), a TcpSegment, a Fragment to be joined
with others, a Tunnel to be opened by ``tunnels``, or a Reject that says why not. IPv4 options and IPv6
extension headers are stepped over; the sender chooses how many packets have them, so they are not
left to scapy and its budget. Lengths come from the headers, so Ethernet padding and frame check
sequences are cut off. Checksums are not looked at: a host's own packets carry none yet when they
are captured.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from shield.capture.link import BAD_VERSION, TRUNCATED, Reject

__all__ = [
    "Fragment",
    "Packet",
    "TcpSegment",
    "Tunnel",
    "UdpPacket",
    "read_ip",
    "read_transport",
    "source_of",
]

TCP, UDP = 6, 17
URG: Final = 32
_ICMP = frozenset((1, 58))
_TUNNELS = frozenset((4, 41, 47))
"""IP in IP, IPv6 in IP, GRE."""
_EXTENSIONS = frozenset((0, 43, 51, 60, 135, 139, 140))
"""IPv6 extension headers (IANA list); all but the authentication header (51) count 8 bytes."""
_AUTHENTICATION: Final = 51
MAX_EXTENSIONS: Final = 256
"""Extension headers of one packet: an Ethernet frame has no room for more. Linux counts none."""
_FRAGMENT: Final = 44
_MAPPED = bytes(10) + b"\xff\xff"

_ports_length = Struct("!HHH").unpack_from
_tcp_fields = Struct("!HHIIBB4xH").unpack_from
_ipv6_fragment = Struct("!BxHI").unpack_from

_BAD_IP = Reject("errors", "bad_ip_length")
_BAD_UDP = Reject("errors", "bad_udp_length")
_BAD_TCP = Reject("errors", "bad_tcp_length")
_NESTED = Reject("errors", "fragment_nested")
_ICMP_SEEN = Reject("ignored", "icmp")
_OTHER = Reject("ignored", "other_protocol")


class UdpPacket(NamedTuple):
    """One UDP datagram; addresses are packed."""

    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    payload: bytes


class TcpSegment(NamedTuple):
    """One TCP segment (RFC 9293 section 3.1); ``flags`` are FIN 1, SYN 2, RST 4, ACK 16."""

    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    sequence: int
    acknowledgment: int
    flags: int
    payload: bytes
    urgent: int = 0
    """Number of the payload's byte that is urgent, from 1; 0 when none is."""


class Fragment(NamedTuple):
    """A part of an IP packet. Offsets and lengths are in bytes."""

    source: bytes
    destination: bytes
    version: int
    """4 or 6: the rules for overlaps differ."""
    protocol: int
    """Of IPv6 only the first fragment's is right (RFC 8200 section 4.5)."""
    identification: int
    offset: int
    more: bool
    data: bytes


class Tunnel(NamedTuple):
    """An IP packet whose body is, behind a header of its own, another packet."""

    source: bytes
    destination: bytes
    protocol: int
    body: bytes


Packet = UdpPacket | TcpSegment | Fragment | Tunnel | Reject


def source_of(data: bytes, at: int) -> bytes | Reject:
    """Packed source address of the IP packet at ``at``; asked before anything else is read."""
    version = data[at] >> 4
    if version == 4:
        return data[at + 12 : at + 16] if len(data) >= at + 20 else TRUNCATED
    if version == 6:
        if len(data) < at + 40:
            return TRUNCATED
        address = data[at + 8 : at + 24]
        return plain(address)
    return BAD_VERSION


def plain(address: bytes) -> bytes:
    """IPv4-mapped IPv6 addresses become 4 bytes (see shield.net)."""
    return address[12:] if address[:12] == _MAPPED else address


def read_ip(data: bytes, at: int) -> Packet:
    """Read the IP packet that starts at ``at``; ``source_of`` must have accepted it."""
    if data[at] >> 4 == 6:
        return _read_ipv6(data, at)
    header = (data[at] & 15) * 4
    total = data[at + 2] << 8 | data[at + 3]
    end = at + total if total else len(data)  # zero: segmentation offload, length unknown yet
    if header < 20 or end < at + header:
        return _BAD_IP
    if end > len(data):
        return TRUNCATED
    source, destination = data[at + 12 : at + 16], data[at + 16 : at + 20]
    body = data[at + header : end]
    place = data[at + 6] << 8 | data[at + 7]
    if place & 0x3FFF:  # not the flag "don't fragment", not the reserved bit
        number = data[at + 4] << 8 | data[at + 5]
        offset, more = (place & 0x1FFF) * 8, bool(place & 0x2000)
        return Fragment(source, destination, 4, data[at + 9], number, offset, more, body)
    return read_transport(source, destination, data[at + 9], body)


def _read_ipv6(data: bytes, at: int) -> Packet:
    """RFC 8200 section 3."""
    length = data[at + 4] << 8 | data[at + 5]
    end = at + 40 + length if length else len(data)
    if end > len(data):
        return TRUNCATED
    protocol = data[at + 6]
    source, destination = plain(data[at + 8 : at + 24]), plain(data[at + 24 : at + 40])
    at += 40
    if protocol in _EXTENSIONS:
        protocol, at = _behind_extensions(protocol, data, at, end)
    if protocol != _FRAGMENT:
        return read_transport(source, destination, protocol, data[at:end])
    if end < at + 8:
        return _BAD_IP
    following, place, number = _ipv6_fragment(data, at)
    return Fragment(
        source, destination, 6, following, number, place & 0xFFF8, bool(place & 1), data[at + 8 : end]
    )


def _behind_extensions(protocol: int, data: bytes, at: int, end: int) -> tuple[int, int]:
    """What follows extension headers (RFC 8200 section 4, RFC 4302), and where; -1 when they are cut."""
    for _ in range(MAX_EXTENSIONS):
        if protocol not in _EXTENSIONS:
            return protocol, at
        if at + 2 > end:
            break
        size = (data[at + 1] + 2) * 4 if protocol == _AUTHENTICATION else (data[at + 1] + 1) * 8
        if at + size > end:
            break
        protocol, at = data[at], at + size
    return -1, at


def read_transport(  # noqa: PLR0911 - one return for each thing that can be wrong
    source: bytes, destination: bytes, protocol: int, body: bytes
) -> Packet:
    """Read what an IP packet carries."""
    if protocol == UDP:
        if len(body) < 8:
            return _BAD_UDP
        source_port, destination_port, length = _ports_length(body)
        if not length and len(source) == 16:  # a jumbogram (RFC 2675); Linux takes it at any size
            length = len(body)
        if not 8 <= length <= len(body):
            return _BAD_UDP
        return UdpPacket(source, source_port, destination, destination_port, body[8:length])
    if protocol == TCP:
        if len(body) < 20:
            return _BAD_TCP
        source_port, destination_port, sequence, acknowledgment, offset, flags, urgent = _tcp_fields(
            body
        )
        start = (offset >> 4) * 4
        if not 20 <= start <= len(body):
            return _BAD_TCP
        return TcpSegment(
            source,
            source_port,
            destination,
            destination_port,
            sequence,
            acknowledgment,
            flags,
            body[start:],
            urgent if flags & URG else 0,
        )
    return _read_other(source, destination, protocol, body)


def _read_other(source: bytes, destination: bytes, protocol: int, body: bytes) -> Packet:
    """Read what is neither UDP nor TCP."""
    if protocol in _ICMP:
        return _ICMP_SEEN
    if protocol in _TUNNELS:
        return Tunnel(source, destination, protocol, body)
    if len(source) == 16:
        if protocol in _EXTENSIONS:  # inside a reassembled packet
            protocol, at = _behind_extensions(protocol, body, 0, len(body))
            return read_transport(source, destination, protocol, body[at:])
        if protocol == _FRAGMENT:  # Linux drops it too
            return _NESTED
        if protocol < 0:
            return _BAD_IP
    return _OTHER
