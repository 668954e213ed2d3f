"""SIP is told from keep-alives and other protocols."""

from __future__ import annotations

import pytest

from shield.capture.content import START_LINE, is_keepalive, looks_like_sip

STUN = bytes.fromhex("000100002112a442") + bytes(12)
OLD_STUN = bytes.fromhex("00010000") + bytes(16)


@pytest.mark.parametrize(
    "payload",
    [b"", b"\r\n", b"\r\n\r\n", b"\0", bytes(4), bytes(30), b"jaK", b"\r\n\r\n \0", STUN, OLD_STUN],
)
def test_fillers_and_stun_are_keepalives(payload: bytes) -> None:
    """What phones send to keep a NAT binding open is no message."""
    assert is_keepalive(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"OPTIONS",
        b"OPTIONS sip:a SIP/2.0\r\n\r\n",
        b"\r\nREGISTER sip:a SIP/2.0\r\n\r\n",
        b"\x80\x01garbage that is long",
        b"\x00\x01\x00\x09" + bytes(12) + b"wrong length",
        b"\xff\xfe\xfd\xfc",
    ],
)
def test_what_may_be_damaged_sip_is_none(payload: bytes) -> None:
    """Fuzzing must be seen, so anything a server would try to parse is kept."""
    assert not is_keepalive(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"OPTIONS sip:a SIP/2.0\r\nVia: x\r\n\r\n",
        b"\r\n\r\nINVITE  tel:+1555 SIP/2.0\n\n",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"SIP/2.0 404\r\n\r\n",
        b"x-own.method sips:b@c SIP/3.0 \r\n\r\n",
        b"invite sip:a sip/2.0\r\n",
    ],
)
def test_start_lines_are_found(payload: bytes) -> None:
    """Requests with any method and URI scheme, and responses, are known by their first line."""
    assert looks_like_sip(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"Via: SIP/2.0/UDP 192.0.2.1\r\n",
        b"Via : SIP/2.0/UDP 192.0.2.1\r\n",
        b"SIP/2.0 999 No\r\n",
        b"body text\r\nOPTIONS sip:a SIP/2.0\r\n",
        b"\x80\x00" + bytes(170),
    ],
)
def test_other_content_is_no_start_line(payload: bytes) -> None:
    """HTTP, RTP, header fields and later lines are not taken for a SIP message."""
    assert not looks_like_sip(payload)


def test_a_long_hostile_line_takes_no_time() -> None:
    """The expression has no nested repeats: 64 KiB of almost-matches end at once."""
    hostile = b"A sip:" + b" SIP/2." * 9000
    assert START_LINE.search(hostile) is None
    assert START_LINE.search(b"A " * 32000) is None
