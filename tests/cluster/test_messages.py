"""Messages: their bytes are fixed for ever, and what is no message is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.cluster.messages import (
    Admit,
    Alive,
    Claim,
    Data,
    Hello,
    Here,
    Leave,
    MemberNews,
    Message,
    Part,
    Ping,
    Pong,
    Refuse,
    Revoked,
    Routed,
    decode,
    encode_message,
)
from shield.errors import RemoteError
from shield.wire import Frames, encode, unpack_value

VECTORS = json.loads((Path(__file__).parent / "vectors" / "messages.json").read_text())

EXAMPLES: dict[str, Message] = {
    "hello": Hello(1, 1, "voice", "edge1", 1_700_000_000_000, "shield 0.1.0", ("relay",), 1.7e9,
                   (("192.0.2.1", 7170), ("2001:db8::1", 7170))),
    "refuse": Refuse("wrong_cluster", "it belongs to 'other'"),
    "ping": Ping(7, {"blocklist": b"\x00\x01\x02\x03"}),
    "pong": Pong(7),
    "alive": Alive(7, {"blocklist": b"\x00\x01\x02\x03"}),
    "member": MemberNews(b"body", b"\x01" * 64),
    "data": Data("blocklist", 0, 0, ("put", ((b"b\x20\xc0\x00\x02\x01", 5),), None)),
    "routed": Routed(8, b"body", b"\x02" * 64),
    "revoked": Revoked(b"body", b"\x03" * 64),
    "leave": Leave("leaving"),
    "claim": Claim(b"\x04" * 8, b"\x05" * 16, "edge2", b"request"),
    "admit": Admit(b"certificate", b"authority", "voice", (("192.0.2.1", 7170),)),
    "here": Here(3, 2000, b"\x06" * 8, {"blocklist": b"\x00\x01\x02\x03"}),
    "part": Part(1, 0, 2, b"octets"),
}  # fmt: skip


def read(data: bytes) -> Message | None:
    frames = Frames()
    frames.feed(data)
    frame = frames.next_frame()
    assert frame is not None
    return decode(frame)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_bytes_of_each_message_never_change(name: str) -> None:
    """A running cluster of older nodes must read them: numbers and fields are only ever added."""
    assert encode_message(EXAMPLES[name]).hex() == VECTORS[name]
    assert read(bytes.fromhex(VECTORS[name])) == EXAMPLES[name]


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_newer_node_may_add_fields(name: str) -> None:
    """What comes after the known fields is ignored."""
    frame = unpack_value(bytes.fromhex(VECTORS[name])[4:])
    assert read(encode((*frame, "new", 1))) == EXAMPLES[name]


@pytest.mark.parametrize("name", EXAMPLES)
def test_too_few_fields_are_refused(name: str) -> None:
    """A message without its last field is none."""
    frame = unpack_value(bytes.fromhex(VECTORS[name])[4:])
    with pytest.raises(RemoteError, match="shape"):
        read(encode(frame[:-1]))


@pytest.mark.parametrize(
    "frame",
    [
        (1, -1, 1, "c", "n", 1, "s", (), 0.0, ()),
        (1, 1, 1, "c" * 256, "n", 1, "s", (), 0.0, ()),
        (1, 1, 1, "c", "n", 1, "s", ("f",) * 65, 0.0, ()),
        (1, 1, 1, "c", "n", 1, "s", (), float("nan"), ()),
        (1, 1, 1, "c", "n", 1, "s", (), 0.0, (("h", 0),)),
        (1, 1, 1, "c", "n", 1, "s", (), 0.0, (("h", 1),) * 17),
        (3, 1, {"a": b"x" * 65}),
        (3, 1, {1: b"x"}),
        (3, True, {}),
        (5, b"", b"s" * 65),
        (6, b"test", 0, 0, None),
        (6, "x" * 256, 0, 0, None),
    ],
)
def test_wrong_values_are_refused(frame: tuple[Any, ...]) -> None:
    """Wrong types, negative numbers, too long or too many: named, and nothing of it is used."""
    with pytest.raises(RemoteError, match="shape"):
        read(encode(frame))


def test_an_unknown_number_is_no_error() -> None:
    """It is from a newer version."""
    assert read(encode((200, "anything"))) is None


@given(st.lists(st.none() | st.integers() | st.text() | st.binary() | st.lists(st.text()), max_size=11),
       st.integers(0, 12))  # fmt: skip
def test_noise_gives_a_message_or_one_error(fields: list[Any], number: int) -> None:
    """Whatever values a frame holds, there is a message, nothing, or RemoteError."""
    frame = (number, *(tuple(f) if isinstance(f, list) else f for f in fields))
    reason = ""
    try:
        decode(frame)
    except RemoteError as error:
        reason = error.reason
    assert reason in {"", "shape"}
