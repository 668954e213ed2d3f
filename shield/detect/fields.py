"""The names under which rules speak of parts of a SipEvent, and how each is read.

A field gives bytes, or None when the message has no such part. ``header.NAME`` reads any header field.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from shield.detect.oddities import names_of, oddities_of
from shield.detect.shape import campaign_of
from shield.errors import ConfigError
from shield.net import unpack
from shield.sip.event import SipEvent
from shield.sip.headers import fast_tag
from shield.sip.message import usual_name
from shield.sip.uri import fast_host, fast_user

__all__ = ["FIELDS", "Field", "field"]

Field = Callable[[SipEvent], bytes | None]

TAIL_DIGITS = 7
"""Numbers that end in the same seven digits are one subscriber dialled with different prefixes."""
MIN_RANDOM = 8
"""A Call-ID has a random part, and many phones write their address behind it (RFC 2543 asked for it):
that changes when they move. Shorter ones are no random part and count with what follows."""
_SEPARATORS = b"-.() "
MAX_TARGETS = 1_024
"""Servers whose address is remembered as text: writing it costs as much as everything else of a rule."""


def _header(name: bytes) -> Field:
    usual = usual_name(name)
    if usual in _READ_ALREADY:
        return _READ_ALREADY[usual]
    if usual != usual.lower():
        return _usual(usual)

    def read(event: SipEvent) -> bytes | None:
        return event.request.get(name) if event.request is not None else None

    return read


def _usual(name: bytes) -> Field:
    line = b"\r\n" + name + b": "

    def read(event: SipEvent) -> bytes | None:
        return event.request.usual(line) if event.request is not None else None

    return read


def _called(event: SipEvent) -> bytes | None:
    """Digits that an INVITE dials; None when its user part is no number."""
    user = event.user.translate(None, _SEPARATORS)
    return user if user.lstrip(b"+*#").isdigit() else None


def _tail(event: SipEvent) -> bytes | None:
    digits = _called(event)
    return digits[-TAIL_DIGITS:] if digits is not None and len(digits) > TAIL_DIGITS else None


def _raw(event: SipEvent) -> bytes | None:
    return event.request.head if event.request is not None else event.payload


def _agent(event: SipEvent) -> bytes | None:
    return event.request.agent if event.request is not None else None


def _allow(event: SipEvent) -> bytes | None:
    return event.request.allow if event.request is not None else None


def _account(event: SipEvent) -> bytes | None:
    """Whose password is tried; some clients write the domain behind it."""
    return event.auth[0].partition(b"@")[0] or None if event.auth is not None else None


def _defect(event: SipEvent) -> bytes | None:
    if event.request is None:
        return b"unreadable"
    # A From without tag alone is an old client (RFC 2543); with other damage it is part of its shape.
    shape = event.request.defects if event.tag else (*event.request.defects, "no_from_tag")
    return ",".join(shape).encode() if event.request.defects else None


def _call_id_local(event: SipEvent) -> bytes | None:
    if event.request is None or not event.request.call_id:
        return None
    local = event.request.call_id.partition(b"@")[0]
    return local if len(local) >= MIN_RANDOM else event.request.call_id


def _number(event: SipEvent) -> bytes:
    return str(event.client_port).encode()


def _target(event: SipEvent) -> bytes:
    return _endpoint(event.server, event.server_port)


@lru_cache(MAX_TARGETS)
def _endpoint(address: bytes, port: int) -> bytes:
    return f"{unpack(address)}:{port}".encode()


FIELDS: dict[str, Field] = {
    "method": lambda event: event.method,
    "uri": lambda event: event.request.uri if event.request is not None else None,
    "user": lambda event: event.user or None,
    "called": _called,
    "tail": _tail,
    "domain": lambda event: event.domain or None,
    "from": lambda event: event.request.from_ if event.request is not None else None,
    "from.user": lambda event: fast_user(event.request.from_) if event.request is not None else None,
    "from.host": lambda event: fast_host(event.request.from_) if event.request is not None else None,
    "from.tag": lambda event: event.tag or None,
    "to": lambda event: event.request.to if event.request is not None else None,
    "to.user": lambda event: fast_user(event.request.to) if event.request is not None else None,
    "to.tag": lambda event: fast_tag(event.request.to) if event.request is not None else None,
    "via": lambda event: event.request.via if event.request is not None else None,
    "branch": lambda event: event.branch or None,
    "call-id": lambda event: event.request.call_id if event.request is not None else None,
    "call-id.local": _call_id_local,
    "cseq": lambda event: event.request.cseq if event.request is not None else None,
    "contact": _usual(b"Contact"),
    "user-agent": _agent,
    "auth.user": lambda event: event.auth[0] if event.auth is not None else None,
    "auth.nonce": lambda event: event.auth[1] if event.auth is not None else None,
    "auth.response": lambda event: event.auth[2] if event.auth is not None else None,
    "body": lambda event: (event.request.body or None) if event.request is not None else None,
    "raw": _raw,
    "defect": _defect,
    "source-port": _number,
    "target": _target,
    "account": _account,
    "oddity": lambda event: ",".join(names_of(oddities_of(event))).encode() or None,
    "campaign": lambda event: campaign_of(event.request),
}
"""Field name to its reader."""


_READ_ALREADY: dict[bytes, Field] = {b"User-Agent": _agent, b"Allow": _allow}
"""Header fields that the parser has picked out."""


def field(name: str, where: str) -> Field:
    """The reader of a field; raises ConfigError naming ``where`` for an unknown one."""
    if name in FIELDS:
        return FIELDS[name]
    kind, _, header = name.partition(".")
    if kind == "header" and header:
        return _header(header.encode())
    raise ConfigError(f"{where}: unknown field {name!r} (known: {', '.join(FIELDS)}, header.NAME)")
