"""What tunnels carry is seen when that is asked for, between the ends that are named."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shield.blocklist.guard import Guard
from shield.capture.decoder import Decoder
from shield.capture.settings import CaptureSettings
from shield.capture.tunnels import KINDS, MAX_DEPTH
from shield.net import Network, pack
from tests.capture.tunnel_wire import (
    ENDPOINTS,
    IPV4,
    IPV6,
    TUNNELS,
    geneve,
    gre,
    gtp,
    over4,
    to,
    vxlan,
)
from tests.capture.wire import ACK, CLIENT, CLIENT6, OPTIONS, SYN, ether, frame, ip4, ip6, tcp, udp

OPEN = CaptureSettings(tunnels=KINDS, tunnel_endpoints=ENDPOINTS)
INNER = {"IPv4": (ip4(udp()), CLIENT), "IPv6": (ip6(udp()), CLIENT6)}


@pytest.mark.parametrize("version", INNER)
@pytest.mark.parametrize("dress", TUNNELS)
def test_the_inner_packet_is_the_one_that_is_judged(dress: str, version: str) -> None:
    """A message in a tunnel is the message outside; the tunnel's ends appear nowhere."""
    packet, client = INNER[version]
    decoder = Decoder(OPEN)
    (message,) = decoder.feed(frame(ether(TUNNELS[dress](packet)), time=7.0))
    assert message == Decoder().feed(frame(ether(packet), time=7.0))[0]
    assert message.source == pack(client)
    assert (decoder.stats.tunnelled, decoder.stats.slow) == (1, 0)


@pytest.mark.parametrize("dress", TUNNELS)
def test_tunnels_stay_closed_unless_asked_for(dress: str) -> None:
    """Without configuration nobody can show shield an inner address."""
    decoder = Decoder()
    assert decoder.feed(frame(ether(TUNNELS[dress](ip4(udp()))))) == ()
    assert not decoder.stats.errors
    assert sum(decoder.stats.ignored.values()) == 1


@pytest.mark.parametrize("ends", [("10.9.0.1",), ("10.9.0.2", "2001:db8:f::/64"), ("10.8.0.0/16",)])
def test_a_stranger_cannot_open_a_tunnel(ends: tuple[str, ...]) -> None:
    """Both the sender and the receiver must be ends that were named; anything else is counted."""
    decoder = Decoder(CaptureSettings(tunnels=KINDS, tunnel_endpoints=ends))
    for dress in ("ipip", "gre", "gtp", "vxlan", "geneve"):
        assert decoder.feed(frame(ether(TUNNELS[dress](ip4(udp()))))) == ()
    assert decoder.stats.ignored == {"tunnel_stranger": 5}


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_kinds_that_were_named_are_opened(kind: str) -> None:
    """A site with VXLAN does not look into GRE."""
    decoder = Decoder(CaptureSettings(tunnels=(kind,), tunnel_endpoints=ENDPOINTS))
    opened = [each for each in KINDS if decoder.feed(frame(ether(TUNNELS[each](ip4(udp())))))]
    assert opened == [kind]


def test_a_banned_inner_source_is_skipped() -> None:
    """A ban holds inside tunnels: it is counted as a hit of the inner address."""
    guard = Guard(lambda address: None)
    guard.insert(Network.host(pack(CLIENT)))
    decoder = Decoder(OPEN, guard)
    assert decoder.feed(frame(ether(TUNNELS["vxlan"](ip4(udp()))))) == ()
    assert decoder.stats.skipped == guard.hits == 1


def nested(levels: int) -> bytes:
    """A message inside so many tunnels, of different kinds in turn."""
    packet = ip4(udp())
    for level in range(levels):
        packet = TUNNELS[("vxlan", "gre", "gtp", "geneve", "ipip")[level % 5]](packet)
    return packet


def test_tunnels_in_tunnels_are_followed_to_a_depth() -> None:
    """As many as real networks stack are opened; a deeper stack is refused and counted."""
    decoder = Decoder(OPEN)
    assert len(decoder.feed(frame(ether(nested(MAX_DEPTH))))) == 1
    assert decoder.feed(frame(ether(nested(MAX_DEPTH + 1)))) == ()
    assert decoder.stats.errors == {"tunnel_nested": 1}
    assert decoder.stats.tunnelled == 2


def test_fragments_outside_and_inside() -> None:
    """The outer packet, the inner one, or both may come in pieces."""
    payload = OPTIONS + b"x" * 800
    body = udp(payload)
    inner = [ip4(body[:400], ident=3, place=0x2000), ip4(body[400:], ident=3, place=50)]
    decoder = Decoder(OPEN)
    out = []
    for number, packet in enumerate(inner):
        carrier = gre(packet, IPV4)
        for piece in (
            ip4(carrier[200:], 47, "10.9.0.1", "10.9.0.2", ident=number, place=25),
            ip4(carrier[:200], 47, "10.9.0.1", "10.9.0.2", ident=number, place=0x2000),
        ):
            out += decoder.feed(frame(ether(piece)))
    assert [message.payload for message in out] == [payload]


def test_tcp_inside_a_tunnel_is_joined() -> None:
    """A request in two segments after a handshake, in GTP-U: one message."""
    decoder = Decoder(OPEN)
    shots = [
        ip4(tcp(seq=100, flags=SYN), 6),
        ip4(tcp(OPTIONS[:20], seq=101, ack=9001, flags=ACK), 6),
        ip4(tcp(OPTIONS[20:], seq=121, ack=9001, flags=ACK), 6),
    ]
    out = [one for shot in shots for one in decoder.feed(frame(ether(TUNNELS["gtp"](shot))))]
    assert [message.payload for message in out] == [OPTIONS]


def test_what_only_scapy_reads_is_read_inside_a_tunnel_too() -> None:
    """PPPoE in a mirrored frame costs scapy's budget as it does outside."""
    body = ip4(udp())
    session = b"\x88\x64\x11\0\0\x01" + struct.pack("!H", len(body) + 2) + b"\0\x21" + body
    decoder = Decoder(OPEN)
    carrier = over4(gre(bytes(20) + session, 0x88BE, seq=True), 47)
    assert len(decoder.feed(frame(ether(carrier)))) == 1
    assert decoder.stats.slow == 1


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (over4(ip6(udp()), 4), "tunnel_broken"),
        (over4(b"", 4), "tunnel_broken"),
        (over4(gre(ip6(udp()), IPV4), 47), "tunnel_broken"),
        (over4(b"\x40\0\x08\0" + ip4(udp()), 47), "tunnel_broken"),
        (over4(b"\x80\0\x08\0", 47), "tunnel_broken"),
        (over4(b"\0", 47), "tunnel_broken"),
        (over4(gre(bytes(60), 0x8847), 47), "tunnel_broken"),
        (over4(gre(bytes(5), 0x8847), 47), "tunnel_broken"),
        (over4(gre(bytes(5), 0x22EB), 47), "tunnel_broken"),
        (over4(to(2152, b"\x50" + gtp(ip4(udp()))[1:]), 17), "tunnel_broken"),
        (over4(to(2152, gtp(ip4(udp()))[:30]), 17), "tunnel_broken"),
        (over4(to(2152, b"\x34\xff\0\x02\0\0\0\0ab"), 17), "tunnel_broken"),
        (over4(to(2152, b"\x34\xff\0\x05\0\0\0\0\0\0\0\x85\0"), 17), "tunnel_broken"),
        (over4(to(2152, gtp(ip4(udp()), extensions=(b"ab",) * 9)), 17), "tunnel_broken"),
        (over4(to(4789, b"\0" + vxlan(ether(ip4(udp())))[1:]), 17), "tunnel_broken"),
        (over4(to(6081, b"\x40" + geneve(ip4(udp()), IPV4)[1:]), 17), "tunnel_broken"),
        (over4(to(6081, b"\x3f" + geneve(ip4(udp()), IPV4)[1:60]), 17), "tunnel_broken"),
    ],
)
def test_broken_tunnels_are_counted(packet: bytes, reason: str) -> None:
    """What a receiver would drop is no packet."""
    decoder = Decoder(OPEN)
    assert decoder.feed(frame(ether(packet))) == ()
    assert decoder.stats.errors == {reason: 1}


@pytest.mark.parametrize(
    "packet",
    [
        over4(b"\x20\x01\x88\x0b" + bytes(12), 47),
        over4(gre(bytes(20), 0x0806), 47),
        over4(gre(bytes(10) + b"\x18\0" + bytes(20), 0x22EB), 47),
        over4(to(2152, gtp(bytes(4), kind=1)), 17),
        over4(to(2152, gtp(bytes(20))), 17),
        over4(to(6081, b"\0\x80" + geneve(ip4(udp()), IPV6)[2:]), 17),
    ],
)
def test_housekeeping_and_other_protocols_are_ignored(packet: bytes) -> None:
    """PPTP, ARP, echoes and control packets carry no IP packet to judge."""
    decoder = Decoder(OPEN)
    assert decoder.feed(frame(ether(packet))) == ()
    assert decoder.stats.ignored == {"tunnel_other": 1}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(TUNNELS)), st.integers(0, 90), st.binary(max_size=8), st.integers(0, 100))
def test_damage_never_raises(dress: str, at: int, noise: bytes, cut: int) -> None:
    """Any bytes anywhere in a tunnelled packet, cut anywhere, are counted or read."""
    packet = TUNNELS[dress](ip4(udp()))
    damaged = packet[:at] + noise + packet[at + len(noise) : len(packet) - cut]
    decoder = Decoder(OPEN)
    decoder.feed(frame(ether(damaged) if damaged else b""))
    assert decoder.stats.frames == 1


def test_gre_header_fields_follow_the_standard() -> None:
    """The builder's header is the one of RFC 2890, so the tests above test what travels."""
    assert gre(b"", IPV4, key=True, seq=True)[:4] == struct.pack("!HH", 0x3000, 0x0800)
