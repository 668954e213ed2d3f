"""One frame in, the messages it completes out; banned sources first, both paths equal."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shield.blocklist.guard import Guard
from shield.capture.decoder import Decoder
from shield.capture.settings import CaptureSettings
from shield.net import Datagram, Network, Transport, pack
from tests.capture.wire import (
    ACK,
    CLIENT,
    CLIENT6,
    OPTIONS,
    SERVER,
    SERVER6,
    SYN,
    ether,
    frame,
    ip4,
    ip6,
    tcp,
    udp,
)


class Banned:
    """A guard with fixed hosts and networks that remembers whom it turned away."""

    def __init__(
        self, *hosts: str, networks: Sequence[str] = (), ports: Sequence[tuple[str, int, int]] = ()
    ) -> None:
        self.hosts = {pack(host) for host in hosts}
        self.networks = [Network.parse(network) for network in networks]
        self.wide = bool(networks)
        self.ports = {(pack(address), protocol, number) for address, protocol, number in ports}
        self.hits: list[bytes] = []

    def covers(self, address: bytes) -> bool:
        return any(network.contains(Network.host(address)) for network in self.networks)

    def hit(self, address: bytes, time: float) -> None:
        self.hits.append(address)


def test_usual_frame() -> None:
    """Ethernet, IPv4, UDP: time, addresses, ports, payload, and no proof of the source."""
    decoder = Decoder()
    assert decoder.feed(frame(ether(ip4(udp()), pad=b"x" * 4), time=12.5)) == (
        Datagram(12.5, pack(CLIENT), 5062, pack(SERVER), 5060, Transport.UDP, OPTIONS),
    )
    assert (decoder.stats.frames, decoder.stats.messages, decoder.stats.slow) == (1, 1, 0)


@pytest.mark.parametrize(
    ("data", "linktype"),
    [
        (ether(ip4(udp(), options=b"\x94\x04\0\0")), 1),
        (ether(ip4(udp()), 0x8100), 1),
        (ether(ip4(udp()), 0x88A8, 0x8100), 1),
        (bytes(14) + b"\x08\0" + ip4(udp()), 113),
        (b"\x08\0" + bytes(18) + ip4(udp()), 276),
        (b"\x02\0\0\0" + ip4(udp()), 0),
        (ip4(udp()), 101),
    ],
)
def test_other_link_layers_without_scapy(data: bytes, linktype: int) -> None:
    """VLAN, QinQ, cooked, loopback and raw IP take the byte path and give the same message."""
    decoder = Decoder()
    (message,) = decoder.feed(frame(data, linktype))
    assert message == Decoder().feed(frame(ether(ip4(udp()))))[0]
    assert decoder.stats.slow == 0


def test_ipv6() -> None:
    """The same over IPv6."""
    (message,) = Decoder().feed(frame(ether(ip6(udp()))))
    assert (message.source, message.destination) == (pack(CLIENT6), pack(SERVER6))
    assert message.payload == OPTIONS


def test_responses_are_seen_too() -> None:
    """The server's port as source is enough."""
    assert Decoder().feed(frame(ether(ip4(udp(sport=5060, dport=40000)))))


@pytest.mark.parametrize("vlan", [(), (0x8100,)])
def test_other_ports_are_ignored(vlan: tuple[int, ...]) -> None:
    """RTP beside SIP is counted and passed over."""
    decoder = Decoder()
    assert decoder.feed(frame(ether(ip4(udp(sport=4000, dport=4002)), *vlan))) == ()
    assert decoder.stats.ignored == {"other_port": 1}


def test_any_port_looks_at_the_content() -> None:
    """With any_port a SIP start line counts, on whichever port, and nothing else."""
    decoder = Decoder(CaptureSettings(any_port=True))
    assert len(decoder.feed(frame(ether(ip4(udp(sport=4000, dport=4002)))))) == 1
    assert decoder.feed(frame(ether(ip4(udp(b"\x80" + bytes(99), 4000, 4002))))) == ()
    assert decoder.feed(frame(ether(ip4(udp(b"\xff\xfe\xfd\xfc garbage on the SIP port")))))


def test_keepalives_are_counted_only() -> None:
    """Empty lines, zero bytes, an empty datagram."""
    decoder = Decoder()
    for payload in (b"\r\n\r\n", bytes(4), b""):
        assert decoder.feed(frame(ether(ip4(udp(payload))))) == ()
    assert decoder.stats.keepalives == 3


@pytest.mark.parametrize(
    "payload", [b"\r\n" + OPTIONS, b"OPTIONS", b"\xff\xfe\xfd\xfc", b"\0\0" + OPTIONS, b"abcd"]
)
def test_odd_payloads_come_out_whole(payload: bytes) -> None:
    """Leading empty lines and garbage are for the parser to judge."""
    (message,) = Decoder().feed(frame(ether(ip4(udp(payload)))))
    assert message.payload == payload


@pytest.mark.parametrize(
    ("guard", "data"),
    [
        (Banned(CLIENT), ether(ip4(udp()))),
        (Banned(CLIENT), ether(ip4(udp()), 0x8100)),
        (Banned(CLIENT), ether(ip4(tcp(b"x", flags=SYN), 6))),
        (Banned(CLIENT), ether(ip4(b"12345678", place=0x2001))),
        (Banned(CLIENT), ether(ip6(udp(), source=f"::ffff:{CLIENT}"))),
        (Banned(CLIENT6), ether(ip6(udp()))),
        (Banned(CLIENT6), ether(ip6(b"\x11\0\x01\x04\0\0\0\0" + udp(), 60))),
        (Banned(networks=["192.0.2.0/24"]), ether(ip4(udp()))),
        (Banned(networks=["2001:db8::/64"]), ether(ip6(udp()))),
        (Banned(networks=["192.0.2.0/24"]), ether(ip4(udp()), 0x88A8, 0x8100)),
    ],
)
def test_banned_sources_are_skipped_before_decoding(guard: Banned, data: bytes) -> None:
    """Hosts and networks, on every path; scapy is not even asked."""
    decoder = Decoder(None, guard)
    assert decoder.feed(frame(data)) == ()
    assert (decoder.stats.skipped, decoder.stats.slow, decoder.stats.messages) == (1, 0, 0)
    assert len(guard.hits) == 1
    assert not decoder.stats.ignored


@pytest.mark.parametrize(
    ("client", "protocol", "data"),
    [
        (CLIENT, 17, lambda port: ether(ip4(udp(sport=port)))),
        (CLIENT, 17, lambda port: ether(ip4(udp(sport=port)), 0x8100)),
        (CLIENT6, 17, lambda port: ether(ip6(udp(sport=port)))),
        (CLIENT, 6, lambda port: ether(ip4(tcp(b"x", flags=SYN, sport=port), 6))),
    ],
)
def test_one_port_of_a_limited_source_is_skipped(
    client: str, protocol: int, data: Callable[[int], bytes]
) -> None:
    """Another port of the same address is read, and so is the port with another protocol."""
    guard = Banned(ports=[(client, protocol, 40_001)])
    decoder = Decoder(None, guard)
    assert decoder.feed(frame(data(40_001))) == ()
    assert (decoder.stats.skipped, guard.hits) == (1, [pack(client)])
    decoder.feed(frame(data(40_002)))
    assert decoder.stats.skipped == 1
    other = Decoder(None, Banned(ports=[(client, 23 - protocol, 40_001)]))
    other.feed(frame(data(40_001)))
    assert other.stats.skipped == 0


def test_a_fragment_is_skipped_by_port_when_it_is_whole() -> None:
    """Only its first part names the port."""
    whole = udp(sport=40_001)
    guard = Banned(ports=[(CLIENT, 17, 40_001)])
    decoder = Decoder(None, guard)
    decoder.feed(frame(ether(ip4(whole[:16], place=0x2000))))
    assert not decoder.feed(frame(ether(ip4(whole[16:], place=2))))
    assert (decoder.stats.skipped, decoder.stats.messages) == (1, 0)


def pppoe(body: bytes) -> bytes:
    """A frame that only scapy can read."""
    return bytes(12) + b"\x88\x64\x11\0\0\x01" + struct.pack("!H", len(body) + 2) + b"\0\x21" + body


def test_banned_source_behind_pppoe() -> None:
    """Where only scapy can find the source, it is asked right after."""
    data = pppoe(ip4(udp()))
    decoder = Decoder(None, Banned(CLIENT))
    assert decoder.feed(frame(data)) == ()
    assert decoder.stats.skipped == 1
    assert len(Decoder().feed(frame(data))) == 1


def test_a_ban_does_not_hide_the_servers_answers() -> None:
    """Only the source is asked for; who else is not banned passes."""
    decoder = Decoder(None, Banned(CLIENT, networks=["203.0.113.0/24"]))
    assert decoder.feed(
        frame(ether(ip4(udp(sport=5060, dport=5062), source=SERVER, destination=CLIENT)))
    )


def test_bans_of_the_next_moment_count() -> None:
    """The guard's set is asked anew for each frame."""
    guard = Banned()
    decoder = Decoder(None, guard)
    assert decoder.feed(frame(ether(ip4(udp()))))
    guard.hosts = {pack(CLIENT)}
    assert not decoder.feed(frame(ether(ip4(udp()))))


def test_a_guard_that_bans_nobody_yet_is_kept() -> None:
    """The blocklist's guard is false while it is empty; it must be asked all the same."""
    guard = Guard(lambda address: None)
    assert not guard
    decoder = Decoder(None, guard)
    guard.insert(Network.host(pack(CLIENT)))
    assert not decoder.feed(frame(ether(ip4(udp()))))
    assert decoder.stats.skipped == guard.hits == 1


def test_fragments_are_joined() -> None:
    """An INVITE bigger than the MTU, last piece first, over IPv4 and IPv6."""
    payload = OPTIONS + b"x" * 3000
    body = udp(payload)
    decoder = Decoder()
    assert not decoder.feed(frame(ether(ip4(body[1480:2960], place=0x2000 | 185))))
    assert not decoder.feed(frame(ether(ip4(body[2960:], place=370))))
    (message,) = decoder.feed(frame(ether(ip4(body[:1480], place=0x2000))))
    assert message.payload == payload
    head = struct.pack("!BxHI", 17, 1, 9)
    assert not decoder.feed(frame(ether(ip6(head + body[:1448], 44))))
    (message,) = decoder.feed(frame(ether(ip6(struct.pack("!BxHI", 17, 1448, 9) + body[1448:], 44))))
    assert message.payload == payload
    assert decoder.stats.slow == 0


def test_fragmented_extension_headers_need_no_scapy() -> None:
    """Destination options inside the fragmented part are stepped over."""
    body = b"\x11\0\x01\x04\0\0\0\0" + udp()
    decoder = Decoder()
    decoder.feed(frame(ether(ip6(struct.pack("!BxHI", 60, 1, 9) + body[:16], 44))))
    (message,) = decoder.feed(frame(ether(ip6(struct.pack("!BxHI", 60, 16, 9) + body[16:], 44))))
    assert message.payload == OPTIONS
    assert decoder.stats.slow == 0


def test_a_fragment_inside_a_fragment_is_refused() -> None:
    """Fragment headers behind each other would hide a request; the trick is counted."""
    inner = struct.pack("!BxHI", 17, 1, 3) + udp()[:16]
    decoder = Decoder()
    decoder.feed(frame(ether(ip6(struct.pack("!BxHI", 44, 1, 9) + inner[:16], 44))))
    assert not decoder.feed(frame(ether(ip6(struct.pack("!BxHI", 44, 16, 9) + inner[16:], 44))))
    assert decoder.stats.errors == {"fragment_nested": 1}


def test_scapy_has_a_budget() -> None:
    """An attacker who sends unusual frames cannot buy scapy's time: further ones are counted."""
    decoder = Decoder(CaptureSettings(scapy_rate=1, scapy_burst=5))
    data = pppoe(ip4(udp()))
    assert sum(len(decoder.feed(frame(data))) for _ in range(20)) == 5
    assert (decoder.stats.slow, decoder.stats.slow_refused) == (5, 15)
    assert len(decoder.feed(frame(data, time=1002.0))) == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (ether(ip4(udp()))[:60], "truncated"),
        (ether(ip4(udp()))[:20], "truncated"),
        (ether(ip6(udp()))[:60], "truncated"),
        (b"", "truncated"),
        (ether(ip4(udp(length=3))), "bad_udp_length"),
        (ether(ip4(udp(length=65000))), "bad_udp_length"),
        (ether(ip4(udp(), total=21)), "bad_udp_length"),
        (ether(ip4(udp(), total=7)), "bad_ip_length"),
    ],
)
def test_broken_frames_are_counted(data: bytes, reason: str) -> None:
    """What is cut or lies about its length is counted by reason."""
    decoder = Decoder()
    assert decoder.feed(frame(data)) == ()
    assert decoder.stats.errors == {reason: 1}


def test_icmp_is_no_sip() -> None:
    """An ICMP error quotes the SIP packet, but is none."""
    decoder = Decoder()
    quoted = b"\x03\x03\0\0\0\0\0\0" + ip4(udp())
    assert decoder.feed(frame(ether(ip4(quoted, 1)))) == ()
    assert decoder.stats.ignored == {"icmp": 1}


def test_tcp_is_joined_and_proven() -> None:
    """A request in two segments after a handshake is one connected message."""
    decoder = Decoder()
    shots = [
        ip4(tcp(seq=100, flags=SYN), 6),
        ip4(tcp(seq=9000, ack=101, flags=SYN | ACK, sport=5060, dport=5062), 6, SERVER, CLIENT),
        ip4(tcp(seq=101, ack=9001), 6),
        ip4(tcp(OPTIONS[:20], seq=101, ack=9001), 6),
        ip4(tcp(OPTIONS[20:], seq=121, ack=9001), 6),
    ]
    out = [one for shot in shots for one in decoder.feed(frame(ether(shot)))]
    assert [(one.payload, one.transport, one.connected) for one in out] == [
        (OPTIONS, Transport.TCP, True)
    ]
    assert decoder.feed(frame(ether(ip4(tcp(OPTIONS, dport=80, sport=81), 6)))) == ()
    assert decoder.stats.ignored == {"other_port": 1}


def test_flush_gives_out_open_streams() -> None:
    """At the end of a file an unfinished request is still seen, and counted."""
    decoder = Decoder()
    decoder.feed(frame(ether(ip4(tcp(seq=100, flags=SYN), 6))))
    decoder.feed(frame(ether(ip4(tcp(b"OPTIONS sip:x", seq=101), 6))))
    assert [one.payload for one in decoder.flush()] == [b"OPTIONS sip:x"]
    assert decoder.stats.messages == 1


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), st.sampled_from((0, 1, 12, 101, 108, 113, 276)))
def test_noise_never_raises(noise: bytes, linktype: int) -> None:
    """Any bytes on any link type are counted somewhere."""
    decoder = Decoder()
    for prefix in (b"", ether(ip4(b""))[:34], ether(ip6(b""))[:54]):
        decoder.feed(frame(prefix + noise, linktype))
    decoder.flush()
    assert decoder.stats.frames == 3
