"""SIP messages are cut out of a byte stream, the same whatever the segments."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.capture import framing
from shield.capture.framing import SipFramer, content_length

ONE = b"OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 0\r\n\r\n"
BODY = b"MESSAGE sip:b SIP/2.0\r\nCall-ID: 2\r\nl : 11\r\n\r\nhello\r\n\r\nxy"
ANSWER = b"SIP/2.0 200 OK\r\nCall-ID: 1\r\n\r\n"
LF_ONLY = b"REGISTER sip:c SIP/2.0\nCall-ID: 3\n\n"
FOLDED = b"INVITE sip:d SIP/2.0\r\nCONTENT-length:\r\n 3\r\n\r\nabc"


def run(data: bytes, *cuts: int, lost: bool = False) -> tuple[list[bytes], Counter[str]]:
    """Feed ``data`` cut at the given places, then close."""
    errors: Counter[str] = Counter()
    framer = SipFramer(errors, lost=lost)
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(data)), len(data)]
    out: list[bytes] = []
    for one, two in pairwise(edges):
        out += framer.feed(data[one:two])
        assert framer.buffered <= framing.MAX_MESSAGE + len(data)
    return out + framer.close(), errors


@pytest.mark.parametrize("message", [ONE, BODY, ANSWER, LF_ONLY, FOLDED])
def test_one_message_whole_and_byte_by_byte(message: bytes) -> None:
    """The same message comes out of one segment and of one-byte segments, nothing else with it."""
    assert run(message)[0] == [message]
    assert run(message, *range(len(message)))[0] == [message]


def test_a_message_is_given_at_its_last_byte() -> None:
    """Not later: the answer would come before the request."""
    framer = SipFramer(Counter())
    for byte in BODY[:-1]:
        assert framer.feed(bytes((byte,))) == []
    assert framer.feed(BODY[-1:]) == [BODY]


def test_several_messages_and_keepalives_in_one_segment() -> None:
    """CRLF keep-alives (RFC 5626 section 3.5.1) between messages vanish."""
    data = b"\r\n\r\n" + ONE + b"\r\n" + BODY + b"\r\n\r\n" + ANSWER + LF_ONLY + FOLDED + b"\r\n"
    assert run(data)[0] == [ONE, BODY, ANSWER, LF_ONLY, FOLDED]


PARTS = st.sampled_from(
    [
        ONE,
        BODY,
        ANSWER,
        LF_ONLY,
        FOLDED,
        b"\r\n\r\n",
        b"\r\n",
        b"garbage without end",
        b"garbage line\r\n",
        b"x: y\r\n\r\n",
        b"OPTIONS sip:open SIP/2.0\r\nCall-ID: 9\r\n",
        b"INVITE sip:e SIP/2.0\r\nContent-Length: 99999\r\n\r\n",
        b"INVITE sip:f SIP/2.0\r\nContent-Length: 5\r\nl: 3\r\n\r\nabcde",
        b"\0\xff\0",
        b"GET / HTTP/1.1\r\n\r\n",
    ]
)


@given(st.lists(PARTS, max_size=8), st.lists(st.integers(0, 500), max_size=30), st.booleans())
def test_segmenting_never_matters(parts: list[bytes], cuts: list[int], lost: bool) -> None:
    """Any cut of any stream, good or damaged, gives the same messages and the same counters."""
    data = b"".join(parts)
    assert run(data, *cuts, lost=lost) == run(data, lost=lost)
    assert run(data, *range(len(data)), lost=lost) == run(data, lost=lost)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=10))
def test_noise_never_raises_and_is_never_lost(noise: bytes, cuts: list[int]) -> None:
    """Bytes that are no SIP come out too, whatever they are; only empty lines may vanish."""
    messages, _ = run(noise, *cuts)
    kept = b"".join(messages)
    assert kept.translate(None, b"\r\n") == noise.translate(None, b"\r\n")


def test_unfinished_header_comes_out_at_the_end() -> None:
    """A client that never ends its header and closes is seen (ncrack, Metasploit)."""
    assert run(ONE + b"OPTIONS sip:x SIP/2.0\r\nVia: y\r\n")[0] == [
        ONE,
        b"OPTIONS sip:x SIP/2.0\r\nVia: y\r\n",
    ]


def test_unfinished_body_comes_out_at_the_end() -> None:
    """The same for a body shorter than announced."""
    assert run(BODY[:-3])[0] == [BODY[:-3]]


def test_open_header_ends_at_the_next_start_line() -> None:
    """Requests without an empty line between them are still told apart."""
    opened = b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP y\r\n"
    messages, errors = run(opened + opened + ONE)
    assert messages == [opened, opened, ONE]
    assert errors["header_unfinished"] == 2


def test_too_small_content_length_costs_no_message() -> None:
    """What is left of the body is junk up to the next start line, which is found."""
    lying = b"MESSAGE sip:b SIP/2.0\r\nContent-Length: 2\r\n\r\nhello\r\n"
    messages, errors = run(lying + ONE)
    assert messages == [lying[:-5], b"llo\r\n", ONE]
    assert errors["header_unfinished"] == 1


def test_limit_of_the_header_block() -> None:
    """A header that never ends is given out at 64 KiB; then a start line is looked for."""
    flood = b"OPTIONS sip:x SIP/2.0\r\n" + b"X: y\r\n" * 20_000
    messages, errors = run(flood + ONE)
    assert messages == [flood[: framing.MAX_MESSAGE], ONE]
    assert errors["header_too_long"] == 1


def test_oversize_body_is_skipped_not_held() -> None:
    """The header is given out at once; the body is thrown away as it comes."""
    head = b"MESSAGE sip:x SIP/2.0\r\nContent-Length: 300000\r\n\r\n"
    errors: Counter[str] = Counter()
    framer = SipFramer(errors)
    assert framer.feed(head) == [head]
    for _ in range(300):
        assert framer.feed(bytes(1000)) == []
        assert framer.buffered <= framing.MAX_LINE
    assert framer.feed(ONE) == [ONE]
    assert errors == {"body_too_long": 1}


@pytest.mark.parametrize("length", [b"70000", b"4294967296", b"9999999999"])
def test_an_oversize_body_hides_no_message(length: bytes) -> None:
    """A server that reads the length otherwise, or not at all, goes on at the next start line."""
    head = b"MESSAGE sip:x SIP/2.0\r\nContent-Length: " + length + b"\r\n\r\n"
    framer = SipFramer(Counter())
    assert framer.feed(head + b"some body\r\n" + ONE + b"more\r\n") == [head, ONE]
    assert framer.feed(ONE) == [b"more\r\n", ONE]


def test_after_a_loss_only_a_start_line_begins() -> None:
    """Bytes lost by the sensor make no damaged message: it waits for the next whole one."""
    errors: Counter[str] = Counter()
    framer = SipFramer(errors)
    assert framer.feed(BODY[:30]) == []
    framer.lose()
    assert framer.feed(b"SIP/2.0/TCP rest of a header\r\nFrom: x\r\n\r\nbody\r\n" + ONE) == [ONE]
    assert not errors


def test_a_loss_with_an_endless_line_holds_little() -> None:
    """While looking for a start line at most one line is held."""
    framer = SipFramer(Counter(), lost=True)
    for _ in range(100):
        framer.feed(b"x" * 1000)
        assert framer.buffered <= framing.MAX_LINE
    assert framer.feed(b" tail SIP/2.0\r\n" + ONE) == [ONE]


@pytest.mark.parametrize(
    ("line", "length"),
    [
        (b"Content-Length: 12", 12),
        (b"content-LENGTH\t :\t12  ", 12),
        (b"l:12", 12),
        (b"L : \r\n  12", 12),
        (b"Content-Length: 12\r\nl: 5", 5),
        (b"Content-Length: -1", 0),
        (b"Content-Length: 1x", 0),
        (b"Content-Length:", 0),
        (b"Content-Length: " + b"9" * 40, 0),
        (b"X-Content-Length: 7", 0),
        (b"Subject: l: 7", 0),
    ],
)
def test_content_length_spellings(line: bytes, length: int) -> None:
    """Compact form, odd case, blanks and folding are read; of several the smallest counts."""
    assert content_length(b"OPTIONS sip:a SIP/2.0\r\n" + line + b"\r\n\r\n") == length
