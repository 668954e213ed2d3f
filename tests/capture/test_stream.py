"""All connections: found by their ends, limited, and given out when they end or fall silent."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.capture import stream
from shield.capture.packet import TcpSegment
from shield.capture.stream import Streams
from shield.net import Datagram
from tests.capture.wire import CLIENT, FIN, RST, SERVER, SYN, handshake, segment

M = b"OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n"
OPEN = b"OPTIONS sip:open SIP/2.0\r\n"


def streams(**options: bool) -> tuple[Streams, Counter[str]]:
    errors: Counter[str] = Counter()
    return Streams(errors, {5060}, **options), errors


def play(target: Streams, *segments: TcpSegment, time: float = 1.0) -> list[Datagram]:
    return [message for one in segments for message in target.segment(time, one)]


@given(st.lists(st.integers(1, 3 * len(M) - 1), max_size=10), st.booleans())
def test_any_segmenting_either_end_smaller(cuts: list[int], swap: bool) -> None:
    """Messages do not depend on segments, nor on which address is the smaller number."""
    ends = {"client": (SERVER, 5062), "server": (CLIENT, 5060)} if swap else {}
    target, errors = streams()
    play(target, *handshake(**ends))
    edges = sorted({0, *cuts, 3 * len(M)})
    out: list[Datagram] = []
    for one, two in pairwise(edges):
        out += play(target, segment((M * 3)[one:two], seq=101 + one, ack=9001, **ends))
    assert [one.payload for one in out] == [M, M, M]
    assert all(one.connected for one in out)
    assert not errors


def test_connections_do_not_mix() -> None:
    """Interleaved connections from two ports keep their own streams."""
    target, _ = streams()
    out = play(
        target,
        segment(M[:9], seq=11, client=(CLIENT, 1111)),
        segment(M[:9], seq=11, client=(CLIENT, 2222)),
        segment(M[9:], seq=20, client=(CLIENT, 1111)),
        segment(M[9:], seq=20, client=(CLIENT, 2222)),
    )
    assert [(one.source_port, one.payload) for one in out] == [(1111, M), (2222, M)]


def test_bare_acknowledgments_and_resets_open_nothing() -> None:
    """A scan with odd flags leaves no state."""
    target, _ = streams()
    play(target, segment(seq=1, flags=RST), segment(seq=1, flags=FIN), segment(seq=1))
    assert len(target) == 0


def test_the_end_frees_the_connection() -> None:
    """After both FINs, or a reset, nothing is held."""
    target, _ = streams()
    play(target, *handshake(), segment(seq=101, flags=RST))
    assert len(target) == 0


def test_silence_gives_out_what_is_unfinished() -> None:
    """A client that stops in the middle of its header is seen when the connection times out."""
    target, _ = streams()
    play(target, *handshake(), segment(OPEN, seq=101, ack=9001))
    later = 1.0 + stream.IDLE_PROVEN + 1
    out = play(target, segment(seq=1, flags=SYN, client=(CLIENT, 9)), time=later)
    assert [one.payload for one in out] == [OPEN]
    assert len(target) == 1


def test_half_open_connections_are_forgotten_sooner() -> None:
    """Without proof a minute is enough."""
    target, _ = streams()
    play(target, segment(seq=100, flags=SYN))
    play(target, segment(seq=1, flags=RST), time=1.0 + stream.IDLE_UNPROVEN + 1)
    assert len(target) == 0


def test_flush_gives_out_everything() -> None:
    """At the end of a file open connections are not lost."""
    target, _ = streams()
    play(target, *handshake(), segment(OPEN, seq=101, ack=9001))
    play(target, segment(OPEN, seq=5, client=(CLIENT, 9)))
    assert [one.payload for one in target.flush()] == [OPEN, OPEN]
    assert len(target) == 0
    assert target.flush() == []


def test_a_syn_flood_pushes_out_no_proven_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forged handshakes only fill their own table."""
    monkeypatch.setattr(stream, "MAX_UNPROVEN", 50)
    target, errors = streams()
    play(target, *handshake(), segment(M[:9], seq=101, ack=9001))
    for number in range(500):
        play(target, segment(seq=number, flags=SYN, client=(f"203.0.113.{number % 250}", 1024 + number)))
    assert len(target) == 51
    assert errors["tcp_limit"] == 450
    assert [one.payload for one in play(target, segment(M[9:], seq=110, ack=9001))] == [M]


def test_proven_connections_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was quiet longest is given up, its rest given out."""
    monkeypatch.setattr(stream, "MAX_PROVEN", 3)
    target, errors = streams()
    out: list[Datagram] = []
    for port in range(2000, 2005):
        client = (CLIENT, port)
        out += play(target, *handshake(client=client), segment(OPEN, seq=101, ack=9001, client=client))
    assert [one.source_port for one in out] == [2000, 2001]
    assert errors == {"tcp_limit": 2}
    assert len(target) == 3


def test_bytes_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many connections hold unfinished messages, the sum is bounded."""
    monkeypatch.setattr(stream, "MAX_BYTES", 10_000)
    target, errors = streams()
    for port in range(2000, 2100):
        play(target, segment(b"OPTIONS sip:a SIP/2.0\r\nX: " + b"x" * 974, seq=5, client=(CLIENT, port)))
    # Each holds its bytes twice: as the message begun, and as what may still come otherwise.
    assert len(target) == 5
    assert errors["tcp_limit"] == 95


def test_other_ports_only_when_it_is_surely_sip() -> None:
    """On a foreign port bytes are thrown away, unless any_port finds a start line."""
    other = {"server": (SERVER, 80)}
    target, _ = streams()
    assert play(target, *handshake(**other), segment(M, seq=101, ack=9001, **other)) == []
    target, _ = streams(any_port=True)
    play(target, *handshake(**other))
    out = play(target, segment(b"hello\r\n" + M, seq=101, ack=9001, **other))
    assert [one.payload for one in out] == [M]
