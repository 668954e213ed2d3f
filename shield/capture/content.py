"""Tell SIP from what else arrives on its ports: keep-alives and foreign protocols.

Whatever may be damaged SIP is kept: fuzzers must be seen. Only what no SIP server would
try to parse is a keep-alive: empty lines (RFC 5626 section 3.5.1), zero bytes, STUN.
"""

from __future__ import annotations

import re

__all__ = ["START_LINE", "is_keepalive", "looks_like_sip"]

MAX_KEEPALIVE = 3
"""Fewer than four bytes cannot be a request or response; phones send 1 to 4 filler bytes."""

_START = (
    rb"(?:[A-Za-z][!%'*+.0-9A-Z_`a-z~-]{0,31}[ \t]+[A-Za-z][A-Za-z0-9+.-]{0,15}:[^\r\n]*"
    rb"[ \t]SIP/[0-9]\.[0-9][ \t]*\r?$"
    rb"|SIP/[0-9]\.[0-9][ \t]+[1-6][0-9][0-9](?:[ \t][^\r\n]*)?\r?$)"
)
START_LINE = re.compile(rb"^" + _START, re.MULTILINE | re.IGNORECASE)
"""A line that can start a request or a response (RFC 3261 section 7.1, 7.2), for finding one."""

_STUN_COOKIE = b"\x21\x12\xa4\x42"
_FILLER = b"\r\n\0 \t"


def is_keepalive(payload: bytes) -> bool:
    """Tell whether a UDP payload only keeps a NAT binding open."""
    if len(payload.strip(_FILLER)) <= MAX_KEEPALIVE:
        return True
    return _is_stun(payload)


def _is_stun(payload: bytes) -> bool:
    """RFC 8489 section 5, or its forerunner RFC 3489 without the cookie."""
    if len(payload) < 20 or payload[0] > 1:
        return False
    if int.from_bytes(payload[2:4], "big") != len(payload) - 20:
        return False
    return payload[4:8] == _STUN_COOKIE or payload[1] in {0x01, 0x02, 0x11, 0x12}


def looks_like_sip(payload: bytes) -> bool:
    """Tell whether the first line is a SIP start line; for ports that need not carry SIP."""
    return START_LINE.match(payload.lstrip(b"\r\n")) is not None
