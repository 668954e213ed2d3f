"""Builders for frames, one line each: packets from the inside out, as bytes."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from shield.capture.packet import TcpSegment
from shield.capture.source import Frame
from shield.net import pack

CLIENT, SERVER = "192.0.2.1", "198.51.100.2"
CLIENT6, SERVER6 = "2001:db8::1", "2001:db8:1::2"
OPTIONS = (
    b"OPTIONS sip:server.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1\r\nContent-Length: 0\r\n\r\n"
)
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def udp(
    payload: bytes = OPTIONS, sport: int = 5062, dport: int = 5060, length: int | None = None
) -> bytes:
    """A UDP datagram; ``length`` lies about its size."""
    return (
        struct.pack("!HHHH", sport, dport, 8 + len(payload) if length is None else length, 0) + payload
    )


def tcp(
    payload: bytes = b"",
    seq: int = 1,
    ack: int = 0,
    flags: int = ACK,
    sport: int = 5062,
    dport: int = 5060,
) -> bytes:
    """A TCP segment with 12 bytes of options."""
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 8 << 4, flags, 65535, 0, 0)
    return head + b"\x01\x01\x08\x0a" + bytes(8) + payload


def ip4(
    body: bytes, protocol: int = 17, source: str = CLIENT, destination: str = SERVER,
    *, ident: int = 1, place: int = 0, options: bytes = b"", total: int | None = None,
) -> bytes:  # fmt: skip
    """An IPv4 packet; ``place`` is the flags and offset field, ``total`` lies about the size."""
    size = 20 + len(options) + len(body) if total is None else total
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, size, ident, place, 64, protocol, 0,
        pack(source), pack(destination),
    )  # fmt: skip
    # With a right checksum, as bridges drop what has none.
    total_sum = sum(struct.unpack(f"!{(len(head) + len(options)) // 2}H", head + options))
    total_sum = (total_sum & 0xFFFF) + (total_sum >> 16)
    check = ~((total_sum & 0xFFFF) + (total_sum >> 16)) & 0xFFFF
    return head[:10] + struct.pack("!H", check) + head[12:] + options + body


def ip6(
    body: bytes,
    following: int = 17,
    source: str = CLIENT6,
    destination: str = SERVER6,
    length: int | None = None,
) -> bytes:
    """An IPv6 packet."""
    head = struct.pack("!IHBB", 6 << 28, len(body) if length is None else length, following, 64)
    return head + _long(source) + _long(destination) + body


def _long(text: str) -> bytes:
    """16 bytes also for an IPv4-mapped address."""
    packed = pack(text)
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


def ether(body: bytes, *tags: int, pad: bytes = b"") -> bytes:
    """An Ethernet frame; each tag is an EtherType of a VLAN header."""
    head = bytes.fromhex("020000000002020000000001")
    for tag in tags:
        head += struct.pack("!HH", tag, 7)
    return head + (b"\x86\xdd" if body[:1] and body[0] >> 4 == 6 else b"\x08\x00") + body + pad


def frame(data: bytes, linktype: int = 1, time: float = 1000.0) -> Frame:
    """A captured frame."""
    return Frame(time, data, linktype)


def segment(
    payload: bytes = b"", *, seq: int, ack: int = 0, flags: int = ACK, back: bool = False,
    client: tuple[str, int] = (CLIENT, 5062), server: tuple[str, int] = (SERVER, 5060),
) -> TcpSegment:  # fmt: skip
    """A segment from the client, or ``back`` from the server."""
    one, other = (server, client) if back else (client, server)
    return TcpSegment(
        pack(one[0]),
        one[1],
        pack(other[0]),
        other[1],
        seq & 0xFFFFFFFF,
        ack & 0xFFFFFFFF,
        flags,
        payload,
    )


def handshake(
    client_isn: int = 100, server_isn: int = 9000, **ends: tuple[str, int]
) -> list[TcpSegment]:
    """SYN, SYN-ACK, ACK; data then starts one behind the initial sequence numbers."""
    return [
        segment(seq=client_isn, flags=SYN, **ends),
        segment(seq=server_isn, ack=client_isn + 1, flags=SYN | ACK, back=True, **ends),
        segment(seq=client_isn + 1, ack=server_isn + 1, **ends),
    ]


def pcap(*frames: tuple[float, bytes], order: str = "<", nano: bool = False, linktype: int = 1) -> bytes:
    """A capture file."""
    magic, unit = (0xA1B23C4D, 10**9) if nano else (0xA1B2C3D4, 10**6)
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, linktype)
    for time, data in frames:
        fraction = round((time - int(time)) * unit)
        out += struct.pack(order + "IIII", int(time), fraction, len(data), len(data)) + data
    return out


def capture_files() -> list[Path]:
    """All captures where they are, otherwise the few that travel with the tests."""
    here = Path(__file__).resolve()
    named = os.environ.get("SHIELD_CAPTURES")
    for folder in (Path(named) if named else None, here.parents[3] / "shared" / "captures"):
        if folder is not None and any(folder.glob("*.pcap")):
            return sorted(folder.glob("*.pcap"))
    files = sorted((here.parents[1] / "captures").glob("*.pcap"))
    assert files, "no captures at all"
    return files


def capture_params() -> list[object]:
    """The captures as test parameters."""
    return [pytest.param(path, id=path.stem) for path in capture_files()]
