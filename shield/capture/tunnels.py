"""Open tunnels: the packet inside IP in IP, GRE, ERSPAN, GTP-U, VXLAN and Geneve, on bytes.

Whoever may speak here can say anything about anybody: no tunnel of these kinds proves its sender, and
inside one packet after the other he can act both sides of a TCP handshake. So a tunnel is opened only
when its kind is configured and both its ends are: a stranger's GRE packet to a host that ends no
tunnel stays closed and is counted. Only the inner addresses are given on.

What is inside comes out as a frame of its own (link type Ethernet or raw IP), so VLAN tags,
fragments and further tunnels inside are read as they are outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from shield.capture.link import ETHERNET, Reject
from shield.capture.packet import Tunnel
from shield.net import Network

__all__ = ["GENEVE_PORTS", "GTP_PORTS", "KINDS", "MAX_DEPTH", "VXLAN_PORTS", "Inner", "Tunnels"]

KINDS: Final = ("ipip", "gre", "gtp", "vxlan", "geneve")
MAX_DEPTH: Final = 4
"""Tunnels inside each other. A mirror (ERSPAN) of an overlay (VXLAN) that carries a mobile network
(GTP-U) has three."""
MAX_EXTENSIONS: Final = 8
"""GTP-U extension headers of one packet; 3GPP TS 29.281 defines seven for G-PDU."""

GTP_PORTS: Final = (2152,)
VXLAN_PORTS: Final = (4789, 8472)
"""The IANA number, and what Linux took before there was one; Flannel still does."""
GENEVE_PORTS: Final = (6081,)

_IPIP, _IPV6, _GRE = 4, 41, 47
_RAW_IP = 101
_IP_TYPES: Final = {0x0800: 4, 0x86DD: 6}
_TEB = 0x6558
"""Transparent Ethernet bridging: a whole Ethernet frame."""
_ERSPAN_2, _ERSPAN_3 = 0x88BE, 0x22EB
_MPLS = frozenset((0x8847, 0x8848))
_MAX_LABELS: Final = 8
"""MPLS labels in a GRE packet; networks stack two or three."""

_STRANGER: Final = Reject("ignored", "tunnel_stranger")
_NOT_IP: Final = Reject("ignored", "tunnel_other")
"""Housekeeping of the tunnel (echoes, keep-alives) or another protocol than IP."""
_BROKEN: Final = Reject("errors", "tunnel_broken")
_CLOSED: Final = Reject("ignored", "tunnel")


class Inner(NamedTuple):
    """What a tunnel carried."""

    linktype: int
    data: bytes


Opener = Callable[[bytes], Inner | Reject]


class Tunnels:
    """Opens the tunnels that are configured, between the ends that are configured."""

    def __init__(self, kinds: Iterable[str], endpoints: Iterable[str]) -> None:
        wanted = frozenset(kinds)
        self._protocols: dict[int, Opener] = {}
        if "ipip" in wanted:
            self._protocols |= {_IPIP: lambda body: _ip(body, 4), _IPV6: lambda body: _ip(body, 6)}
        if "gre" in wanted:
            self._protocols[_GRE] = _gre
        self._ports: dict[int, Opener] = {}
        for kind, ports, opener in (
            ("gtp", GTP_PORTS, _gtp),
            ("vxlan", VXLAN_PORTS, _vxlan),
            ("geneve", GENEVE_PORTS, _geneve),
        ):
            if kind in wanted:
                self._ports |= dict.fromkeys(ports, opener)
        self.ports = frozenset(self._ports)
        """UDP destination ports at which tunnels end; a source port says nothing, it is a hash."""
        networks = [Network.parse(text) for text in endpoints]
        self._hosts = frozenset(network.address for network in networks if network.is_host)
        self._networks = [
            (len(each.address), len(each.address) * 8 - each.length, int.from_bytes(each.address, "big"))
            for each in networks
            if not each.is_host
        ]

    def open(self, tunnel: Tunnel) -> Inner | Reject:
        """What is inside an IP packet of a tunnel protocol."""
        opener = self._protocols.get(tunnel.protocol)
        if opener is None:
            return _CLOSED
        return self._between(tunnel.source, tunnel.destination) or opener(tunnel.body)

    def open_udp(self, source: bytes, destination: bytes, port: int, payload: bytes) -> Inner | Reject:
        """What is inside a UDP packet to one of ``ports``."""
        return self._between(source, destination) or self._ports[port](payload)

    def _between(self, source: bytes, destination: bytes) -> Reject | None:
        return None if self._known(source) and self._known(destination) else _STRANGER

    def _known(self, address: bytes) -> bool:
        if address in self._hosts:
            return True
        size = len(address)
        return any(
            size == bits and int.from_bytes(address, "big") >> shift == value >> shift
            for bits, shift, value in self._networks
        )


def _ip(body: bytes, version: int = 0) -> Inner | Reject:
    """A bare IP packet, of ``version`` when the tunnel says which; receivers drop any other."""
    if not body:
        return _BROKEN
    found = body[0] >> 4
    if version and found != version:
        return _BROKEN
    return Inner(_RAW_IP, body) if found in {4, 6} else _NOT_IP


def _typed(kind: int, body: bytes) -> Inner | Reject:
    """What an EtherType announces."""
    if kind in {_TEB, _ERSPAN_2}:
        return Inner(ETHERNET, body)
    version = _IP_TYPES.get(kind)
    if version is not None:
        return _ip(body, version)
    if kind in _MPLS:
        for at in range(0, _MAX_LABELS * 4, 4):
            if len(body) < at + 4:
                return _BROKEN
            if body[at + 2] & 1:  # bottom of the stack, RFC 3032 section 2.1
                return _ip(body[at + 4 :])
        return _BROKEN
    return _NOT_IP


def _gre(body: bytes) -> Inner | Reject:
    """RFC 2784 and RFC 2890: checksum, key and sequence number may be there, in this order."""
    if len(body) < 4:
        return _BROKEN
    flags, kind = body[0], body[2] << 8 | body[3]
    if body[1] & 7:
        return _NOT_IP  # version 1 is PPTP, whose payload is PPP, mostly enciphered
    if flags & 0x40:  # source routes of RFC 1701; receivers discard them (RFC 2784 section 2.3)
        return _BROKEN
    at = 4 + 4 * (bool(flags & 0x80) + bool(flags & 0x20) + bool(flags & 0x10))
    if len(body) < at:
        return _BROKEN
    if kind == _ERSPAN_2 and flags & 0x10:
        at += 8  # without a sequence number it is type I, which has no header of its own
    return _erspan3(body[at:]) if kind == _ERSPAN_3 else _typed(kind, body[at:])


def _erspan3(body: bytes) -> Inner | Reject:
    """Type III: 12 bytes, 8 more with the O bit; the frame type says Ethernet (0) or IP (2)."""
    if len(body) < 12:
        return _BROKEN
    place = body[10] << 8 | body[11]
    rest = body[20 if place & 1 else 12 :]
    frame_type = place >> 10 & 31
    if frame_type == 2:
        return _ip(rest)
    return Inner(ETHERNET, rest) if frame_type == 0 else _NOT_IP


def _gtp(body: bytes) -> Inner | Reject:
    """3GPP TS 29.281 section 5: only G-PDU (255) carries a packet."""
    if len(body) < 8 or body[0] >> 5 != 1 or not body[0] & 0x10:
        return _BROKEN
    if body[1] != 255:
        return _NOT_IP
    end = 8 + (body[2] << 8 | body[3])
    if end > len(body):
        return _BROKEN
    return _ip(body[8:end]) if not body[0] & 7 else _gtp_extended(body[8:end], chained=bool(body[0] & 4))


def _gtp_extended(body: bytes, *, chained: bool) -> Inner | Reject:
    """One of three flags makes room for three fields; only E (``chained``) makes the last one count."""
    if len(body) < 4:
        return _BROKEN
    following, at = body[3] if chained else 0, 4
    for _ in range(MAX_EXTENSIONS):
        if not following:
            return _ip(body[at:])
        size = body[at] * 4 if at < len(body) else 0
        if not size or at + size > len(body):
            return _BROKEN
        following, at = body[at + size - 1], at + size
    return _BROKEN


def _vxlan(body: bytes) -> Inner | Reject:
    """RFC 7348 section 5; a receiver discards what has no valid network identifier."""
    if len(body) < 8 or not body[0] & 8:
        return _BROKEN
    return Inner(ETHERNET, body[8:])


def _geneve(body: bytes) -> Inner | Reject:
    """RFC 8926 section 3.4; control packets (O) carry none."""
    if len(body) < 8 or body[0] >> 6:
        return _BROKEN
    at = 8 + (body[0] & 63) * 4
    if len(body) < at:
        return _BROKEN
    if body[1] & 0x80:
        return _NOT_IP
    return _typed(body[2] << 8 | body[3], body[at:])
