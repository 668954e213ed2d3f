"""Claim: what a node says of a conference that it hosts, and how that travels."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from shield.errors import RemoteError
from shield.wire import pack_value, unpack_value

__all__ = ["Claim", "Word", "pack_claim", "read_claim"]

MAX_VALUE = 512
MAX_SERVER = 255
TRANSPORTS = frozenset({"udp", "tcp", "tls", "ws", "wss"})


class Word(StrEnum):
    """What a record says. The last two end within minutes, while a removal would be kept for a day."""

    HELD = "held"
    """The node hosts it."""
    ENDED = "ended"
    """Its last call there is over."""
    RELEASED = "released"
    """An operator took it away: calls that are on give nobody a claim."""


class Claim(NamedTuple):
    """What one record says."""

    word: Word
    server: str = ""
    """``host:port`` or a SIP URI at which the host's server is reached."""
    transport: str = "udp"
    """``udp``, ``tcp``, ``tls``, ``ws`` or ``wss``."""
    since: float = 0.0
    """Wall time at which its first call was answered, seconds since the epoch."""
    calls: int = 0
    """Calls that are on at the host."""


def pack_claim(claim: Claim) -> bytes:
    """Value of a record."""
    return pack_value((claim.word.value, claim.server, claim.transport, claim.since, claim.calls))


def read_claim(value: bytes) -> Claim:
    """Read the value of a record; raises RemoteError("value")."""
    fields = unpack_value(value) if len(value) <= MAX_VALUE else None
    if type(fields) is not tuple or len(fields) < 5:
        raise RemoteError("value")
    word, server, transport, since, calls = fields[:5]
    if (
        word not in {w.value for w in Word}
        or type(server) is not str
        or len(server) > MAX_SERVER
        or any(c.isspace() or not c.isprintable() or c in '<>"' for c in server)
        or transport not in TRANSPORTS
        or type(since) not in (int, float)
        or type(calls) is not int
    ):
        raise RemoteError("value")
    return Claim(Word(word), server, transport, float(since), calls)
