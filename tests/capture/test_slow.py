"""scapy reads what the byte path declines, within a budget, and gives equal packets."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shield.capture.link import DECLINED, Reject, find_ip
from shield.capture.packet import Fragment, Packet, TcpSegment, UdpPacket, read_ip, source_of
from shield.capture.slow import Budget, dissect
from shield.net import pack
from tests.capture.wire import CLIENT6, OPTIONS, SERVER6, ether, ip4, ip6, tcp, udp

HOP_BY_HOP = b"\x11\0\x01\x04\0\0\0\0"
TO_TCP = b"\x06\0\x01\x04\0\0\0\0"


def by_bytes(data: bytes, linktype: int) -> Packet:
    """The byte path without the decoder around it."""
    at = find_ip(data, linktype)
    if isinstance(at, Reject):
        return at
    source = source_of(data, at)
    return source if isinstance(source, Reject) else read_ip(data, at)


FRAMES = [
    (ether(ip4(udp())), 1),
    (ether(ip4(udp(b"abcd"), options=b"\x94\x04\0\0"), pad=bytes(9)), 1),
    (ether(ip6(udp(b"abcd")), pad=bytes(9)), 1),
    (ether(ip6(udp(length=0))), 1),
    (ether(ip4(udp(length=0))), 1),
    (ether(ip4(udp()), 0x8100), 1),
    (ether(ip4(udp()), 0x88A8, 0x8100), 1),
    (ether(ip6(udp()), 0x9100, 0x8100), 1),
    (ether(ip4(tcp(b"abc", 5, 6, 0x18), 6), pad=b"xx"), 1),
    (ether(ip6(tcp(b"abc", 5, 6, 0x18), 6)), 1),
    (ether(ip4(b"12345678", place=0x2003)), 1),
    (ether(ip4(udp(), place=0x2000)), 1),
    (ether(ip6(struct.pack("!BxHI", 17, 25, 7) + b"12345678", 44)), 1),
    (ether(ip6(udp(), source="::ffff:192.0.2.1", destination="::ffff:192.0.2.9")), 1),
    (ether(ip4(b"\x08\0\0\0", 1)), 1),
    (ether(ip4(b"\0\0\x08\0" + ip4(udp()), 47)), 1),
    (ether(ip4(ip4(udp()), 4)), 1),
    (ether(ip4(udp(length=9999))), 1),
    (ether(ip4(udp()))[:-3], 1),
    (ether(ip6(udp()))[:-3], 1),
    (ether(ip4(tcp(b"abc"), 6, total=0)), 1),
    (bytes(14) + b"\x08\0" + ip4(udp()), 113),
    (bytes(14) + b"\x81\0\0\x07\x08\0" + ip4(udp()), 113),
    (b"\x08\0" + bytes(18) + ip4(udp()), 276),
    (b"\x86\xdd" + bytes(18) + ip6(udp()), 276),
    (b"\x02\0\0\0" + ip4(udp()), 0),
    (b"\0\0\0\x02" + ip4(udp()), 108),
    (ip4(udp()), 101),
    (ip6(udp()), 101),
    (ip4(udp()), 228),
    (ip6(udp()), 229),
]


@pytest.mark.parametrize(("data", "linktype"), FRAMES)
def test_both_ways_agree(data: bytes, linktype: int) -> None:
    """What the byte path can read, scapy reads equally."""
    usual = by_bytes(data, linktype)
    assert usual is not DECLINED
    assert dissect(data, linktype) == usual


def test_extension_headers_are_stepped_over() -> None:
    """A request behind hop-by-hop and destination options is seen."""
    got = dissect(ether(ip6(b"\x3c" + HOP_BY_HOP[1:] + HOP_BY_HOP + udp(), 0)), 1)
    assert got == UdpPacket(pack(CLIENT6), 5062, pack(SERVER6), 5060, OPTIONS)
    segment = dissect(ether(ip6(TO_TCP + tcp(b"abc"), 60)), 1)
    assert isinstance(segment, TcpSegment)
    assert segment.payload == b"abc"


def test_a_fragment_behind_an_extension_header() -> None:
    """Its data starts behind the fragment header."""
    data = b"\x2c" + HOP_BY_HOP[1:] + struct.pack("!BxHI", 17, 9, 5) + b"12345678"
    got = dissect(ether(ip6(data, 0)), 1)
    assert got == Fragment(pack(CLIENT6), pack(SERVER6), 6, 17, 5, 8, more=True, data=b"12345678")


def test_pppoe_and_mpls() -> None:
    """Access networks' link layers are understood by scapy."""
    mac = bytes(12)
    body = ip4(udp())
    pppoe = mac + b"\x88\x64" + b"\x11\0\0\x01" + struct.pack("!H", len(body) + 2) + b"\0\x21" + body
    got = dissect(pppoe, 1)
    assert isinstance(got, UdpPacket)
    assert got.payload == OPTIONS
    mpls = mac + b"\x88\x47" + b"\x00\x01\x01\x40" + body
    got = dissect(mpls, 1)
    assert isinstance(got, UdpPacket)
    assert got.payload == OPTIONS


def test_unknown_link_type_has_a_reason() -> None:
    """A number that scapy does not know is told."""
    assert dissect(b"abc", 54321) == Reject("errors", "unknown_linktype")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FRAMES), st.data())
def test_damaged_frames_agree_too(sample: tuple[bytes, int], data: st.DataObject) -> None:
    """With a byte changed both ways still give an equal packet, or both none."""
    frame, linktype = bytearray(sample[0]), sample[1]
    # The address family of loopback frames differs between systems and is not looked at.
    at = data.draw(st.integers(4 if linktype in {0, 108} else 0, len(frame) - 1))
    frame[at] = data.draw(st.integers(0, 255))
    usual, slow = by_bytes(bytes(frame), linktype), dissect(bytes(frame), linktype)
    if isinstance(usual, Reject):
        assert usual is DECLINED or isinstance(slow, Reject)
    else:
        assert slow == usual


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80), st.sampled_from((0, 1, 9, 12, 101, 105, 113, 127, 276)))
def test_noise_never_raises(noise: bytes, linktype: int) -> None:
    """scapy's own exceptions on hostile bytes stay inside."""
    assert dissect(noise, linktype) is not None


def test_budget_allows_a_burst_and_then_a_rate() -> None:
    """At one moment ``burst`` frames pass, afterwards ``rate`` a second of event time."""
    budget = Budget(rate=10, burst=3)
    assert [budget.take(100.0) for _ in range(5)] == [True, True, True, False, False]
    assert [budget.take(100.2) for _ in range(4)] == [True, True, False, False]
    assert sum(budget.take(1000.0) for _ in range(10)) == 3


def test_budget_gains_nothing_from_time_going_back() -> None:
    """Frames out of order cannot mint tokens."""
    budget = Budget(rate=10, burst=1)
    assert budget.take(100.0)
    assert not any(budget.take(moment) for moment in (50.0, 100.0, 20.0, 100.0))
