"""Typed values of the header fields that identify a message: From, To, Contact, Via, CSeq, User-Agent.

Each ``parse_*`` reads one value (bytes, unfolded) or raises RemoteError; ``split_values`` of
``shield.sip.grammar`` cuts lists first. ``fast_*`` read one field of the usual spelling with one
expression and go to the full reading for any other; property tests hold them equal.
Credentials are in ``shield.sip.auth``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from shield.errors import RemoteError
from shield.sip.auth import Challenge, Credentials, fast_auth, parse_challenge, parse_credentials
from shield.sip.grammar import (
    BARE_IPV6,
    HOST,
    TOKEN,
    find_param,
    first_value,
    parse_number,
    split_params,
    split_values,
    unquote,
)
from shield.sip.uri import MAX_PORT, Uri, parse_uri, split_name_addr

__all__ = [
    "BEFORE_BRANCH",
    "BEFORE_TAG",
    "WORD",
    "CSeq",
    "Challenge",
    "Credentials",
    "NameAddr",
    "UserAgent",
    "Via",
    "fast_auth",
    "fast_branch",
    "fast_cseq",
    "fast_tag",
    "parse_challenge",
    "parse_contacts",
    "parse_credentials",
    "parse_cseq",
    "parse_name_addr",
    "parse_user_agent",
    "parse_via",
    "parse_vias",
]

MAX_CSEQ = 2**32 - 1
"""RFC 3261 section 8.1.1.5 says below 2**31, servers take 32 bits."""
MAX_VALUES = 128
"""Values of one Contact or Via field. A registrar answers with all bindings of a user."""


@dataclass(frozen=True, slots=True)
class NameAddr:
    """Value of From, To, Contact, Route, Record-Route, Refer-To and their like."""

    display_name: bytes
    """Unquoted; empty when absent."""
    uri: Uri | None
    """None only for the Contact value ``*``."""
    params: dict[bytes, bytes | None] = field(default_factory=dict, hash=False)
    """Header parameters, names lower case; of equal names the first."""

    @property
    def tag(self) -> bytes | None:
        """Tag of From or To; None when absent."""
        return self.params.get(b"tag")

    @property
    def star(self) -> bool:
        """Contact ``*``: remove all bindings (RFC 3261 section 10.2.2)."""
        return self.uri is None


@dataclass(frozen=True, slots=True)
class Via:
    """One Via value."""

    protocol: bytes
    """Upper case with version, ``SIP/2.0``."""
    transport: bytes
    """Upper case: ``UDP``, ``TCP``, ``TLS``, ``WS`` ..."""
    host: bytes
    """Sent-by host, lower case, IPv6 without brackets. The sender's claim."""
    port: int | None = None
    """None when absent."""
    params: dict[bytes, bytes | None] = field(default_factory=dict, hash=False)

    @property
    def branch(self) -> bytes | None:
        """Transaction id; None when absent."""
        return self.params.get(b"branch")

    @property
    def received(self) -> bytes | None:
        """Address that the next hop saw, without brackets; None when absent."""
        value = self.params.get(b"received")
        return value.strip(b"[]") if value is not None else None

    @property
    def rport(self) -> int | None:
        """Port that the next hop saw (RFC 3581); None when absent or still empty."""
        return parse_number(self.params.get(b"rport") or b"", MAX_PORT)


@dataclass(frozen=True, slots=True)
class CSeq:
    """Value of CSeq."""

    number: int
    method: bytes


@dataclass(frozen=True, slots=True)
class UserAgent:
    """Value of User-Agent or Server."""

    text: bytes
    """The whole value."""
    products: tuple[tuple[bytes, bytes | None], ...]
    """Name and version of each product: ``Linphone/3.6.1`` gives ``(b"Linphone", b"3.6.1")``."""
    comments: tuple[bytes, ...]
    """Texts in parentheses."""


# ABNF sent-by: host [ COLON port ]; with LWS around the slashes, the blank and the colon
# Wider: an IPv6 address without brackets.
_via = re.compile(
    rb"\s*+(" + TOKEN + rb")\s*+/\s*+(" + TOKEN + rb")\s*+/\s*+(" + TOKEN + rb")\s++"
    rb"(?:(" + HOST + rb")\s*+(?::\s*+([0-9]*+)\s*+)?|(" + BARE_IPV6 + rb")\s*+)(?:\Z|(?=;))"
)
# ABNF CSeq: 1*DIGIT LWS Method
_cseq = re.compile(rb"\s*+([0-9]++)\s++(" + TOKEN + rb")\s*+")
# ABNF server-val: product / comment; product: token [SLASH product-version]
# Wider: any word is a product, comments are not nested.
_agent = re.compile(rb"\(([^()]*+)\)|([^\s()/]++)(?:\s*+/\s*+([^\s()/]++))?")

# The usual spelling, see fast_tag and fast_branch. Values without delimiters, quotes, blanks.
WORD = rb'[^;,"<>=\s\\]++'
_BRACKETED = rb'(?:[^<":\r\n]*+|"[^"\\\r\n]*+"[^<"\r\n]*+)<[^<>"\r\n]*+>'
BEFORE_TAG = _BRACKETED + rb";tag="
BEFORE_BRANCH = (
    rb"SIP/2\.0/[A-Z]++ (?:[A-Za-z0-9._-]++|\[[0-9A-Fa-f:.]++\])(?::[1-5]?[0-9]{1,4})?"
    rb"(?:;(?!branch)[a-z]++(?:=" + WORD + rb")?)*+;branch="
)
_usual_tag = re.compile(
    BEFORE_TAG + rb"(" + WORD + rb")\Z|" + _BRACKETED + rb"\Z"
    rb'|sips?:[^@;,<"\s]++@[^@;,<"\s]++(?:;tag=(' + WORD + rb"))?\Z"
)
_usual_branch = re.compile(BEFORE_BRANCH + rb"(" + WORD + rb")(?:[;,]|\Z)")
_usual_cseq = re.compile(rb"([0-9]{1,9}) ([A-Z]++)\Z")


def parse_name_addr(value: bytes) -> NameAddr:
    """Read From, To, Contact, Route; of several values the first.

    Raises RemoteError: "bad_name_addr", "bad_uri", "too_many_params".
    """
    if value.strip() == b"*":
        return NameAddr(b"", None)
    display, uri, tail = split_name_addr(value)
    return NameAddr(unquote(display), parse_uri(uri), split_params(_own_params(tail)))


def parse_contacts(value: bytes) -> list[NameAddr]:
    """Read all values of a Contact, Route or Record-Route field; raises as ``parse_name_addr``."""
    return [parse_name_addr(one) for one in _limited(value)]


def parse_via(value: bytes) -> Via:
    """Read one Via value, of several the first; raises RemoteError("bad_via"), ("too_many_params")."""
    protocol, version, transport, host, port, tail = _split_via(value)
    number = parse_number(port, MAX_PORT) if port else None
    if port and number is None:
        raise RemoteError("bad_via", "port")
    return Via(protocol.upper() + b"/" + version, transport.upper(), host, number, split_params(tail))


def parse_vias(value: bytes) -> list[Via]:
    """Read all values of a Via field, topmost first; raises as ``parse_via``."""
    return [parse_via(one) for one in _limited(value)]


def parse_cseq(value: bytes) -> CSeq:
    """Read CSeq; raises RemoteError("bad_cseq")."""
    match = _cseq.fullmatch(value)
    number = parse_number(match[1], MAX_CSEQ) if match else None
    if match is None or number is None:
        raise RemoteError("bad_cseq")
    return CSeq(number, match[2])


def parse_user_agent(value: bytes) -> UserAgent:
    """Read User-Agent or Server; any bytes give a value."""
    products: list[tuple[bytes, bytes | None]] = []
    comments: list[bytes] = []
    for match in _agent.finditer(value):
        comment, name, version = match.groups()
        if name is not None:
            products.append((name, version))
        else:
            comments.append(comment)
    return UserAgent(value, tuple(products), tuple(comments))


def fast_tag(value: bytes) -> bytes | None:
    """Tag of a From or To value; None when absent or without a URI in it.

    Equal to ``parse_name_addr(value).tag`` wherever that gives a value; it is found also when the URI is
    broken or the parameters are too many.
    """
    match = _usual_tag.match(value)
    if match is not None:
        return match[match.lastindex] if match.lastindex else None
    try:
        return find_param(_own_params(split_name_addr(value)[2]), b"tag")
    except RemoteError:
        return None


def fast_branch(value: bytes) -> bytes | None:
    """Branch of the first value of a Via field; None when absent or not a Via value."""
    match = _usual_branch.match(value)
    if match is not None:
        return match[1]
    try:
        return find_param(_split_via(value)[5], b"branch")
    except RemoteError:
        return None


def fast_cseq(value: bytes) -> tuple[int, bytes] | None:
    """Read number and method of CSeq; None when unreadable."""
    match = _usual_cseq.match(value)
    if match is not None:
        return int(match[1]), match[2]
    try:
        cseq = parse_cseq(value)
    except RemoteError:
        return None
    return cseq.number, cseq.method


def _own_params(tail: bytes) -> bytes:
    """Parameters of the first of several values, without what stands before the first ``;``."""
    return first_value(tail).partition(b";")[2]


def _limited(value: bytes) -> list[bytes]:
    values = split_values(value)
    if len(values) > MAX_VALUES:
        raise RemoteError("too_many_values")
    return values


def _split_via(value: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes | None, bytes]:
    """Protocol, version, transport, host, port and the text of the parameters."""
    first = first_value(value)
    match = _via.match(first)
    if match is None:
        raise RemoteError("bad_via")
    protocol, version, transport, host, port, bare = match.groups()
    return protocol, version, transport, (host or bare).strip(b"[]").lower(), port, first[match.end() :]
