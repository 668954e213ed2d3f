"""A connection starts, starts anew and ends only as the server sees it."""

from __future__ import annotations

from collections import Counter

import pytest

from shield.capture.connection import Connection
from shield.capture.packet import TcpSegment
from shield.net import Datagram, Transport, pack
from tests.capture.wire import ACK, CLIENT, FIN, RST, SERVER, SYN, handshake, segment

M = b"OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n"
N = b"REGISTER sip:b SIP/2.0\r\nCall-ID: 2\r\n\r\n"
R = b"SIP/2.0 200 OK\r\nCall-ID: 1\r\n\r\n"


def connection() -> tuple[Connection, Counter[str]]:
    errors: Counter[str] = Counter()
    return Connection((pack(CLIENT), 5062, pack(SERVER), 5060), errors, lambda _: True), errors


def play(target: Connection, *segments: TcpSegment) -> list[Datagram]:
    out: list[Datagram] = []
    for one in segments:
        target.take(int(one.source == pack(SERVER)), one, out)
    return out


def payloads(out: list[Datagram]) -> list[bytes]:
    return [one.payload for one in out]


def test_handshake_makes_both_sides_proven() -> None:
    """SYN, SYN-ACK, ACK, then a request and its response, each from its side and connected."""
    target, errors = connection()
    out = play(
        target,
        *handshake(),
        segment(M, seq=101, ack=9001),
        segment(R, seq=9001, ack=101 + len(M), back=True),
    )
    assert payloads(out) == [M, R]
    assert [one.connected for one in out] == [True, True]
    assert [(one.source, one.source_port, one.destination_port) for one in out] == [
        (pack(CLIENT), 5062, 5060),
        (pack(SERVER), 5060, 5062),
    ]
    assert {one.transport for one in out} == {Transport.TCP}
    assert not errors


@pytest.mark.parametrize("ack", [0, 1, 9001, 0xFFFFFFFF])
def test_forged_syn_and_data_is_not_connected(ack: int) -> None:
    """Without the server's SYN-ACK no acknowledgment proves anything."""
    target, _ = connection()
    out = play(target, segment(seq=100, flags=SYN), segment(M, seq=101, ack=ack))
    assert payloads(out) == [M]
    assert not out[0].connected


def test_forged_data_after_the_servers_answer_is_not_connected() -> None:
    """The forger does not see the SYN-ACK, so his acknowledgment is wrong."""
    target, _ = connection()
    syn, answer, _ = handshake()
    out = play(target, syn, answer, segment(M, seq=101, ack=4242))
    assert not any(one.connected for one in out)
    out = play(target, segment(M, seq=101, ack=9000 + 70))
    assert not any(one.connected for one in out)


def test_a_reset_proves_nothing_to_a_forger() -> None:
    """A closed port answers with the forger's own number (RFC 9293 section 3.10.7.1)."""
    target, _ = connection()
    out = play(
        target,
        segment(M, seq=101, ack=5555),
        segment(seq=5555, flags=RST, back=True),
        segment(N, seq=101 + len(M), ack=5555),
    )
    assert not any(one.connected for one in out)


def test_joined_in_the_middle_becomes_proven() -> None:
    """After data was acknowledged both ways the next message counts as connected."""
    target, _ = connection()
    out = play(
        target,
        segment(M, seq=500, ack=7000),
        segment(R, seq=7000, ack=500 + len(M), back=True),
        segment(N, seq=500 + len(M), ack=7000 + len(R)),
        segment(R, seq=7000 + len(R), ack=500 + len(M + N), back=True),
        segment(M, seq=500 + len(M + N), ack=7000 + 2 * len(R)),
    )
    assert payloads(out) == [M, R, N, R, M]
    assert [one.connected for one in out] == [False, False, True, True, True]


def test_data_on_the_syn_is_read() -> None:
    """TCP fast open puts the first request there."""
    target, _ = connection()
    syn = segment(M, seq=100, flags=SYN)
    assert payloads(play(target, syn)) == [M]
    assert play(target, syn) == []


def test_a_syn_that_the_server_ignores_changes_nothing() -> None:
    """An attacker cannot make the sensor lose his connection by a SYN in its middle."""
    target, _ = connection()
    out = play(
        target,
        *handshake(),
        segment(M[:10], seq=101, ack=9001),
        segment(seq=777_777, flags=SYN),
        segment(M[10:], seq=111, ack=9001),
    )
    assert payloads(out) == [M]
    assert out[0].connected


def test_a_syn_that_the_server_answers_starts_anew() -> None:
    """The same ports may be used again; what was unfinished comes out first."""
    target, _ = connection()
    out = play(
        target,
        *handshake(),
        segment(M[:30], seq=101, ack=9001),
        *handshake(client_isn=2_000_000_000, server_isn=3_000_000_000),
        segment(N, seq=2_000_000_001, ack=3_000_000_001),
    )
    assert payloads(out) == [M[:30], N]
    assert out[1].connected


def test_a_forged_answer_cannot_replace_a_proven_connection() -> None:
    """A SYN-ACK that answers no SYN of ours is ignored."""
    target, _ = connection()
    out = play(
        target,
        *handshake(),
        segment(seq=555, ack=42, flags=SYN | ACK, back=True),
        segment(M, seq=101, ack=9001),
    )
    assert payloads(out) == [M]


def test_resets_must_fit() -> None:
    """A reset with another number is ignored by the server (RFC 5961) and here."""
    target, _ = connection()
    play(target, *handshake(), segment(M[:10], seq=101, ack=9001), segment(seq=5000, flags=RST))
    assert not target.ended
    out = play(target, segment(M[10:20], seq=111, ack=9001), segment(seq=121, flags=RST))
    assert payloads(out) == [M[:20]]
    assert target.ended


def test_both_fins_end_it() -> None:
    """One side may close earlier than the other."""
    target, _ = connection()
    out = play(
        target,
        *handshake(),
        segment(M[:9], seq=101, ack=9001, flags=FIN | ACK),
        segment(R, seq=9001, ack=111, back=True),
    )
    assert payloads(out) == [M[:9], R]
    assert not target.ended
    play(target, segment(seq=9001 + len(R), ack=111, flags=FIN | ACK, back=True))
    assert target.ended


def test_gap_is_skipped_when_the_server_acknowledges() -> None:
    """A segment lost to the sensor costs its message, not the next."""
    target, errors = connection()
    out = play(
        target,
        *handshake(),
        segment(M[:20], seq=101, ack=9001),
        segment(N, seq=101 + len(M), ack=9001),
        segment(seq=9001, ack=101 + len(M + N), back=True),
    )
    assert payloads(out) == [N]
    assert errors == {"tcp_gap": 1}


def test_segments_with_a_foreign_acknowledgment_are_strays() -> None:
    """Blind injection into a proven connection is not read."""
    target, errors = connection()
    out = play(
        target, *handshake(), segment(N, seq=101, ack=9001 + (1 << 25)), segment(M, seq=101, ack=9001)
    )
    assert payloads(out) == [M]
    assert errors == {"tcp_stray": 1}


def test_a_forged_first_segment_does_not_hide_the_real_stream() -> None:
    """When the server's numbers contradict what was joined, the server is believed."""
    target, _ = connection()
    out = play(
        target,
        segment(M, seq=3_000_000_000, ack=1),
        segment(R, seq=7000, ack=500, back=True),
        segment(N, seq=500, ack=7000 + len(R)),
    )
    assert payloads(out) == [M, R, N]


def test_tls_on_a_sip_port_is_counted_and_no_broken_sip() -> None:
    """Phones with SIP over TLS on a port of the list are not judged by their ciphertext."""
    target, errors = connection()
    hello = b"\x16\x03\x01\x02\x00\x01" + bytes(range(256)) * 2
    out = play(
        target,
        *handshake(),
        segment(hello, seq=101, ack=9001),
        segment(b"\x16\x03\x03" + bytes(80), seq=9001, ack=101 + len(hello), back=True),
        segment(b"", seq=101 + len(hello), ack=9084, flags=FIN | ACK),
    )
    assert out == []
    assert errors == {"tls": 1}


def test_pretended_tls_hides_nothing() -> None:
    """Behind something that looks like a TLS record the next start line is found."""
    target, _ = connection()
    out = play(target, *handshake(), segment(b"\x16\x03\x01\r\n" + M + N, seq=101, ack=9001))
    assert payloads(out) == [M, N]


def test_an_urgent_byte_is_counted_and_left_out() -> None:
    """As the server's socket does (RFC 6093 section 2)."""
    target, errors = connection()
    dressed = segment(M[:5] + b"X" + M[5:], seq=101, ack=9001, flags=ACK | 32)._replace(urgent=6)
    assert payloads(play(target, *handshake(), dressed)) == [M]
    assert errors == {"tcp_urgent": 1}
