"""shield.detect.sdp: what is missing in a session description, and where its media go."""

from __future__ import annotations

import pytest

from shield.detect.sdp import dead_media, incomplete

GOOD = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 10000 RTP/AVP 8 0\r\n"
)


def nowhere(address: bytes) -> bool:
    return address in {b"0.0.0.0", b"127.0.0.1"}


def test_a_whole_description_lacks_nothing() -> None:
    """Line ends, order of c= and an address for each medium are the sender's choice."""
    assert not incomplete(GOOD)
    assert not incomplete(GOOD.replace(b"\r\n", b"\n"))
    assert not incomplete(
        b"v=0\r\no=- 1 1 IN IP4 a\r\ns=-\r\nt=0 0\r\nm=audio 1 RTP/AVP 0\r\nc=IN IP4 a\r\n"
    )


@pytest.mark.parametrize("line", [b"v=", b"o=", b"s=", b"t=", b"m=", b"c="])
def test_a_missing_line_is_noticed(line: bytes) -> None:
    """RFC 4566 section 5: v, o, s and t; an offer has media, and media have an address."""
    assert incomplete(b"\r\n".join(part for part in GOOD.split(b"\r\n") if not part.startswith(line)))


@pytest.mark.parametrize(
    ("body", "dead"),
    [
        (GOOD, False),
        (GOOD.replace(b"audio 10000", b"audio 0"), True),
        (GOOD.replace(b"audio 10000", b"audio 0") + b"m=video 9000 RTP/AVP 99\r\n", False),
        (GOOD.replace(b"c=IN IP4 192.0.2.1", b"c=IN IP4 0.0.0.0"), True),
        (GOOD.replace(b"c=IN IP4 192.0.2.1", b"c=IN IP4 127.0.0.1") + b"c=IN IP4 192.0.2.1\r\n", False),
        (b"noise", False),
    ],
)
def test_media_are_dead_when_none_of_them_can_arrive(body: bytes, dead: bool) -> None:
    """One medium that works makes a call."""
    assert dead_media(body, nowhere) is dead
