"""Dresses: what can become of an IP packet. Each gives the packets that one packet becomes."""

from __future__ import annotations

import struct
from collections.abc import Callable

from shield.net import unpack
from tests.capture.tunnel_wire import TUNNELS
from tests.capture.wire import ip4, ip6

__all__ = ["PACKETS", "packet"]

_count = iter(range(1 << 62))


def packet(source: bytes, destination: bytes, protocol: int, body: bytes) -> bytes:
    """An IP packet with an identification of its own; the checksum of UDP or TCP is right."""
    at = 6 if protocol == 17 else 16
    head = source + destination + struct.pack("!HH", protocol, len(body))
    summed = head + body + bytes(len(body) % 2)
    body = (
        body[:at] + struct.pack("!H", 0xFFFF - int.from_bytes(summed, "big") % 0xFFFF) + body[at + 2 :]
    )
    if len(source) == 16:
        return ip6(body, protocol, unpack(source), unpack(destination))
    return ip4(body, protocol, unpack(source), unpack(destination), ident=next(_count) & 0xFFFF)


Packets = Callable[[bytes], list[bytes]]


def _fragments(data: bytes, size: int) -> list[bytes]:
    """The pieces of a packet, each of ``size`` bytes (8 times something); a piece gives smaller ones."""
    if data[0] >> 4 == 6:
        return _fragments6(data, size)
    size_of_header = (data[0] & 15) * 4
    header, body = data[:size_of_header], data[size_of_header:]
    place = data[6] << 8 | data[7]
    ident = header[4:6] if place else struct.pack("!H", next(_count) & 0xFFFF)
    out = []
    for at in range(0, len(body), size):
        piece, more = body[at : at + size], at + size < len(body)
        here = struct.pack("!H", (place + at // 8) | more << 13)
        length = struct.pack("!H", len(header) + len(piece))
        out.append(header[:2] + length + ident + here + header[8:] + piece)
    return out


def _fragments6(data: bytes, size: int) -> list[bytes]:
    """Only the sender makes them (RFC 8200 section 4.5), so a piece stays as it is."""
    header, body = data[:40], data[40:]
    if header[6] == 44:
        return [data]
    ident = next(_count) & 0xFFFFFFFF
    out = []
    for at in range(0, len(body), size):
        piece, more = body[at : at + size], at + size < len(body)
        extra = struct.pack("!BxHI", header[6], at | more, ident) + piece
        out.append(header[:4] + struct.pack("!HB", len(extra), 44) + header[7:] + extra)
    return out


def _overlapping(data: bytes) -> list[bytes]:
    """Each piece after the first comes twice: with other bytes first, and with the right ones."""
    pieces = _fragments(data, 64)
    if len(pieces) < 2:
        return pieces
    start = 48 if data[0] >> 4 == 6 else (data[0] & 15) * 4
    decoys = [each[:start] + b"x" * (len(each) - start) for each in pieces]
    return [one for pair in zip(decoys[1:-1], pieces[1:-1], strict=True) for one in pair] + [
        pieces[0],
        *pieces[1:][-1:],
    ]


def _with_options(data: bytes) -> list[bytes]:
    """IPv4 options that do nothing; six IPv6 headers of destination options that do nothing."""
    if data[0] >> 4 == 6:
        extra = b"\x3c\0\x01\x04\0\0\0\0" * 5 + data[6:7] + b"\0\x01\x04\0\0\0\0"
        length = struct.pack("!H", len(data) - 40 + len(extra))
        return [data[:4] + length + b"\x3c" + data[7:40] + extra + data[40:]]
    start = (data[0] & 15) * 4
    if start > 50:
        return [data]
    length = struct.pack("!H", len(data) + 8)
    return [bytes((data[0] + 2,)) + data[1:2] + length + data[4:start] + b"\1" * 8 + data[start:]]


PACKETS: dict[str, Packets] = {
    "options": _with_options,
    "fragments": lambda data: _fragments(data, 64),
    "confetti": lambda data: _fragments(data, 8),
    "fragments-backwards": lambda data: _fragments(data, 64)[::-1],
    "fragments-twice": lambda data: [one for each in _fragments(data, 64) for one in (each, each)],
    "overlapping": _overlapping,
    **{name: lambda data, into=into: [into(data)] for name, into in TUNNELS.items()},
}
