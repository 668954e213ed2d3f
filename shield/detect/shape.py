"""Shape of a request: what a program looks like whatever it writes into the fields.

User-Agents, users and numbers are easily changed, and tools do change them from one message to the
next. In which order and spelling a program writes header fields, how long and of which letters the
random parts are that it makes (tag, branch, Call-ID), which parameters it sets: that stays, on all
addresses from which the program is run. The hash over it is the *campaign* of a message, as JA3 is of
a TLS client.

Phones of one make have one shape too. A campaign therefore accuses nobody; it links those who are
accused, and rules may count by it.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from shield.sip.message import Request, usual_name

__all__ = ["campaign_of", "order", "shape"]

MAX_LINES = 64
"""Header lines that are looked at; far more than a phone writes."""
MAX_PART = 256
"""Bytes of a tag, branch, Call-ID or parameter list that are looked at."""

_line = re.compile(rb"\n([^\s:]{1,40}[ \t]{0,4}:[ \t]{0,4})")
_parameter = re.compile(rb";[ \t]*([A-Za-z0-9+.\-]{1,24})")
_LOGIN = (b"authorization", b"proxy-authorization")
"""Left out: the first request of a login has none of these, the second one has."""
_CLASSES = bytes.maketrans(
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    b"0" * 10 + b"f" * 6 + b"z" * 20 + b"F" * 6 + b"Z" * 20,
)
_address = re.compile(rb"\[?[0-9a-fA-F:]*:[0-9a-fA-F:.]*\]?(?::\d+)?$|\d+\.\d+\.\d+\.\d+(?::\d+)?$")


def _word(value: bytes) -> bytes:
    """Length (to a power of two, since random numbers lose their zeros) and letters of a random word."""
    value = value[:MAX_PART]
    kinds = set(value.translate(_CLASSES))
    # A short hexadecimal word may happen to have digits only, a longer one letters up to f only.
    if 102 in kinds or 122 in kinds:
        kinds.discard(48)
    if 122 in kinds:
        kinds.discard(102)
    return b"%d%s" % (len(value).bit_length(), bytes(sorted(kinds)))


def _call_id(value: bytes) -> bytes:
    local, at, host = value[:MAX_PART].partition(b"@")
    if not at:
        return _word(local)
    return _word(local) + (b"@address" if _address.match(host) else b"@name")


def _names(request: Request) -> list[bytes]:
    """Names of the header fields in order, with colon and blanks as they are written."""
    names = _line.findall(b"\n" + request.head.partition(b"\n")[2])[:MAX_LINES]
    return [name for name in names if name.rstrip(b" \t:").lower() not in _LOGIN]


def order(request: Request) -> tuple[bytes, ...]:
    """Which header fields follow each other, however spelt: some phones shorten long messages."""
    return tuple(usual_name(name.rstrip(b" \t:")) for name in _names(request))


def shape(request: Request) -> bytes:
    """Everything that the campaign is made of, as text."""
    branch = request.branch
    cookie = branch.startswith(b"z9hG4bK")
    contact = request.get(b"Contact") or b""
    tag = request.tag
    if tag is None:
        found = re.search(rb";[ \t]*tag=([^;,\s]*)", request.from_[:MAX_PART], re.IGNORECASE)
        tag = found[1] if found else b""
    return b"|".join(
        (
            b"".join(_names(request)),
            _word(tag),
            (b"cookie" if cookie else b"none") + _word(branch[7:] if cookie else branch),
            _call_id(request.call_id),
            b",".join(_parameter.findall(request.via[:MAX_PART])),
            (b"<" if b"<" in contact else b"") + b",".join(_parameter.findall(contact[:MAX_PART])),
            request.get(b"Max-Forwards") or b"",
        )
    )


def campaign_of(request: Request | None) -> bytes | None:
    """Ten hexadecimal digits for the shape of a request; None for what could not be read."""
    if request is None:
        return None
    return blake2b(shape(request), digest_size=5).hexdigest().encode()
