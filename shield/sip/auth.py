"""Digest credentials and challenges (RFC 3261 section 20.7 and 20.44, RFC 7616).

``parse_credentials`` and ``parse_challenge`` give typed values. ``fast_auth`` gives only the fields
that detection keeps for each login; a property test holds it equal to them.

Read wider than RFC 3261, because servers do: blanks anywhere, any case of names, quoted or bare
values of every parameter, empty and unknown parameters. Of equal names the first counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from shield.errors import RemoteError
from shield.sip.grammar import MAX_PARAMS, TOKEN, split_at, unquote

__all__ = ["Challenge", "Credentials", "fast_auth", "parse_challenge", "parse_credentials"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Value of Authorization or Proxy-Authorization; a field is None when absent."""

    scheme: str
    """Lower case, ``digest`` in SIP."""
    username: bytes | None = None
    realm: bytes | None = None
    nonce: bytes | None = None
    uri: bytes | None = None
    """Digest URI as sent, not decoded: it enters the digest so."""
    response: bytes | None = None
    """The digest, hexadecimal as sent."""
    algorithm: bytes | None = None
    opaque: bytes | None = None
    qop: bytes | None = None
    cnonce: bytes | None = None
    nc: bytes | None = None
    """Nonce count, 8 hexadecimal digits when sound."""
    params: dict[bytes, bytes | None] = field(default_factory=dict, hash=False)
    """All parameters, names lower case."""

    @property
    def nonce_count(self) -> int | None:
        """``nc`` as a number; None when absent or not hexadecimal."""
        return int(self.nc, 16) if self.nc and _hexadecimal.fullmatch(self.nc) else None


@dataclass(frozen=True, slots=True)
class Challenge:
    """Value of WWW-Authenticate or Proxy-Authenticate; a field is None when absent."""

    scheme: str
    """Lower case, ``digest`` in SIP."""
    realm: bytes | None = None
    nonce: bytes | None = None
    algorithm: bytes | None = None
    opaque: bytes | None = None
    domain: bytes | None = None
    qop: tuple[bytes, ...] = ()
    """Options offered, lower case: ``auth``, ``auth-int``."""
    stale: bool = False
    """The digest was right but its nonce too old."""
    params: dict[bytes, bytes | None] = field(default_factory=dict, hash=False)
    """All parameters, names lower case."""


_KNOWN = frozenset(
    b"username realm nonce uri response algorithm opaque qop cnonce nc stale domain".split()
)
_hexadecimal = re.compile(rb"[0-9A-Fa-f]{1,16}")
# ABNF credentials: auth-scheme LWS auth-param *(COMMA auth-param)
_scheme = re.compile(rb"\s*(" + TOKEN + rb")(?:\s++|\Z)")

# The usual spelling, of values without a backslash, so that a string ends at the next quote: one byte
# excluded is walked over ten times faster than two. _in_order is what most clients send: username,
# realm, nonce, uri, then others, then response. _usual_challenge is what most servers ask with: realm,
# nonce, then others. _any_order takes each field once at any place.
_STRING = rb'"([^"]*+)"'
_OTHER = rb'[a-z]++=(?:"[^"]*+"|[^\s,"]++)'
_BACKSLASH = ord("\\")  # a number is found in bytes six times as fast as a text of one byte
_FIELDS = (b"username", b"realm", b"nonce", b"uri", b"response")
_in_order = re.compile(
    rb"Digest "
    + rb", ?".join(name + b"=" + _STRING for name in _FIELDS[:4])
    + rb"(?>, ?(?!(?:response)=)"
    + _OTHER
    + rb")*+, ?response="
    + _STRING
    + rb"(?:,|\Z)"
)
_usual_challenge = re.compile(
    rb"Digest realm=" + _STRING + rb", ?nonce=" + _STRING + rb"(?>, ?(?!(?:"
    + b"|".join(_FIELDS) + rb")=)" + _OTHER + rb")*+\Z"
)  # fmt: skip
_any_order = re.compile(
    rb"Digest (?>(?:"
    + b"|".join(b"(?(%d)(?!)|%s=%s)" % (number, name, _STRING) for number, name in enumerate(_FIELDS, 1))
    + rb"|(?!(?:"
    + b"|".join(_FIELDS)
    + rb")=)"
    + _OTHER
    + rb")(?:, ?|\Z))++\Z"
)


def parse_credentials(value: bytes) -> Credentials:
    """Read Authorization or Proxy-Authorization; raises RemoteError("bad_auth")."""
    scheme, params = _split_auth(value)
    get = params.get
    return Credentials(
        scheme,
        get(b"username"),
        get(b"realm"),
        get(b"nonce"),
        get(b"uri"),
        get(b"response"),
        get(b"algorithm"),
        get(b"opaque"),
        get(b"qop"),
        get(b"cnonce"),
        get(b"nc"),
        params,
    )


def parse_challenge(value: bytes) -> Challenge:
    """Read WWW-Authenticate or Proxy-Authenticate; raises RemoteError("bad_auth")."""
    scheme, params = _split_auth(value)
    get = params.get
    options = (get(b"qop") or b"").lower().split(b",")
    return Challenge(
        scheme,
        get(b"realm"),
        get(b"nonce"),
        get(b"algorithm"),
        get(b"opaque"),
        get(b"domain"),
        tuple(option.strip() for option in options if option.strip()),
        (get(b"stale") or b"").lower() == b"true",
        params,
    )


def fast_auth(value: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes] | None:
    """Username, nonce, response, realm and uri of digest credentials or of a challenge.

    A field that is absent is empty. None when the value is unreadable or not of scheme Digest.
    """
    if _BACKSLASH not in value:
        match = _in_order.match(value)
        if match is not None:
            username, realm, nonce, uri, response = match.groups()
            return username, nonce, response, realm, uri
        match = _usual_challenge.match(value)
        if match is not None:
            realm, nonce = match.groups()
            return b"", nonce, b"", realm, b""
        match = _any_order.match(value)
        if match is not None:
            username, realm, nonce, uri, response = match.groups(b"")
            return username, nonce, response, realm, uri
    try:
        scheme, params = _split_auth(value)
    except RemoteError:
        return None
    if scheme != "digest":
        return None
    username, realm, nonce, uri, response = [params.get(name) or b"" for name in _FIELDS]
    return username, nonce, response, realm, uri


def _split_auth(value: bytes) -> tuple[str, dict[bytes, bytes | None]]:
    match = _scheme.match(value)
    if match is None:
        raise RemoteError("bad_auth", "no scheme")
    params: dict[bytes, bytes | None] = {}
    for piece in split_at(b",", value[match.end() :]):
        name, equals, text = piece.partition(b"=")
        name = name.strip().lower()
        # Only unknown names are limited: padding must not hide the fields that detection needs.
        if name and name not in params and (len(params) < MAX_PARAMS or name in _KNOWN):
            params[name] = unquote(text.strip()) if equals else None
    if not params:
        raise RemoteError("bad_auth", "no parameters")
    return match[1].decode("ascii").lower(), params
