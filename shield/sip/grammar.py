r"""Tokens of SIP (RFC 3261 section 25.1) as expressions on bytes, and the splitting of header values.

Each expression stands under its ABNF rule. Where it is wider than the rule, the comment says so
and why: the widest thing that a real server accepts is what an attacker may send, and a value
that only we refuse would be a free pass.

All expressions run in linear time on any input: repetitions are possessive (``*+``) and no two
alternatives begin with the same byte unless the first one fails at once.
"""

from __future__ import annotations

import re

from shield.errors import RemoteError

__all__ = [
    "BARE_IPV6",
    "COMPACT",
    "DISPLAY",
    "HOST",
    "IPV6_REFERENCE",
    "MAX_PARAMS",
    "QUOTED",
    "TOKEN",
    "find_param",
    "first_value",
    "parse_number",
    "split_at",
    "split_params",
    "split_values",
    "unquote",
]

MAX_PARAMS = 64
"""Parameters of one value. Real ones have up to a dozen; each costs a dict entry."""

COMPACT: dict[bytes, bytes] = {
    b"a": b"accept-contact",  # RFC 3841
    b"b": b"referred-by",  # RFC 3892
    b"c": b"content-type",
    b"d": b"request-disposition",  # RFC 3841
    b"e": b"content-encoding",
    b"f": b"from",
    b"i": b"call-id",
    b"j": b"reject-contact",  # RFC 3841
    b"k": b"supported",
    b"l": b"content-length",
    b"m": b"contact",
    b"n": b"identity-info",  # RFC 4474
    b"o": b"event",  # RFC 6665
    b"r": b"refer-to",  # RFC 3515
    b"s": b"subject",
    b"t": b"to",
    b"u": b"allow-events",  # RFC 6665
    b"v": b"via",
    b"x": b"session-expires",  # RFC 4028
    b"y": b"identity",  # RFC 4474
}
"""Compact form to lower-case header name: RFC 3261 section 7.3.3 and the IANA registry."""

# ABNF token: 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~" )
TOKEN = rb"[A-Za-z0-9\-.!%*_+`'~]++"

# ABNF quoted-string: SWS DQUOTE *(qdtext / quoted-pair ) DQUOTE
# Wider: any byte instead of UTF-8 only, since phones send Latin-1 names.
QUOTED = rb'"(?:[^"\\]++|\\.)*+"'

# ABNF IPv6reference: "[" IPv6address "]"
# Wider: the groups are not counted; with a zone (RFC 6874), which link-local phones send.
IPV6_REFERENCE = rb"\[[0-9A-Fa-f:.]++(?:%[A-Za-z0-9._~%-]++)?\]"

# No ABNF: an IPv6 address without its brackets, as svmap and old phones send it. A port behind it
# could not be told from a group, so there is none.
BARE_IPV6 = rb"[0-9A-Fa-f.]*+(?::[0-9A-Fa-f.]*+){2,}+"

# ABNF host: hostname / IPv4address / IPv6reference
# Wider: everything but blanks and delimiters. Kamailio takes such hosts ("_sip", UTF-8, "a!b").
HOST = rb"(?:" + IPV6_REFERENCE + rb"|[^\x00-\x20\x7f;:?@<>\",\[\]\\/=]++)"

# ABNF display-name: *(token LWS) / quoted-string; here: all that stands before the "<" of a name-addr,
# up to a quote that is never closed. Wider: any bytes, several quoted strings ("Bob" Smith).
DISPLAY = re.compile(rb'(?:[^"<]++|' + QUOTED + rb")*+", re.DOTALL)

_quoted = re.compile(QUOTED, re.DOTALL)
_pair = re.compile(rb"\\(.)", re.DOTALL)
# What a delimiter may be hidden in: a quoted-string; for lists of values also an URI in angle brackets.
_pieces = {
    b",": re.compile(rb'(?:[^",]++|' + QUOTED + rb")*+", re.DOTALL),
    b";": re.compile(rb'(?:[^";]++|' + QUOTED + rb")*+", re.DOTALL),
}
_value = re.compile(rb'(?:[^"<,]++|' + QUOTED + rb"|<[^<>]*+>|<)*+", re.DOTALL)


def split_at(delimiter: bytes, text: bytes) -> list[bytes]:
    """Cut ``text`` at each ``,`` or ``;`` outside quoted strings; pieces are not stripped.

    Behind a quote that is never closed nothing is protected.
    """
    return _split(_pieces[delimiter], delimiter, text) if b'"' in text else text.split(delimiter)


def split_values(value: bytes) -> list[bytes]:
    """Cut the values of a header field that may hold several (RFC 3261 section 7.3.1).

    Commas in quoted strings and in URIs in angle brackets cut nothing. Empty values (``a,,b``)
    are left out.
    """
    return [piece for piece in map(bytes.strip, _cut_list(value)) if piece]


def first_value(value: bytes) -> bytes:
    """Give what stands before the first comma that ``split_values`` would cut at, not stripped."""
    return _cut_list(value)[0] if b"," in value else value


def _cut_list(value: bytes) -> list[bytes]:
    hidden = b'"' in value or b"<" in value
    return _split(_value, b",", value) if hidden else value.split(b",")


def _split(piece: re.Pattern[bytes], delimiter: bytes, text: bytes) -> list[bytes]:
    pieces: list[bytes] = []
    at = 0
    while True:
        match = piece.match(text, at)
        end = match.end() if match else at
        if text[end : end + 1] != delimiter:
            # The end, or an unclosed quote. Looking for a close again behind it would be quadratic.
            first, *others = text[end:].split(delimiter)
            return [*pieces, text[at:end] + first, *others]
        pieces.append(text[at:end])
        at = end + 1


def split_params(text: bytes) -> dict[bytes, bytes | None]:
    """Parameters of a header field: ``;a=b;c="d"`` gives ``{b"a": b"b", b"c": None, ...}``.

    Names are lower case, quoted values unquoted; of equal names the first counts, as in Kamailio
    and Asterisk. Raises RemoteError("too_many_params") beyond MAX_PARAMS.
    """
    params: dict[bytes, bytes | None] = {}
    for piece in split_at(b";", text):
        name, equals, value = piece.partition(b"=")
        name = name.strip().lower()
        if name and name not in params:
            if len(params) >= MAX_PARAMS:
                raise RemoteError("too_many_params")
            params[name] = unquote(value.strip()) if equals else None
    return params


def find_param(text: bytes, name: bytes) -> bytes | None:
    """One parameter as ``split_params`` would give it, however many stand before it."""
    for piece in split_at(b";", text):
        key, equals, value = piece.partition(b"=")
        if key.strip().lower() == name:
            return unquote(value.strip()) if equals else None
    return None


def unquote(text: bytes) -> bytes:
    """Give the content of a quoted-string; other text as it is.

    What follows the closing quote is dropped, a missing closing quote forgiven.
    """
    if text[:1] != b'"':
        return text
    match = _quoted.match(text)
    inner = match[0][1:-1] if match else text[1:]
    return _pair.sub(rb"\1", inner) if b"\\" in inner else inner


def parse_number(text: bytes, maximum: int) -> int | None:
    """Read a decimal number of ASCII digits not above ``maximum``; None otherwise.

    Leading zeros are fine; the length is checked before conversion, which is quadratic.
    """
    if not text.isdigit():
        return None
    digits = text.lstrip(b"0")
    if len(digits) > 20:
        return None
    number = int(digits or b"0")
    return number if number <= maximum else None
