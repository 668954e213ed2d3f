"""SIP, SIPS and tel URIs (RFC 3261 section 19.1, RFC 3966).

``parse_uri`` reads a whole URI. ``fast_address`` reads only user and host, straight from a From,
To or Contact value or a Request-URI, since that is what is needed for each packet: one expression for
the usual spelling, the full reading for any other; a property test holds them equal.

Read wider than RFC 3261, because servers do: any bytes in the user part and nearly any in the host,
an unescaped ``@`` in the user part, IPv6 addresses without brackets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from shield.errors import RemoteError
from shield.sip.grammar import BARE_IPV6, DISPLAY, HOST, MAX_PARAMS, parse_number

__all__ = [
    "Uri",
    "fast_address",
    "fast_host",
    "fast_user",
    "parse_uri",
    "split_name_addr",
    "unescape",
]

MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Uri:
    """One URI, percent-escapes decoded."""

    scheme: str
    """Lower case: ``sip``, ``sips``, ``tel``; any other is kept, with an empty host."""
    user: bytes | None
    """None when absent. Of a tel URI the number without visual separators. May hold
    parameters of its own, as in ``123;phone-context=+1``."""
    host: bytes
    """Lower case, IPv6 without brackets; empty for tel and unknown schemes."""
    port: int | None = None
    password: bytes | None = None
    params: dict[bytes, bytes | None] = field(default_factory=dict, hash=False)
    """URI parameters, names lower case; of equal names the first."""
    headers: dict[bytes, bytes] = field(default_factory=dict, hash=False)
    """What follows ``?``, names lower case; of equal names the first."""

    @property
    def aor(self) -> str:
        """Address-of-record as text: ``sip:user@host`` (also for sips), ``tel:+123``."""
        if self.scheme == "tel":
            return "tel:" + _text(self.user or b"")
        host = f"[{_text(self.host)}]" if b":" in self.host else _text(self.host)
        return f"sip:{host}" if self.user is None else f"sip:{_text(self.user)}@{host}"

    @property
    def number(self) -> bytes | None:
        """What is dialled: the user without its parameters and visual separators."""
        if self.user is None:
            return None
        return self.user.partition(b";")[0].translate(None, _SEPARATORS)


_SEPARATORS = b"-.() "
"""RFC 3966 visual-separator, and the blank, which people type."""

# ABNF scheme: ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
_scheme = re.compile(rb"\s*([A-Za-z][A-Za-z0-9+.-]*+):")
# ABNF hostport: host [ ":" port ]
# Wider: blanks around the colon; a colon without port.
_hostport = re.compile(rb"\s*(" + HOST + rb")\s*(?::\s*([0-9]*+)\s*)?")
_bare_ipv6 = re.compile(BARE_IPV6)
_hex_escape = re.compile(rb"%([0-9A-Fa-f]{2})")

_bare_start = re.compile(rb"\s*+(?:sips?|tel):", re.IGNORECASE)
_bare_end = re.compile(rb"[;,]")

# The usual spelling: user part and host need no decoding, and nothing behind the host
# could change where the URI ends. Alternatives: in brackets, bare.
_USER = rb"(?:([A-Za-z0-9_.!~*'()&=+$/#-]++)@)?"
_ADDRESS = rb"sips?:" + _USER + rb"([A-Za-z0-9._-]++|\[[0-9A-Fa-f:.]++\])(?::[1-5]?[0-9]{1,4})?"
_usual_bracketed = re.compile(rb'(?:[^<":]*+|"[^"\\]*+"[^<"]*+)<' + _ADDRESS + rb'(?:[;?][^@>"\\]*+)?>')
_OPENING = ord("<")  # a number is found in bytes six times as fast as a text of one byte
_usual_bare = re.compile(_ADDRESS + rb'(?:[;?][^@<"\\]*+)?\Z')


def parse_uri(raw: bytes) -> Uri:
    """Read one URI without angle brackets; raises RemoteError("bad_uri"), ("too_many_params")."""
    scheme, rest = _split_scheme(raw)
    if scheme == "tel":
        number, _, tail = rest.partition(b";")
        return Uri(scheme, _tel_number(number), b"", params=_params(tail))
    if scheme not in ("sip", "sips"):
        return Uri(scheme, None, b"")
    userinfo, hostport, tail = _split_sip(rest)
    host, port = _split_hostport(hostport)
    user, password = _split_userinfo(userinfo)
    tail, _, headers = tail.partition(b"?")
    return Uri(scheme, user, host, port, password, _params(tail), _headers(headers))


def split_name_addr(value: bytes) -> tuple[bytes, bytes, bytes]:
    """Cut a From, To or Contact value into display name, URI text and parameters text.

    A value that begins with ``sip:``, ``sips:`` or ``tel:`` has no display name, whatever brackets
    follow. Such a URI ends at the first ``;`` behind its ``@`` (or the very first, if there is no
    ``@``): RFC 3261 section 20 wants brackets around a user with ``;``, senders forget. Of several
    values the first is read. Raises RemoteError("bad_name_addr").
    """
    at = -1 if _bare_start.match(value) else value.find(b"<")
    if at < 0:
        match = _bare_end.search(value, value.find(b"@") + 1)
        end = match.start() if match else len(value)
        return b"", value[:end].strip(), value[end:]
    if b'"' in value[:at]:
        match = DISPLAY.match(value)
        at = value.find(b"<", match.end() if match else 0)
    end = value.find(b">", at)
    if at < 0 or end < 0:
        raise RemoteError("bad_name_addr", "no brackets" if at < 0 else "no closing bracket")
    return value[:at].strip(), value[at + 1 : end].strip(), value[end + 1 :]


def fast_address(raw: bytes) -> tuple[bytes | None, bytes] | None:
    """User and host of a From, To or Contact value, or of a Request-URI; None when unreadable.

    Equal to ``user`` and ``host`` of the full reading wherever that gives a URI. The user is found
    also where the host, the port or the parameters break the grammar.
    """
    match = (_usual_bracketed if _OPENING in raw else _usual_bare).match(raw)
    if match is None:
        return _address(raw)
    user, host = match.groups()
    if host[0] == 91:  # "["
        host = host[1:-1]
    return user, host.lower()


def fast_user(raw: bytes) -> bytes | None:
    """User part, see ``fast_address``; None when absent or unreadable."""
    match = (_usual_bracketed if _OPENING in raw else _usual_bare).match(raw)
    if match is not None:
        return match[1]
    address = _address(raw)
    return address and address[0]


def fast_host(raw: bytes) -> bytes | None:
    """Host, see ``fast_address``; None when unreadable, empty for tel and unknown schemes."""
    address = fast_address(raw)
    return address and address[1]


def unescape(text: bytes) -> bytes:
    """Decode percent-escapes; what is no escape stays."""
    if b"%" not in text:
        return text
    return _hex_escape.sub(lambda match: bytes((int(match[1], 16),)), text)


def _address(raw: bytes) -> tuple[bytes | None, bytes] | None:
    """Read what ``fast_address`` gives with all the freedom of the full parser."""
    try:
        scheme, rest = _split_scheme(split_name_addr(raw)[1])
        if scheme == "tel":
            return _tel_number(rest.partition(b";")[0]), b""
        if scheme not in ("sip", "sips"):
            return None, b""
        userinfo, hostport, _ = _split_sip(rest)
    except RemoteError:
        return None
    if userinfo is None and not hostport.strip():
        return None
    try:
        host = _split_hostport(hostport)[0]
    except RemoteError:
        # A server may take such a host, or look at the user only.
        host = hostport.partition(b":")[0].strip().lower()
    return _split_userinfo(userinfo)[0], host


def _split_scheme(raw: bytes) -> tuple[str, bytes]:
    match = _scheme.match(raw)
    if match is None:
        raise RemoteError("bad_uri", "no scheme")
    return match[1].decode("ascii").lower(), raw[match.end() :].strip()


def _split_sip(rest: bytes) -> tuple[bytes | None, bytes, bytes]:
    """Userinfo, host with port, and the text that begins with ``;`` or ``?``."""
    at = rest.find(b"@")
    start = at + 1
    end = _first_of(rest, start)
    if at >= 0:
        # user@domain@host: providers that use mail addresses as user names send it.
        last = rest.rfind(b"@", start, end)
        start = last + 1 if last >= 0 else start
    userinfo = rest[: start - 1] if at >= 0 else None
    return userinfo, rest[start:end], rest[end:]


def _first_of(text: bytes, start: int) -> int:
    """Where the host ends."""
    semicolon, question = text.find(b";", start), text.find(b"?", start)
    if semicolon < 0:
        return question if question >= 0 else len(text)
    return min(semicolon, question) if question >= 0 else semicolon


def _split_hostport(text: bytes) -> tuple[bytes, int | None]:
    match = _hostport.fullmatch(text)
    if match is None:
        bare = text.strip()
        if _bare_ipv6.fullmatch(bare):
            return bare.lower(), None
        raise RemoteError("bad_uri", "no host")
    host, digits = match.groups()
    port = parse_number(digits, MAX_PORT) if digits else None
    if digits and port is None:
        raise RemoteError("bad_uri", "port")
    return host.strip(b"[]").lower(), port


def _split_userinfo(userinfo: bytes | None) -> tuple[bytes | None, bytes | None]:
    if userinfo is None:
        return None, None
    user, colon, password = userinfo.partition(b":")
    return unescape(user), unescape(password) if colon else None


def _tel_number(text: bytes) -> bytes:
    number = unescape(text.strip()).translate(None, _SEPARATORS)
    if not number:
        raise RemoteError("bad_uri", "no number")
    return number


def _params(text: bytes) -> dict[bytes, bytes | None]:
    params: dict[bytes, bytes | None] = {}
    for piece in text.split(b";"):
        name, equals, value = piece.partition(b"=")
        name = unescape(name.strip()).lower()
        if name and name not in params:
            if len(params) >= MAX_PARAMS:
                raise RemoteError("too_many_params")
            params[name] = unescape(value.strip()) if equals else None
    return params


def _headers(text: bytes) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for piece in text.split(b"&"):
        name, _, value = piece.partition(b"=")
        name = unescape(name.strip()).lower()
        if name and name not in headers:
            if len(headers) >= MAX_PARAMS:
                raise RemoteError("too_many_params")
            headers[name] = unescape(value.strip())
    return headers


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
