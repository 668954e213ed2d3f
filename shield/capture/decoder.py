"""Decoder: one frame in, the SIP messages it completes out. Read this file first.

The usual frame (Ethernet, IPv4, UDP, a SIP port) is read here in one step; other link layers,
VLAN tags, IPv6, fragments and TCP by ``link`` and ``packet``; unusual link layers by scapy
(``slow``) within a budget; what a tunnel holds (``tunnels``) is a frame again. The question
whether the source is banned comes before all of it. Nothing that arrives raises; what is broken
is counted by reason in ``stats``.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from struct import Struct
from typing import Protocol

from shield.capture.content import is_keepalive, looks_like_sip
from shield.capture.fragments import Reassembler
from shield.capture.link import DECLINED, ETHERNET, Reject, find_ip
from shield.capture.packet import (
    Fragment,
    Packet,
    TcpSegment,
    Tunnel,
    UdpPacket,
    read_ip,
    read_transport,
    source_of,
)
from shield.capture.settings import CaptureSettings
from shield.capture.slow import Budget, dissect
from shield.capture.source import Frame
from shield.capture.stats import DecoderStats
from shield.capture.stream import Streams
from shield.capture.tunnels import MAX_DEPTH, Inner, Tunnels
from shield.net import Datagram, Transport

__all__ = ["Decoder", "Guard"]

_PLAIN = b"\x08\x00\x45"
"""EtherType IPv4 and an IPv4 header without options."""
_UDP, _TCP = 17, 6
_usual = Struct("!HxxHxB2x4s4sHHH").unpack_from
"""From the total length (offset 16) to the UDP length of an Ethernet, IPv4 and UDP header."""
_USUAL_HEADERS = 42
# A NamedTuple made by its own name takes three times as long; an enum's member is a look-up of its own.
_new_tuple = tuple.__new__
_OVER_UDP = Transport.UDP
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class Guard(Protocol):
    """Knows who is banned. Asked for every frame, so it answers from memory."""

    @property
    def hosts(self) -> AbstractSet[bytes]:
        """Packed addresses that are banned."""
        ...

    @property
    def wide(self) -> bool:
        """Whether networks are banned too, so that ``covers`` must be asked."""
        ...

    @property
    def ports(self) -> AbstractSet[tuple[bytes, int, int]]:
        """Address, protocol and port whose packets are dropped although the address is not banned."""
        ...

    def covers(self, address: bytes) -> bool:
        """Tell whether a banned network holds ``address``."""
        ...

    def hit(self, address: bytes, time: float) -> None:
        """Hear that a frame of banned ``address`` was skipped; it came at event time ``time``."""
        ...


class _Open:
    """Nobody is banned."""

    hosts: frozenset[bytes] = frozenset()
    wide = False
    ports: frozenset[tuple[bytes, int, int]] = frozenset()

    def covers(self, address: bytes) -> bool:  # noqa: ARG002 - the Guard protocol
        return False

    def hit(self, address: bytes, time: float) -> None:
        """Never called."""


class Decoder:
    """Turns frames into SIP messages; keeps fragments and streams between calls."""

    def __init__(self, settings: CaptureSettings | None = None, guard: Guard | None = None) -> None:
        settings = settings or CaptureSettings()
        self.stats = DecoderStats()
        # Not "guard or": one that bans nobody yet is empty, and false.
        self._guard: Guard = _Open() if guard is None else guard
        self._ports = frozenset(settings.ports)
        self._tcp_ports = frozenset((*settings.ports, *settings.websocket_ports))
        self._any_port = settings.any_port
        self._tunnels = Tunnels(settings.tunnels, settings.tunnel_endpoints)
        self._tunnel_ports = self._tunnels.ports
        self._budget = Budget(settings.scapy_rate, settings.scapy_burst)
        self._fragments = Reassembler(self.stats.errors)
        self._streams = Streams(self.stats.errors, self._ports, any_port=settings.any_port)

    def feed(self, frame: Frame) -> Sequence[Datagram]:
        """Take one frame; the messages it completes (mostly one or none)."""
        time, data, linktype = frame
        stats = self.stats
        stats.frames += 1
        if linktype == ETHERNET and data[12:15] == _PLAIN and len(data) > _USUAL_HEADERS:
            total, place, protocol, source, destination, source_port, destination_port, length = _usual(
                data, 16
            )
            guard = self._guard
            if source in guard.hosts or (guard.wide and guard.covers(source)):
                stats.skipped += 1
                guard.hit(source, time)
                return ()
            ports = self._ports
            if (
                protocol == _UDP
                and not place & 0x3FFF
                and 8 < length <= total - 20
                and total <= len(data) - 14
                and (destination_port in ports or source_port in ports)
                and data[42] in _LETTERS
                and length > 12
            ):
                if guard.ports and (source, _UDP, source_port) in guard.ports:
                    stats.skipped += 1
                    guard.hit(source, time)
                    return ()
                stats.messages += 1
                return (
                    _new_tuple(
                        Datagram,
                        (time, source, source_port, destination, destination_port,
                         _OVER_UDP, data[42 : 34 + length], False),
                    ),
                )  # fmt: skip
        return self._unusual(time, data, linktype)

    def flush(self) -> Sequence[Datagram]:
        """End the capture: unfinished messages of open TCP connections come out."""
        out = self._streams.flush()
        self.stats.messages += len(out)
        return out

    def _unusual(self, time: float, data: bytes, linktype: int, depth: int = 0) -> Sequence[Datagram]:
        """Any other frame: find the IP packet, ask for its source, read it."""
        at = find_ip(data, linktype)
        if isinstance(at, Reject):
            packet: Packet = at
        else:
            source = source_of(data, at)
            if isinstance(source, Reject):
                packet = source
            elif self._banned(source, time):
                return ()
            else:
                packet = read_ip(data, at)
        if packet is DECLINED:
            packet = self._ask_scapy(time, data, linktype)
            unasked = b"" if isinstance(packet, Reject) else packet.source
            if isinstance(at, Reject) and unasked and self._banned(unasked, time):
                return ()
        return self.take(time, packet, depth)

    def _banned(self, source: bytes, time: float) -> bool:
        guard = self._guard
        if source in guard.hosts or (guard.wide and guard.covers(source)):
            self.stats.skipped += 1
            guard.hit(source, time)
            return True
        return False

    def _dropped(self, time: float, source: bytes, protocol: int, port: int) -> bool:
        """Whether it comes from the port of a culprit behind a NAT that others use too."""
        ports = self._guard.ports
        if ports and (source, protocol, port) in ports:
            self.stats.skipped += 1
            self._guard.hit(source, time)
            return True
        return False

    def _ask_scapy(self, time: float, data: bytes, linktype: int) -> Packet:
        if not self._budget.take(time):
            return DECLINED
        self.stats.slow += 1
        return dissect(data, linktype)

    def take(self, time: float, packet: Packet, depth: int = 0) -> Sequence[Datagram]:
        """Take one packet that was read already, by whichever way, inside ``depth`` tunnels."""
        if isinstance(packet, UdpPacket):
            return self._udp(time, packet, depth)
        if isinstance(packet, TcpSegment):
            return self._tcp(time, packet)
        if isinstance(packet, Fragment):
            return self._fragment(time, packet, depth)
        if isinstance(packet, Tunnel):
            return self._inside(time, self._tunnels.open(packet), depth)
        if packet.counter == "errors":
            self.stats.errors[packet.reason] += 1
        elif packet.counter == "ignored":
            self.stats.ignored[packet.reason] += 1
        else:
            self.stats.slow_refused += 1
        return ()

    def _inside(self, time: float, inner: Inner | Reject, depth: int) -> Sequence[Datagram]:
        """What a tunnel carried is a frame like others; who is banned is asked anew."""
        if isinstance(inner, Reject):
            return self.take(time, inner)
        if depth >= MAX_DEPTH:
            self.stats.errors["tunnel_nested"] += 1
            return ()
        self.stats.tunnelled += not depth
        return self._unusual(time, inner.data, inner.linktype, depth + 1)

    def _udp(self, time: float, packet: UdpPacket, depth: int) -> Sequence[Datagram]:
        source, source_port, destination, destination_port, payload = packet
        if destination_port in self._tunnel_ports:
            inner = self._tunnels.open_udp(source, destination, destination_port, payload)
            return self._inside(time, inner, depth)
        if (
            destination_port not in self._ports
            and source_port not in self._ports
            and (not self._any_port or not looks_like_sip(payload))
        ):
            self.stats.ignored["other_port"] += 1
            return ()
        if self._dropped(time, source, _UDP, source_port):
            return ()
        if is_keepalive(payload):
            self.stats.keepalives += 1
            return ()
        self.stats.messages += 1
        return (
            Datagram(time, source, source_port, destination, destination_port, Transport.UDP, payload),
        )

    def _tcp(self, time: float, segment: TcpSegment) -> Sequence[Datagram]:
        ports = self._tcp_ports
        if (
            segment.destination_port not in ports
            and segment.source_port not in ports
            and not self._any_port
        ):
            self.stats.ignored["other_port"] += 1
            return ()
        if self._dropped(time, segment.source, _TCP, segment.source_port):
            return ()
        out = self._streams.segment(time, segment)
        self.stats.messages += len(out)
        return out

    def _fragment(self, time: float, fragment: Fragment, depth: int) -> Sequence[Datagram]:
        out: list[Datagram] = []
        for joined in self._fragments.add(time, fragment):
            out += self.take(time, read_transport(*joined), depth)
        return out
