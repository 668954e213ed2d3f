"""Dresses: the same messages as an attacker could send them to get past a sensor.

Three layers that go over each other: how a message is spelled, what carries it (UDP, TCP, WebSocket, on
which port), and what becomes of the IP packets (fragments, overlaps, tunnels, in any order).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from shield.capture.source import Frame
from shield.net import Datagram
from tests.capture.wire import ACK, SYN, ether, tcp, udp
from tests.dress_packets import PACKETS, packet
from tests.dress_spelling import SPELLINGS

__all__ = ["ATTACKERS_ONLY", "CARRIERS", "ODD_PORT", "PACKETS", "SPELLINGS", "dress"]

ODD_PORT = 16384
"""Where phones have RTP."""


@dataclass
class _Stream:
    """One TCP connection between two ends; ``one`` began it."""

    one: tuple[bytes, int]
    other: tuple[bytes, int]
    numbers: dict[tuple[bytes, int], int] = field(default_factory=dict)
    deflate: dict[tuple[bytes, int], zlib._Compress] = field(default_factory=dict)

    def segment(self, sender: tuple[bytes, int], data: bytes, flags: int = ACK, back: int = 0) -> bytes:
        """A segment as an IP packet; ``back`` bytes before the next one, then it is a repeat."""
        peer = self.other if sender == self.one else self.one
        body = tcp(
            data,
            (self.numbers[sender] - back) & 0xFFFFFFFF,
            self.numbers[peer],
            flags,
            sender[1],
            peer[1],
        )
        if not back:
            self.numbers[sender] = (self.numbers[sender] + len(data) + (flags & SYN) // SYN) & 0xFFFFFFFF
        return packet(sender[0], peer[0], 6, body)

    def open(self) -> list[bytes]:
        """Handshake."""
        self.numbers = {self.one: 0xFFFFFF00, self.other: 5000}
        return [
            self.segment(self.one, b"", SYN),
            self.segment(self.other, b"", SYN | ACK),
            self.segment(self.one, b""),
        ]


Cut = Callable[[bytes], list[bytes]]
Carrier = Callable[[Sequence[Datagram]], Iterator[tuple[float, bytes]]]


def _pieces(size: int) -> Cut:
    return lambda data: [data[at : at + size] for at in range(0, len(data), size)]


def _inside_line_ends(data: bytes) -> list[bytes]:
    return [part for part in re.split(rb"(?<=\r)(?=\n)", data) if part]


def _over_udp(messages: Sequence[Datagram], port: int = 0) -> Iterator[tuple[float, bytes]]:
    for each in messages:
        ports = [port if port and number == 5060 else number for number in (each[2], each[4])]
        yield each.time, packet(each.source, each.destination, 17, udp(each.payload, *ports))


def _behind_keepalives(messages: Sequence[Datagram]) -> Iterator[tuple[float, bytes]]:
    """Zero bytes, STUN and empty lines before each message, as phones send them."""
    for time, data in _over_udp(messages):
        source, destination = (
            (data[12:16], data[16:20]) if data[0] >> 4 == 4 else (data[8:24], data[24:40])
        )
        ports = struct.unpack("!HH", data[20:24] if len(source) == 4 else data[40:44])
        for filler in (bytes(4), b"\0\x01\0\0\x21\x12\xa4\x42" + bytes(12), b"\r\n\r\n"):
            yield time, packet(source, destination, 17, udp(filler, *ports))
        yield time, data


def _streams(messages: Sequence[Datagram], port: int) -> Iterator[tuple[Datagram, _Stream, bool]]:
    """Each message with its connection, and whether that is new; the server's port becomes ``port``."""
    known: dict[frozenset[tuple[bytes, int]], _Stream] = {}
    for message in messages:
        whole = re.search(rb"[^\r\n]\r?\n\r?\n", message.payload)
        # Some tools leave out the empty line, for which a server waits when it reads a stream.
        each = message if whole else message._replace(payload=message.payload + b"\r\n\r\n")
        ends = (each.source, each.source_port), (each.destination, each.destination_port)
        stream = known.get(frozenset(ends))
        if stream is not None:
            yield each, stream, False
        else:
            other = (ends[1][0], port)
            known[frozenset(ends)] = stream = _Stream((ends[0][0], ends[0][1]), other)
            yield each, stream, True


def _over_tcp(
    cut: Cut, *, port: int = 5060, shuffle: bool = False, decoys: bool = False, handshake: bool = True,
    keepalive: bytes = b"",
) -> Carrier:  # fmt: skip
    def carry(messages: Sequence[Datagram]) -> Iterator[tuple[float, bytes]]:
        for each, stream, new in _streams(messages, port):
            opening = stream.open() if new else []
            for data in opening if handshake else []:
                yield each.time, data
            sender = stream.one if each.source == stream.one[0] else stream.other
            parts = cut(keepalive + each.payload)
            segments = []
            if decoys and sender == stream.one:
                # First what the server never gets, since its checksum is wrong or its TTL too small.
                decoy = b"OPTIONS sip:x SIP/2.0\r\n\r\n"
                whole = keepalive + each.payload
                yield each.time, stream.segment(sender, decoy + b"x" * (len(whole) - len(decoy)))
                left = len(whole)
                for part in parts:
                    segments.append(stream.segment(sender, part, back=left))
                    left -= len(part)
            else:
                segments = [stream.segment(sender, part) for part in parts]
            for data in segments[::-1] if shuffle else segments:
                yield each.time, data

    return carry


def _pipelined(messages: Sequence[Datagram]) -> Iterator[tuple[float, bytes]]:
    """Three requests in one segment, then what the server says to them in another."""
    waiting: dict[int, tuple[_Stream, list[bytes], list[bytes]]] = {}
    time = 0.0
    for each, stream, new in _streams(messages, 5060):
        time = each.time
        for data in stream.open() if new else []:
            yield time, data
        _, asked, answered = waiting.setdefault(id(stream), (stream, [], []))
        if each.source == stream.one[0]:
            if len(asked) == 3:
                yield time, stream.segment(stream.one, b"".join(asked))
                yield time, stream.segment(stream.other, b"".join(answered))
                asked.clear()
                answered.clear()
            asked.append(each.payload)
        else:
            answered.append(each.payload)
    for stream, asked, answered in waiting.values():
        yield time, stream.segment(stream.one, b"".join(asked))
        yield time, stream.segment(stream.other, b"".join(answered))


ATTACKERS_ONLY = {"tcp-decoys", "tcp-pipelined"}
"""Carriers that no network makes of the messages of a good user."""

_UPGRADE = (
    b"GET /sip HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Protocol: sip\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
)
_GRANT = (
    b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: sip\r\n"
)
_OFFER = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


def _ws_frame(data: bytes, first: int, *, masked: bool) -> bytes:
    """RFC 6455 section 5.2."""
    size = len(data)
    bit = 0x80 * masked
    length = bytes((bit | size,)) if size < 126 else bytes((bit | 126,)) + size.to_bytes(2, "big")
    if not masked:
        return bytes((first,)) + length + data
    mask = b"\x3a\x91\x07\xc4"
    return bytes((first,)) + length + mask + bytes(b ^ mask[at % 4] for at, b in enumerate(data))


def _over_websocket(*, deflate: bool = False, parts: int = 1) -> Carrier:
    def carry(messages: Sequence[Datagram]) -> Iterator[tuple[float, bytes]]:
        for each, stream, new in _streams(messages, 8088):
            extra = _OFFER if deflate else b""
            if new:
                for data in stream.open():
                    yield each.time, data
                yield each.time, stream.segment(stream.one, _UPGRADE + extra + b"\r\n")
                yield each.time, stream.segment(stream.other, _GRANT + extra + b"\r\n")
            sender = stream.one if each.source == stream.one[0] else stream.other
            content = each.payload
            if deflate:
                squeeze = stream.deflate.setdefault(sender, zlib.compressobj(wbits=-15))
                content = (squeeze.compress(content) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]
            size = -(-len(content) // parts)
            cut = _pieces(size)(content)
            for number, part in enumerate(cut):
                last = number == len(cut) - 1
                first = 0x80 * last | (0x40 * deflate | 1 if number == 0 else 0)
                masked = sender == stream.one
                yield each.time, stream.segment(sender, _ws_frame(part, first, masked=masked))

    return carry


CARRIERS: dict[str, Carrier] = {
    "udp": _over_udp,
    "udp-odd-port": lambda messages: _over_udp(messages, ODD_PORT),
    "udp-behind-keepalives": _behind_keepalives,
    "tcp": _over_tcp(_pieces(60000)),
    "tcp-odd-port": _over_tcp(_pieces(60000), port=ODD_PORT),
    "tcp-tiny": _over_tcp(_pieces(7)),
    "tcp-inside-line-ends": _over_tcp(_inside_line_ends),
    "tcp-backwards": _over_tcp(_pieces(100), shuffle=True),
    "tcp-pipelined": _pipelined,
    "tcp-decoys": _over_tcp(_pieces(100), decoys=True),
    "tcp-no-handshake": _over_tcp(_pieces(60000), handshake=False),
    "tcp-behind-keepalives": _over_tcp(_pieces(60000), keepalive=b"\r\n\r\n\r\n\r\n"),
    "websocket": _over_websocket(),
    "websocket-in-parts": _over_websocket(parts=5),
    "websocket-deflate": _over_websocket(deflate=True, parts=2),
}


def dress(
    messages: Sequence[Datagram],
    spellings: Sequence[str] = (),
    carrier: str = "udp",
    packets: Sequence[str] = (),
) -> list[Frame]:
    """The frames in which the messages travel so dressed. Servers answer as they always do."""
    spelled = []
    for each in messages:
        payload = each.payload
        if not payload.startswith(b"SIP/2.0 "):
            for name, spell in SPELLINGS.items():
                payload = spell(payload) if name in spellings else payload
        spelled.append(each._replace(payload=payload))
    frames = []
    for time, data in CARRIERS[carrier](spelled):
        layer = [data]
        for name in packets:
            layer = [out for one in layer for out in PACKETS[name](one)]
        frames += [Frame(time, ether(one), 1) for one in layer]
    return frames
