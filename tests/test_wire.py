"""Frames: whole, in pieces, too long, and noise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.errors import RemoteError
from shield.wire import MAX_FRAME, Frames, encode, pack_value, unpack_value

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
    | st.text() | st.binary(),
    lambda inner: st.lists(inner).map(tuple),
)  # fmt: skip
MESSAGES = st.tuples(st.integers(0, 200), VALUES)


def read_all(frames: Frames) -> list[tuple[Any, ...]]:
    found = []
    while (message := frames.next_frame()) is not None:
        found.append(message)
    return found


@given(st.lists(MESSAGES, max_size=5), st.integers(1, 40))
def test_any_cutting_gives_the_messages(messages: list[tuple[Any, ...]], size: int) -> None:
    """However a stream is cut, the messages come out whole, in order, and nothing is left."""
    stream = b"".join(encode(message) for message in messages)
    frames, found = Frames(), []
    for start in range(0, len(stream), size):
        frames.feed(stream[start : start + size])
        found += read_all(frames)
    assert found == messages
    assert frames.waiting == 0


@given(st.binary(max_size=200))
def test_noise_is_refused_or_waits(noise: bytes) -> None:
    """Any bytes give messages, wait for more, or raise RemoteError: nothing else."""
    frames = Frames(limit=1000)
    frames.feed(noise)
    reason = ""
    try:
        assert all(isinstance(message[0], int) for message in read_all(frames))
    except RemoteError as error:
        reason = error.reason
    assert reason in {"", "oversize", "garbage", "shape"}


def test_a_frame_larger_than_allowed_is_refused_at_its_length() -> None:
    """Four octets are enough to refuse it: nothing of its body is waited for."""
    frames = Frames(limit=100)
    frames.feed((101).to_bytes(4, "big"))
    with pytest.raises(RemoteError, match="oversize"):
        frames.next_frame()


@pytest.mark.parametrize("value", [(), ("text", 1), {1: 2}, 7, (True, 2)])
def test_a_message_begins_with_its_number(value: object) -> None:
    """What is no array with a number first is no message."""
    frames = Frames()
    frames.feed(encode(value))  # type: ignore[arg-type]
    with pytest.raises(RemoteError, match="shape"):
        frames.next_frame()


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(b"\xdd\xff\xff\xff\xff", id="huge array"),
        pytest.param(b"\x91" * 3000 + b"\x01", id="deep"),
        pytest.param(b"\xa1\xff", id="no UTF-8"),
        pytest.param(b"\xc1", id="never used"),
        pytest.param(b"\x81\x80\x01", id="map as key"),
        pytest.param(b"\x01\x02", id="more than one"),
        pytest.param(b"", id="empty"),
    ],
)
def test_bad_values_are_garbage(packed: bytes) -> None:
    """A promise of four thousand million elements, depth, and bad text end as one error."""
    with pytest.raises(RemoteError, match="garbage") as caught:
        unpack_value(packed)
    assert caught.value.reason == "garbage"


def test_values_survive() -> None:
    """Bytes stay bytes, text stays text, lists become tuples."""
    assert unpack_value(pack_value([1, b"\x00", "x", None, 1.5, [2]])) == (
        1,
        b"\x00",
        "x",
        None,
        1.5,
        (2,),
    )
    assert MAX_FRAME == 1 << 20
