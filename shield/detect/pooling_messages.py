"""What nodes tell each other of their tallies, as values of msgpack; see ``shield.detect.pooling``."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from struct import Struct
from typing import Any

from shield.detect.tallies import MAX_THINGS, Aim, OwnTally, Part, Thing, Told
from shield.errors import RemoteError

__all__ = ["MAX_TALLIES", "key_mark", "octets", "pack_tally", "read_clients", "read_rules"]

MAX_RULES = 512
MAX_TALLIES = 8_192
"""Of one message."""
MAX_CLIENTS = 1_000
MAX_AGE = 86_400.0
"""Seconds; no window is longer."""
TALLY_OCTETS = 24
"""What a tally costs beside its things, about."""

_thing = Struct(">qIB")
"""Hash, age in tenths of a second, whether it is proven."""
_gone = Struct(">q")


def key_mark(key: bytes) -> bytes:
    """Four octets that tell one secret from another, and nothing of it."""
    return blake2b(key, digest_size=4, person=b"evidence").digest()


def octets(things: int, gone: int) -> int:
    """About what a tally with so many things takes on the wire."""
    return TALLY_OCTETS + _thing.size * things + _gone.size * gone


def pack_tally(aim: Aim, part: Part, tally: OwnTally, wall: float) -> tuple[Any, ...]:
    """(target, client, server, things, gone) of what is untold; ``wall`` is event time."""
    things = b"".join(
        _thing.pack(key, min(int(MAX_AGE * 10), max(0, int((wall - time) * 10))), proven)
        for key, time, proven in tally.untold
    )
    return aim.target, part.client, part.server, things, b"".join(map(_gone.pack, tally.gone))


def read_rules(rules: Any, wall: float) -> Iterator[Told]:
    """Read what is told, tally by tally; raises RemoteError("body")."""
    if type(rules) is not tuple or len(rules) > MAX_RULES:
        raise RemoteError("body", "rules")
    for rule in rules:
        if type(rule) is not tuple or len(rule) < 2:
            raise RemoteError("body", "rule")
        name, tallies = rule[:2]
        if type(name) is not str or type(tallies) is not tuple or len(tallies) > MAX_TALLIES:
            raise RemoteError("body", "rule")
        for tally in tallies:
            yield _read_tally(name, tally, wall)


def read_clients(clients: Any) -> tuple[bytes, ...]:
    """Packed addresses; raises RemoteError("body")."""
    if type(clients) is not tuple or len(clients) > MAX_CLIENTS:
        raise RemoteError("body", "clients")
    if not all(type(client) is bytes and len(client) in (4, 16) for client in clients):
        raise RemoteError("body", "clients")
    return clients


def _read_tally(name: str, tally: Any, wall: float) -> Told:
    if type(tally) is not tuple or len(tally) < 5:
        raise RemoteError("body", "tally")
    target, client, server, things, gone = tally[:5]
    if not (
        _is_hash(target)
        and _is_hash(server)
        and type(client) is bytes
        and len(client) in (4, 16)
        and _is_array(things, _thing.size)
        and _is_array(gone, _gone.size)
    ):
        raise RemoteError("body", "tally")
    found = [
        Thing(key, wall - min(MAX_AGE, age / 10), proven == 1)
        for key, age, proven in _thing.iter_unpack(things)
    ]
    found.sort(key=lambda thing: thing.time)
    taken_back = [key for (key,) in _gone.iter_unpack(gone)]
    return Told(name, target, Part(client, server), found, taken_back)


def _is_array(value: Any, size: int) -> bool:
    return type(value) is bytes and len(value) % size == 0 and len(value) <= MAX_THINGS * size


def _is_hash(value: Any) -> bool:
    return type(value) is int and -(1 << 63) <= value < 1 << 63
