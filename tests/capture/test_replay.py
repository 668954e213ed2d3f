"""A stretch of a stream read again with other bytes: what comes out, and what it costs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shield.capture.replay import MAX_KEPT, Replay

A = b"OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n"
B = b"INVITE sip:bb SIP/2.0\r\nCall-ID: 2\r\n\r\n"


def test_equal_copies_change_nothing() -> None:
    """A retransmission, however it is cut and wherever it starts, says nothing new."""
    replay = Replay()
    assert replay.deliver(A, [A]) == []
    for back in range(-len(A) - 5, 0):
        assert replay.copy(back, (b"12345" + A)[back:]) == ([], False)
        assert replay.copy(back, (b"12345" + A)[back:][:3]) == ([], False)
    assert replay.held == len(A)


def test_a_different_copy_gives_the_other_message_once() -> None:
    """The last copies are read beside the first ones, also when the message ends later."""
    replay = Replay()
    replay.deliver(A[:30], [])
    assert replay.copy(-30, B[:30]) == ([], True)
    assert replay.copy(-30, B[:30]) == ([], False)
    assert replay.deliver(A[30:32], []) == []
    assert replay.copy(-2, B[30:32]) == ([], False)
    assert replay.deliver(A[32:], [A]) == [B[:32] + A[32:]]
    assert replay.deliver(A, [A]) == []


def test_settled_bytes_are_forgotten() -> None:
    """What the other side acknowledged cannot come otherwise; only the unfinished message stays."""
    replay = Replay()
    replay.deliver(A + B[:7], [A])
    replay.copy(-7, b"MESSAGE")
    replay.settle(7)
    assert replay.held == 14
    replay.settle(0)
    assert replay.held == 0


def test_the_rest_of_a_line_is_no_message() -> None:
    """A stretch that begins in the middle of a word does not begin a message."""
    replay = Replay()
    replay.deliver(A[5:], [])
    assert replay.copy(-4, b"\n\n\n\n") == ([], True)
    replay = Replay()
    replay.deliver(b"NS sip:a SIP/2.0\r\n\r\n" + A, [A])
    assert replay.copy(-len(A), B) == ([B], True)


@given(st.lists(st.tuples(st.binary(max_size=3000), st.integers(-9000, -1)), max_size=8))
def test_it_never_holds_more_than_twice_its_limit(steps: list[tuple[bytes, int]]) -> None:
    """Whatever is delivered and copied."""
    replay = Replay()
    for data, back in steps:
        replay.deliver(data, [])
        replay.copy(back, data)
        assert replay.held <= 2 * MAX_KEPT
