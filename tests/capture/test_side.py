"""One direction is put in order whatever the segments do."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.capture.framing import SipFramer
from shield.capture.side import MAX_WAITING, MAX_WAITING_BYTES, Side
from shield.capture.websocket import Mute, Reader

A = b"OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n"
B = b"MESSAGE sip:b SIP/2.0\r\nCall-ID: 2\r\nContent-Length: 4\r\n\r\nabcd"
STREAM = A + b"\r\n\r\n" + B + A


def side(start: int | None = 1000) -> tuple[Side, Counter[str]]:
    errors: Counter[str] = Counter()

    def choose(one: Side, _head: bytes) -> Reader:
        return SipFramer(errors, lost=one.lost)

    made = Side(errors, choose)
    if start is not None:
        made.numbers.begin(start - 1)
    return made, errors


@given(
    st.lists(st.integers(1, len(STREAM) - 1), max_size=12),
    st.randoms(use_true_random=False),
    st.sampled_from((1000, 0xFFFFFFF0, 0xFFFFFFFF, 0)),
)
def test_any_order_any_overlap_any_wrap(cuts: list[int], random: object, start: int) -> None:
    """Swapped, repeated and overlapping segments, also across the wrap, give the messages once."""
    edges = sorted({0, *cuts, len(STREAM)})
    parts = [(one, STREAM[one:two]) for one, two in pairwise(edges)]
    parts += [(max(0, one - 7), STREAM[max(0, one - 7) : one + 9]) for one in edges]
    random.shuffle(parts)  # type: ignore[attr-defined]
    one, errors = side(start)
    messages = []
    for at, payload in parts:
        messages += one.data((start + at) & 0xFFFFFFFF, payload)
    assert messages == [A, B, A]
    assert not errors
    assert one.held() <= len(STREAM)  # what the other side has not acknowledged


def dressed(*parts: tuple[int, bytes]) -> tuple[list[bytes], Counter[str]]:
    one, errors = side()
    return [message for at, payload in parts for message in one.data(1000 + at, payload)], errors


E = b"REGISTER sip:evil SIP/2.0\r\nCall-ID: 9\r\n\r\n"


@pytest.mark.parametrize("size", [len(E), 11, 1])
def test_a_copy_that_says_something_else_is_judged_too(size: int) -> None:
    """The first copy may never have reached the server; pieces of the second one are joined."""
    decoy = A + b"X" * (len(E) - len(A) - 4) + b"\r\n\r\n"
    assert len(decoy) == len(E)
    parts = [(at, E[at : at + size]) for at in range(0, len(E), size)]
    messages, errors = dressed((0, decoy), *parts, (len(E), A))
    assert messages[0] == A
    assert E in messages
    assert errors["tcp_conflict"] >= 1


def test_a_conflict_inside_a_message_is_read_with_what_surrounds_it() -> None:
    """One piece of a message comes twice; the message comes out with either."""
    for at, other in ((13, b"live"), (E.index(b"9"), b"7")):
        end = at + len(other)
        messages, _ = dressed((0, E[:at]), (at, E[at:end]), (at, other), (end, E[end:]))
        assert messages == [E, E[:at] + other + E[end:]]


def test_acknowledged_bytes_cannot_be_replaced() -> None:
    """What the server has is settled, but for the message that is not complete yet."""
    one, errors = side()
    one.data(1000, A + E[:12])
    one.numbers.acked = 1000 + len(A) + 12
    assert one.data(1012 + len(A), E[12:30]) == []
    assert one.held() < 2 * len(E)
    assert one.data(1000, b"x" * len(A)) == []
    assert not errors
    changed = E[:14] + b"w" + E[15:]
    assert one.data(1012 + len(A), changed[12:30]) == []
    assert one.data(1030 + len(A), E[30:]) == [E, changed]


def test_a_waiting_segment_is_replaced_as_in_linux() -> None:
    """Behind a hole the longer segment from one place counts; the shorter is read as a copy."""
    messages, _ = dressed(
        (len(A), b"REGISTER sip:good"), (len(A), E + b"\r\n"), (0, A), (len(A + E) + 2, B)
    )
    assert messages[:2] == [A, E]
    assert B in messages


def test_a_losing_copy_behind_a_hole_is_judged_too() -> None:
    """Others keep the copy that came first."""
    decoy = B + b"\r\n" * 9
    messages, errors = dressed((0, A), (len(A) * 2, E), (len(A) * 2, decoy), (len(A), A))
    assert {B, E} < set(messages)
    assert errors["tcp_conflict"] == 1


def test_a_plain_retransmission_says_nothing_new() -> None:
    """Repeated segments, however they are cut, give no message a second time."""
    stream = A + B + E
    messages, errors = dressed((0, A), (len(A), B + E), (0, stream), (5, stream[5:70]), (0, stream))
    assert messages == [A, B, E]
    assert not errors


def test_a_fin_that_never_arrived_hides_nothing() -> None:
    """Data that go on where an unacknowledged FIN stood are read; acknowledged, they are strays."""
    one, errors = side()
    assert one.data(1000, A) == [A]
    one.finish(1000 + len(A))
    assert one.closed
    assert one.data(1000 + len(A), E) == [E]
    assert errors == {"tcp_conflict": 1}
    one.finish(1000 + len(A + E))
    one.numbers.acked = 1001 + len(A + E)
    assert one.data(1000 + len(A + E), B) == []


def test_hole_that_the_peer_received_is_skipped() -> None:
    """Bytes that the server has and the sensor has not are a gap; the next message is found."""
    one, errors = side()
    one.data(1000, A[:10])
    assert one.data(1000 + len(A), B + A) == []
    one.numbers.acked = 1000 + len(A + B + A)
    assert one.skip_hole() == [B, A]
    assert errors == {"tcp_gap": 1}


def test_hole_is_kept_while_it_may_be_filled() -> None:
    """Without the peer's acknowledgment the sensor waits for the retransmission."""
    one, errors = side()
    assert one.data(1000 + len(A), B) == []
    assert one.skip_hole() == []
    assert one.data(1000, A) == [A, B]
    assert not errors


def test_too_much_behind_a_hole_gives_the_hole_up() -> None:
    """Neither many small nor few large segments can fill memory."""
    for size, count in ((10, MAX_WAITING + 1), (8000, MAX_WAITING_BYTES // 8000 + 1)):
        one, errors = side()
        for number in range(count):
            one.data(2000 + number * size, bytes(size))
        assert errors["tcp_gap"] == 1
        assert one.held() <= MAX_WAITING_BYTES + 8000


def test_far_away_segments_are_strays() -> None:
    """A blind forger's guess changes nothing."""
    one, errors = side()
    assert one.data((1000 + (1 << 30)), A) == []
    assert one.data((1000 - (1 << 30)) & 0xFFFFFFFF, A) == []
    assert errors == {"tcp_stray": 2}
    assert one.data(1000, A) == [A]


def test_joined_in_the_middle_waits_for_a_start_line() -> None:
    """The tail of an unseen message is no damaged message."""
    one, errors = side(None)
    assert one.data(77, b": tail\r\nFrom: x\r\n\r\n" + A) == [A]
    assert not errors


def test_fin_gives_out_what_is_unfinished() -> None:
    """At the end of the stream, and only there."""
    one, _ = side()
    one.data(1000, A[:20])
    assert one.finish(1000 + 25) == []
    assert one.data(1020, A[20:25]) == [A[:25]]
    assert one.closed
    one.numbers.acked = 1026
    assert one.data(1025, A) == []


def test_a_fin_before_the_data_is_ignored() -> None:
    """A FIN that the server would ignore ends nothing."""
    one, _ = side()
    one.data(1000, A[:20])
    assert one.finish(1010) == []
    assert one.finish((1020 + (1 << 29)) & 0xFFFFFFFF) == []
    assert one.data(1020, A[20:]) == [A]


def test_first_bytes_may_come_one_by_one() -> None:
    """The reader is chosen at the fourth byte; nothing is lost meanwhile."""
    one, _ = side()
    messages = []
    for number, byte in enumerate(b"\r\n" + A):
        messages += one.data(1000 + number, bytes((byte,)))
    assert messages == [A]


def test_three_bytes_and_the_end() -> None:
    """Too short for a choice is still given out."""
    one, _ = side()
    one.data(1000, b"abc")
    assert one.close() == [b"abc"]


def test_rebase_only_without_a_seen_start() -> None:
    """The other side's word moves a joined direction, never one whose SYN was seen."""
    one, _ = side()
    assert not one.rebase(5)
    joined, _ = side(None)
    joined.data(77, A[:9])
    assert joined.rebase(5000)
    assert joined.data(5000, A) == [A]


def test_mute_says_nothing() -> None:
    """A direction without SIP holds no bytes."""
    mute = Side(Counter(), lambda *_: Mute())
    mute.numbers.begin(0)
    assert mute.data(1, bytes(50_000)) == []
    assert mute.held() == 0
    mute.rebase(1)
    assert mute.close() == []


@pytest.mark.parametrize("cuts", [(), (9,), (8, 9), (9, 10), (20,)])
def test_an_urgent_byte_is_not_part_of_the_stream(cuts: tuple[int, ...]) -> None:
    """The server does not read it, so a header is what it is without it; however segments are cut."""
    one, _ = side()
    dressed = E[:9] + b"X" + E[9:]
    one.urge(1009)
    edges = [0, *cuts, len(dressed)]
    parts = [(at, dressed[at:end]) for at, end in pairwise(edges)]
    assert [m for at, part in parts for m in one.data(1000 + at, part)] == [E]
    one.urge(1003)
    assert one.data(1000 + len(dressed), A) == [A]
    assert not one._urgent


def test_urgent_bytes_behind_a_hole_are_remembered() -> None:
    """They are taken out when their segment is delivered."""
    one, _ = side()
    one.urge(1000 + len(A))
    assert one.data(1000 + len(A), b"!" + E) == []
    assert one.data(1000, A) == [A, E]
