"""Script texts: by these the routing scripts of OpenSIPS tell each other of attackers and users.

    HACKER:<base64 of the User-Agent>:<address>     also with the two fields the other way round
    REGONLINE:<user>:<proxy>     REGOFFLINE:<user>:<proxy>
    WHEREIS:<user>:<proxy>       answered by HEREIS:<user>:<proxy>

Anything else is free text. In users ``%``, ``:`` and what is no printable text are written as ``%XX`` as
in a SIP URI, so that any octets survive; a text whose user holds a colon all the same is read as far as
its last part can be a proxy. IPv6 addresses may have brackets or not. Sans-IO; nothing here raises.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import NamedTuple

from shield.errors import InputError
from shield.net import pack, unpack
from shield.sip.uri import unescape

__all__ = ["HEREIS", "REGOFFLINE", "REGONLINE", "WHEREIS", "Hacker", "Place", "parse"]

REGONLINE, REGOFFLINE, WHEREIS, HEREIS = "REGONLINE", "REGOFFLINE", "WHEREIS", "HEREIS"
PLACES = frozenset({REGONLINE, REGOFFLINE, WHEREIS, HEREIS})

MAX_FIELD = 1024
"""Characters of a field: a user or a User-Agent; a text has 4,096 at most."""

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


class Hacker(NamedTuple):
    """An attacker."""

    agent: bytes
    """Its User-Agent, as it was sent."""
    address: bytes
    """Packed."""

    def __str__(self) -> str:
        return f"HACKER:{b64encode(self.agent[:MAX_FIELD]).decode()}:{unpack(self.address)}"


class Place(NamedTuple):
    """Where a user is, or is looked for."""

    kind: str
    """One of PLACES."""
    user: bytes
    proxy: str
    """Host or address, with a port or without."""

    def __str__(self) -> str:
        return f"{self.kind}:{_escaped(self.user)}:{self.proxy}"


def parse(text: str) -> Hacker | Place | None:
    """Read a text; None for free text, and for what only looks like one of these."""
    kind, colon, rest = text.partition(":")
    if not colon or len(rest) > 2 * MAX_FIELD:
        return None
    if kind == "HACKER":
        return _hacker(rest)
    return _place(kind, rest) if kind in PLACES else None


def _hacker(rest: str) -> Hacker | None:
    first, _, behind = rest.partition(":")
    before, _, last = rest.rpartition(":")
    for agent, address in ((first, behind), (last, before)):
        packed = _address(address)
        if packed is not None and _BASE64.fullmatch(agent):
            try:
                return Hacker(b64decode(agent, validate=True), packed)
            except ValueError:
                continue
    return None


def _place(kind: str, rest: str) -> Place | None:
    at = rest.find(":")
    while at >= 0:
        user, proxy = rest[:at], rest[at + 1 :]
        if user and (_HOST.fullmatch(proxy) or _address(proxy) is not None):
            return Place(kind, unescape(user.encode("utf-8", "surrogateescape")), proxy)
        at = rest.find(":", at + 1)
    return None


def _address(text: str) -> bytes | None:
    try:
        return pack(text.strip("[]"))
    except InputError:
        return None


def _escaped(user: bytes) -> str:
    """Text of a user in which nothing can be taken for the end of a field or of a line."""
    text = user[:MAX_FIELD].decode("utf-8", "surrogateescape")
    return "".join(
        c
        if c.isprintable() and c not in "%:"
        else "".join(f"%{octet:02X}" for octet in c.encode("utf-8", "surrogateescape"))
        for c in text
    )
