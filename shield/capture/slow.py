"""Ask scapy about the frames that the byte path declines, within a budget.

scapy needs about 0.2 ms for a frame and whoever sends the frames chooses how many there are, so a
token bucket on event time limits it. ``dissect`` can read any frame, also the usual ones: it
gives the same Packet as ``packet.read_ip``, which the tests use as a second opinion.
"""

from __future__ import annotations

from typing import Any

from shield.capture.lean import lean_scapy
from shield.capture.link import BAD_VERSION, NOT_IP, TRUNCATED, Reject
from shield.capture.packet import URG, Fragment, Packet, TcpSegment, UdpPacket, read_transport
from shield.net import pack

__all__ = ["Budget", "dissect"]

_FAILED = Reject("errors", "slow_failed")
_UNKNOWN_LINK = Reject("errors", "unknown_linktype")
_BAD_IP = Reject("errors", "bad_ip_length")
_BAD_UDP = Reject("errors", "bad_udp_length")
_BAD_TCP = Reject("errors", "bad_tcp_length")
_RAW_IP = 101
_MAX_LAYERS = 24
"""Headers before and in IP that are followed; more is a trick."""


class Budget:
    """A token bucket: ``rate`` frames a second of event time, ``burst`` at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._last = 0.0

    def take(self, now: float) -> bool:
        """Tell whether one more frame may be dissected at event time ``now``."""
        if now > self._last:
            self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate)
            self._last = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def dissect(data: bytes, linktype: int) -> Packet:
    """Read a frame of any link type that scapy knows; never raises."""
    scapy = _scapy()
    try:
        layer = scapy.link_class(linktype)
        if layer is None:
            return _UNKNOWN_LINK
        return _read(scapy, layer(data))
    except Exception:  # noqa: BLE001 - scapy's dissectors raise what they like on hostile bytes
        return _FAILED


class _Scapy:
    """The scapy classes used here, loaded on first use: importing them takes 0.4 s."""

    def __init__(self) -> None:
        lean_scapy()
        from scapy.config import conf
        from scapy.contrib import mpls
        from scapy.layers import inet, inet6, l2, ppp
        from scapy.packet import bind_layers

        # Not registered by scapy itself; without them such frames end at the link layer.
        for lower in (l2.CookedLinux, l2.CookedLinuxV2):
            for kind, upper in ((0x8100, l2.Dot1Q), (0x88A8, l2.Dot1AD)):
                bind_layers(lower, upper, proto=kind)
        for lower in (l2.Ether, l2.Dot1Q, l2.Dot1AD):
            for kind in (0x9100, 0x9200):
                bind_layers(lower, l2.Dot1Q, type=kind)
        del ppp, mpls  # loading them is what makes scapy know PPPoE and MPLS
        self._l2types = conf.l2types
        self.IP, self.IPv6 = inet.IP, inet6.IPv6
        self.UDP, self.TCP = inet.UDP, inet.TCP
        self.Fragment6 = inet6.IPv6ExtHdrFragment

    def link_class(self, linktype: int) -> Any:
        """Find the layer class of a link type; raw IP has none, its version nibble decides."""
        if linktype in {12, 14, _RAW_IP, 228, 229}:
            return lambda data: (self.IPv6 if data[:1] and data[0] >> 4 == 6 else self.IP)(data)
        return self._l2types.num2layer.get(linktype)


_loaded: list[_Scapy] = []


def _scapy() -> _Scapy:
    if not _loaded:
        _loaded.append(_Scapy())
    return _loaded[0]


def _read(scapy: _Scapy, layer: Any) -> Packet:
    """Find the first IP layer and read it; tunnels inside it are not entered."""
    for _ in range(_MAX_LAYERS):
        if isinstance(layer, scapy.IP):
            return _ipv4(scapy, layer) if layer.version == 4 else BAD_VERSION
        if isinstance(layer, scapy.IPv6):
            return _ipv6(scapy, layer) if layer.version == 6 else BAD_VERSION
        layer = layer.payload
        if not layer:
            break
    return NOT_IP


def _ipv4(scapy: _Scapy, ip: Any) -> Packet:
    length, header = ip.len or len(ip.original), ip.ihl * 4
    if header < 20 or length < header:
        return _BAD_IP
    if length > len(ip.original):
        return TRUNCATED
    source, destination = pack(ip.src), pack(ip.dst)
    if ip.flags.MF or ip.frag:
        body = ip.original[header:length]
        return Fragment(source, destination, 4, ip.proto, ip.id, ip.frag * 8, bool(ip.flags.MF), body)
    return _transport(scapy, ip, source, destination, ip.proto, ip.original[header:length])


def _ipv6(scapy: _Scapy, ip: Any) -> Packet:
    """Step over the extension headers that scapy found."""
    length = ip.plen or len(ip.original) - 40
    if len(ip.original) < 40 + length:
        return TRUNCATED
    source, destination = pack(ip.src), pack(ip.dst)
    layer, left, protocol = ip, length, ip.nh
    for _ in range(_MAX_LAYERS):
        lower, layer = layer, layer.payload
        if isinstance(layer, scapy.Fragment6):
            if left < 8:
                return _BAD_IP
            body = layer.original[8:left]
            offset, more = layer.offset * 8, bool(layer.m)
            return Fragment(source, destination, 6, layer.nh, layer.id, offset, more, body)
        if not hasattr(layer, "nh") or isinstance(layer, scapy.IPv6):
            break
        left -= len(layer.original) - len(layer.payload.original) if layer.payload else 0
        protocol = layer.nh
    body = layer.original[:left] if layer else b""
    return _transport(scapy, lower, source, destination, protocol, body)


def _transport(  # noqa: PLR0917 - the parts of one IP header
    scapy: _Scapy, ip: Any, source: bytes, destination: bytes, protocol: int, body: bytes
) -> Packet:
    """Read UDP and TCP from scapy's fields; everything else as the byte path does."""
    layer = ip.payload
    if isinstance(layer, scapy.UDP) and protocol == 17:
        size = layer.len or (len(body) if len(source) == 16 else 0)
        if not 8 <= size <= len(body):
            return _BAD_UDP
        payload = layer.original[8:size]
        return UdpPacket(source, layer.sport, destination, layer.dport, payload)
    if isinstance(layer, scapy.TCP) and protocol == 6:
        start = layer.dataofs * 4
        if not 20 <= start <= len(body):
            return _BAD_TCP
        flags, payload = int(layer.flags) & 0xFF, body[start:]
        urgent = layer.urgptr if flags & URG else 0
        return TcpSegment(
            source, layer.sport, destination, layer.dport, layer.seq, layer.ack, flags, payload, urgent
        )
    answer = read_transport(source, destination, protocol, body)
    return NOT_IP if isinstance(answer, Reject) and answer.counter == "slow" else answer
