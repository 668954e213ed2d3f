"""IP, UDP and TCP headers are read on bytes, and what is wrong with them is named."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.capture.link import Reject
from shield.capture.packet import (
    Fragment,
    TcpSegment,
    Tunnel,
    UdpPacket,
    read_ip,
    read_transport,
    source_of,
)
from shield.net import pack
from tests.capture.wire import CLIENT, CLIENT6, OPTIONS, SERVER, SERVER6, ip4, ip6, tcp, udp


def test_udp_over_ipv4() -> None:
    """Addresses are packed, the payload is cut by the UDP length."""
    data = ip4(udp() + b"trailer")
    assert read_ip(data, 0) == UdpPacket(pack(CLIENT), 5062, pack(SERVER), 5060, OPTIONS)
    assert source_of(data, 0) == pack(CLIENT)


def test_udp_over_ipv6() -> None:
    """The same for IPv6."""
    data = ip6(udp())
    assert read_ip(data, 0) == UdpPacket(pack(CLIENT6), 5062, pack(SERVER6), 5060, OPTIONS)
    assert source_of(data, 0) == pack(CLIENT6)


def test_mapped_addresses_become_four_bytes() -> None:
    """::ffff:192.0.2.1 has the same key as 192.0.2.1 (RFC 4291 section 2.5.5.2)."""
    data = ip6(udp(), source=f"::ffff:{CLIENT}", destination=f"::ffff:{SERVER}")
    packet = read_ip(data, 0)
    assert isinstance(packet, UdpPacket)
    assert (packet.source, packet.destination) == (pack(CLIENT), pack(SERVER))
    assert source_of(data, 0) == pack(CLIENT)


def test_ethernet_padding_is_cut() -> None:
    """A frame is filled up to 60 bytes; the filling is no payload."""
    assert read_ip(ip4(udp(b"abcd")) + bytes(14), 0)[-1] == b"abcd"
    assert read_ip(ip6(udp(b"abcd")) + bytes(14), 0)[-1] == b"abcd"


def test_ipv4_options_are_stepped_over() -> None:
    """Options are no way to hide a request."""
    assert read_ip(ip4(udp(), options=b"\x94\x04\x00\x00" * 3), 0)[-1] == OPTIONS


def test_length_zero_means_the_rest() -> None:
    """A packet captured before segmentation offload has no length yet."""
    got = read_ip(ip4(tcp(b"abc"), 6, total=0), 0)
    assert isinstance(got, TcpSegment)
    assert got.payload == b"abc"


def test_tcp_fields() -> None:
    """Sequence numbers, flags and data behind the options."""
    got = read_ip(ip4(tcp(b"abc", seq=7, ack=9, flags=0x18), 6), 0)
    assert got == TcpSegment(pack(CLIENT), 5062, pack(SERVER), 5060, 7, 9, 0x18, b"abc")


def test_the_urgent_pointer_counts_with_its_flag_only() -> None:
    """Without URG the field means nothing (RFC 9293 section 3.1)."""
    body = tcp(b"abc", flags=0x38)
    body = body[:18] + b"\0\2" + body[20:]
    got = [read_ip(ip4(each, 6), 0) for each in (body, body[:13] + b"\x18" + body[14:])]
    assert [each.urgent for each in got if isinstance(each, TcpSegment)] == [2, 0]


def test_fragments() -> None:
    """Offset in bytes and the more-fragments flag, IPv4 and IPv6."""
    four = read_ip(ip4(b"12345678", ident=5, place=0x2000 | 3), 0)
    assert four == Fragment(pack(CLIENT), pack(SERVER), 4, 17, 5, 24, more=True, data=b"12345678")
    six = read_ip(ip6(struct.pack("!BxHI", 17, 24 | 1, 77) + b"12345678", 44), 0)
    assert six == Fragment(pack(CLIENT6), pack(SERVER6), 6, 17, 77, 24, more=True, data=b"12345678")


def test_dont_fragment_is_no_fragment() -> None:
    """The DF flag, and the reserved bit that scanners set, change nothing."""
    assert isinstance(read_ip(ip4(udp(), place=0xC000), 0), UdpPacket)


@pytest.mark.parametrize(
    ("data", "counter", "reason"),
    [
        (ip4(udp())[:-1], "errors", "truncated"),
        (ip6(udp())[:-1], "errors", "truncated"),
        (ip4(udp(), total=10), "errors", "bad_ip_length"),
        (b"\x44" + ip4(udp())[1:], "errors", "bad_ip_length"),
        (ip4(udp(length=7)), "errors", "bad_udp_length"),
        (ip4(udp(length=9000)), "errors", "bad_udp_length"),
        (ip4(b"1234"), "errors", "bad_udp_length"),
        (ip4(tcp()[:10], 6), "errors", "bad_tcp_length"),
        (ip4(tcp()[:12] + b"\xf0" + tcp()[13:], 6), "errors", "bad_tcp_length"),
        (ip4(tcp()[:12] + b"\x10" + tcp()[13:], 6), "errors", "bad_tcp_length"),
        (ip6(b"\x11\0\0", 44), "errors", "bad_ip_length"),
        (ip4(b"\x08\0\0\0", 1), "ignored", "icmp"),
        (ip6(b"\x80\0\0\0", 58), "ignored", "icmp"),
        (ip6(b"\x3a\0\x05\x02\0\0\0\0", 0), "ignored", "icmp"),
        (ip4(b"", 89), "ignored", "other_protocol"),
        (ip4(b"", 60), "ignored", "other_protocol"),
    ],
)
def test_reasons(data: bytes, counter: str, reason: str) -> None:
    """What is broken or no SIP is told by reason."""
    assert read_ip(data, 0) == Reject(counter, reason)


def chain(*headers: int, last: int = 17) -> tuple[bytes, int]:
    """Extension headers of 8 bytes and what the first is; the authentication header says 4 less."""
    out = b""
    following = last
    for header in reversed(headers):
        out = bytes((following, 0)) + (b"\0\0" if header == 51 else b"\x01\x04") + bytes(4) + out
        following = header
    return out, following


@pytest.mark.parametrize("headers", [(0,), (43,), (51,), (60,), (135,), (0, 60, 43, 60), (60,) * 200])
def test_ipv6_extension_headers_are_stepped_over(headers: tuple[int, ...]) -> None:
    """However many the sender puts there, what is behind them is read."""
    before, first = chain(*headers)
    got = read_ip(ip6(before + udp(), first), 0)
    assert got == UdpPacket(pack(CLIENT6), 5062, pack(SERVER6), 5060, OPTIONS)
    piece = struct.pack("!BxHI", 17, 8, 5) + b"12345678"
    before, first = chain(*headers, last=44)
    got = read_ip(ip6(before + piece, first), 0)
    assert got == Fragment(pack(CLIENT6), pack(SERVER6), 6, 17, 5, 8, more=False, data=b"12345678")


def test_reassembled_extension_headers_are_stepped_over() -> None:
    """They may also be in the part that was fragmented; another fragment header may not."""
    before, first = chain(60, 51)
    ends = pack(CLIENT6), pack(SERVER6)
    assert isinstance(read_transport(*ends, first, before + udp()), UdpPacket)
    before, first = chain(60, last=44)
    assert read_transport(*ends, first, before + bytes(8)) == Reject("errors", "fragment_nested")


@pytest.mark.parametrize("body", [b"", b"\x11", b"\x11\x05" + bytes(20), b"\x3c\0" + bytes(6)])
def test_cut_extension_headers_are_counted(body: bytes) -> None:
    """A header that ends behind the packet leads nowhere."""
    assert read_ip(ip6(body, 60), 0) == Reject("errors", "bad_ip_length")


def test_endless_extension_headers_are_counted() -> None:
    """There is a limit, far beyond what a frame can hold."""
    before, first = chain(*(60,) * 300)
    assert read_ip(ip6(before + udp(), first), 0) == Reject("errors", "bad_ip_length")


def test_a_udp_length_of_zero() -> None:
    """Over IPv6 Linux reads up to the end of the packet, so shield does; over IPv4 it is an error."""
    assert read_ip(ip6(udp(length=0)), 0) == UdpPacket(pack(CLIENT6), 5062, pack(SERVER6), 5060, OPTIONS)
    assert read_ip(ip4(udp(length=0)), 0) == Reject("errors", "bad_udp_length")


def test_source_of_short_and_odd_packets() -> None:
    """Without a whole IP header there is no source to ask for."""
    assert source_of(ip4(udp())[:19], 0) == Reject("errors", "truncated")
    assert source_of(ip6(udp())[:39], 0) == Reject("errors", "truncated")
    assert source_of(b"\x50" + bytes(60), 0) == Reject("errors", "bad_ip_version")


@given(st.binary(min_size=40, max_size=120), st.sampled_from((0x45, 0x46, 0x4F, 0x60)))
def test_noise_never_raises(noise: bytes, first: int) -> None:
    """Any bytes give a packet or a reason."""
    assert read_ip(bytes((first,)) + noise, 0) is not None


@pytest.mark.parametrize("protocol", [4, 41, 47])
def test_tunnels_are_told_with_what_they_carry(protocol: int) -> None:
    """Whether they are opened is for others to decide."""
    assert read_ip(ip4(b"carried", protocol), 0) == Tunnel(
        pack(CLIENT), pack(SERVER), protocol, b"carried"
    )
