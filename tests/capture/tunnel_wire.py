"""Builders for tunnels: an IP packet in, the IP packet that carries it out, as bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable

from tests.capture.wire import ether, ip4, ip6, udp

OUTER, FAR = "10.9.0.1", "10.9.0.2"
OUTER6, FAR6 = "2001:db8:f::1", "2001:db8:f::2"
ENDPOINTS = ("10.9.0.0/24", "2001:db8:f::1", "2001:db8:f::2")

IPV4, IPV6, TEB, ERSPAN2, ERSPAN3, MPLS = 0x0800, 0x86DD, 0x6558, 0x88BE, 0x22EB, 0x8847


def kind_of(packet: bytes) -> int:
    """EtherType of an IP packet."""
    return IPV6 if packet[0] >> 4 == 6 else IPV4


def over4(body: bytes, protocol: int) -> bytes:
    """An outer IPv4 packet between the ends."""
    return ip4(body, protocol, OUTER, FAR)


def over6(body: bytes, protocol: int) -> bytes:
    """An outer IPv6 packet between the ends."""
    return ip6(body, protocol, OUTER6, FAR6)


def gre(
    body: bytes, kind: int, *, checksum: bool = False, key: bool = False, seq: bool = False
) -> bytes:
    """A GRE header (RFC 2890) and its body."""
    flags = checksum << 7 | key << 5 | seq << 4
    return struct.pack("!BBH", flags, 0, kind) + bytes(4 * (checksum + key + seq)) + body


def gtp(
    body: bytes, *, extensions: tuple[bytes, ...] = (), sequence: bool = False, kind: int = 255
) -> bytes:
    """A GTP-U header; each extension is its content, whose length is 2 modulo 4."""
    optional = b""
    if extensions or sequence:
        chain = b"".join(
            bytes(((len(each) + 2) // 4,)) + each + (b"\x85" if number + 1 < len(extensions) else b"\0")
            for number, each in enumerate(extensions)
        )
        optional = b"\0\x07\0" + (b"\x85" if extensions else b"\0") + chain
    flags = 0x30 | bool(extensions) << 2 | sequence << 1
    return struct.pack("!BBHI", flags, kind, len(optional) + len(body), 77) + optional + body


def vxlan(frame: bytes) -> bytes:
    """A VXLAN header and an Ethernet frame."""
    return b"\x08\0\0\0\0\0\x2a\0" + frame


def geneve(body: bytes, kind: int, options: bytes = b"") -> bytes:
    """A Geneve header with options of a multiple of 4 bytes."""
    return struct.pack("!BBHI", len(options) // 4, 0, kind, 0x2A00) + options + body


def to(port: int, body: bytes) -> bytes:
    """A UDP datagram to where a tunnel ends; the source port is a hash of what is inside."""
    return udp(body, 50123, port)


TUNNELS: dict[str, Callable[[bytes], bytes]] = {
    "ipip": lambda packet: over4(packet, 41 if packet[0] >> 4 == 6 else 4),
    "ip-in-ip6": lambda packet: over6(packet, 41 if packet[0] >> 4 == 6 else 4),
    "gre": lambda packet: over4(gre(packet, kind_of(packet)), 47),
    "gre-all-fields": lambda packet: over4(
        gre(packet, kind_of(packet), checksum=True, key=True, seq=True), 47
    ),
    "gre-key": lambda packet: over4(gre(packet, kind_of(packet), key=True), 47),
    "gre-over-ip6": lambda packet: over6(gre(packet, kind_of(packet)), 47),
    "gre-ethernet": lambda packet: over4(gre(ether(packet, 0x8100), TEB, key=True), 47),
    "gre-mpls": lambda packet: over4(gre(b"\0\x01\x00\x40\0\x02\x01\x40" + packet, MPLS), 47),
    "erspan1": lambda packet: over4(gre(ether(packet), ERSPAN2), 47),
    "erspan2": lambda packet: over4(gre(bytes(8) + ether(packet), ERSPAN2, seq=True), 47),
    "erspan3": lambda packet: over4(gre(bytes(12) + ether(packet), ERSPAN3, seq=True), 47),
    "erspan3-ip": lambda packet: over4(
        gre(bytes(10) + b"\x08\x01" + bytes(8) + packet, ERSPAN3, seq=True), 47
    ),
    "gtp": lambda packet: over4(to(2152, gtp(packet)), 17),
    "gtp-sequence": lambda packet: over4(to(2152, gtp(packet, sequence=True)), 17),
    "gtp-extensions": lambda packet: over6(to(2152, gtp(packet, extensions=(b"ab", b"abcdef"))), 17),
    "vxlan": lambda packet: over4(to(4789, vxlan(ether(packet))), 17),
    "vxlan-old-port": lambda packet: over6(to(8472, vxlan(ether(packet, 0x88A8, 0x8100))), 17),
    "geneve": lambda packet: over4(to(6081, geneve(ether(packet), TEB, b"opts" * 3)), 17),
    "geneve-ip": lambda packet: over4(to(6081, geneve(packet, kind_of(packet))), 17),
}
"""Every way in which an IP packet can travel inside another."""
