"""What a shared record says: keys and values of the replicated map, and decisions and allowlist entries.

The first octet of a key is the kind of record: ``b`` a proven ban, ``v`` one node's vote for it, ``u``
an unproven ban, ``a`` an allowlist entry. A node keeps what it does not know, so that all maps stay
equal, and does nothing with it.
"""

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple

from shield.blocklist.allowlist import MAX_REASON
from shield.blocklist.decision import BAN as BAN_TYPE
from shield.blocklist.decision import LIMIT, Decision, read_ports
from shield.cluster.entry import Entry
from shield.cluster.names import is_name
from shield.detect.alert import Proof
from shield.errors import InputError, RemoteError
from shield.net import Network
from shield.wire import pack_value, unpack_value

__all__ = [
    "ALLOW",
    "BAN",
    "BANS",
    "UNPROVEN",
    "VOTE",
    "AllowValue",
    "Passport",
    "UnprovenValue",
    "allow_key",
    "allow_value",
    "allowed_text",
    "ban_key",
    "ban_value",
    "banned_network",
    "end_of",
    "passport_of",
    "read_allow",
    "read_ban",
    "read_unproven",
    "source_of",
    "unproven_key",
    "unproven_value",
    "vote_key",
    "voter",
    "with_passport",
    "without_passport",
]

BAN, VOTE, UNPROVEN, ALLOW = b"b"[0], b"v"[0], b"u"[0], b"a"[0]
BANS = frozenset({BAN, VOTE, UNPROVEN})

MAX_VALUE = 1536
"""Octets of a value: texts of a decision have under 700, where it comes from under 500."""
MAX_SCENARIO = 64
MAX_ID = 160
"""Characters: name of the node (64) and two numbers."""
MAX_COUNT = (1 << 31) - 1
"""Earlier bans, or messages, that a value can tell."""
MAX_PORTS_TEXT = 64
"""Characters: four ports have 39."""
MAX_ALLOWED = 255
"""Octets of what is allowed: a DNS name has 253."""

MAX_VISITED = 4
"""Clusters that a record may go through."""

_PROVEN = 1
_BAN_FIELDS, _ALLOW_FIELDS = 7, 3
_FIELDS = {BAN: _BAN_FIELDS, UNPROVEN: _BAN_FIELDS, ALLOW: _ALLOW_FIELDS}
"""Least fields of values that bridges carry; a passport is an array behind all others."""


class AllowValue(NamedTuple):
    """What a record of an allowlist entry says."""

    reason: str
    time: float
    """Wall time at which it was allowed."""
    endless: bool
    """It has no end; the record's own lifetime is renewed again and again."""


class UnprovenValue(NamedTuple):
    """What a record of an unproven ban says."""

    decision: Decision
    messages: int
    """Requests that the node had seen from the address: one or two may be forged by anybody."""


# --- keys ---------------------------------------------------------------------------------------


def ban_key(network: Network) -> bytes:
    """Key of a proven ban."""
    return b"b%c%b" % network[::-1]


def unproven_key(network: Network) -> bytes:
    """Key of an unproven ban: not that of a proven one, so neither can take the other's place."""
    return b"u%c%b" % network[::-1]


def vote_key(network: Network, node: str) -> bytes:
    """Key of one node's vote for a ban."""
    size = len(network.address)
    return b"v%c%c%b%b" % (network.length, size, network.address, node.encode())


def allow_key(value: str) -> bytes:
    """Key of an allowlist entry."""
    return b"a" + value.encode()


def banned_network(key: bytes) -> Network:
    """Network that a ban (proven or not) or a vote is about; raises RemoteError("key")."""
    if key[0] == VOTE:
        if len(key) < 3:
            raise RemoteError("key")
        address = key[3 : 3 + key[2]]
        sound = len(address) == key[2]
    else:
        address, sound = key[2:], len(key) > 1
    size = len(address)
    if not sound or size not in (4, 16):
        raise RemoteError("key")
    length = key[1]
    if length == size * 8:
        return Network(address, length)
    if length > size * 8 or Network.around(address, length).address != address:
        raise RemoteError("key")
    return Network(address, length)


def voter(key: bytes) -> str:
    """Node whose vote a key is; raises RemoteError("key")."""
    try:
        return key[3 + key[2] :].decode()
    except UnicodeDecodeError:
        raise RemoteError("key") from None


def allowed_text(key: bytes) -> str:
    """Value of an allowlist entry; raises RemoteError("key")."""
    if not 1 < len(key) <= MAX_ALLOWED + 1:
        raise RemoteError("key")
    try:
        return key[1:].decode()
    except UnicodeDecodeError:
        raise RemoteError("key") from None


# --- values -------------------------------------------------------------------------------------


def ban_value(decision: Decision) -> bytes:
    """Value of a ban, or of a limit, which has its type and its ports besides."""
    if decision.type == LIMIT:
        return _value(decision, decision.repeats, LIMIT, " ".join(map(str, decision.ports)))
    return _value(decision, decision.repeats)


def unproven_value(decision: Decision, messages: int) -> bytes:
    """Value of an unproven ban, which never escalates: in place of the repeats it has the messages."""
    return _value(decision, min(messages, MAX_COUNT))


def read_ban(network: Network, value: bytes, origin: str, until: float) -> Decision:
    """Read a ban that ends at node time ``until``; raises RemoteError("value")."""
    return _decision(network, value, origin, until)[0]


def read_unproven(network: Network, value: bytes, origin: str, until: float) -> UnprovenValue:
    """Read an unproven ban that ends at node time ``until``; raises RemoteError("value")."""
    decision, messages = _decision(network, value, origin, until)
    # Whatever it says: an unproven decision is a ban.
    plain = decision._replace(proof=Proof.UNPROVEN, repeats=0, type=BAN_TYPE, ports=())
    return UnprovenValue(plain, messages)


def _value(decision: Decision, number: int, *more: str) -> bytes:
    return pack_value(
        (
            _text(decision.scenario, MAX_SCENARIO),
            int(decision.proof is Proof.PROVEN),
            decision.time,
            decision.duration,
            _text(decision.id, MAX_ID),
            number,
            _text(decision.reason, MAX_REASON),
            *more,
        )
    )


def _limited(decision: Decision, fields: Any) -> Decision:
    """A decision with the type that the fields behind the usual seven say; without them it is a ban."""
    if not fields:
        return decision
    ports = fields[1] if len(fields) > 1 else ""
    sound = fields[0] == LIMIT and decision.network.is_host and decision.proof is Proof.PROVEN
    if not sound or type(ports) is not str or len(ports) > MAX_PORTS_TEXT:
        raise RemoteError("value")
    try:
        return decision._replace(type=LIMIT, ports=read_ports(ports))
    except InputError:
        raise RemoteError("value") from None


def _decision(network: Network, value: bytes, origin: str, until: float) -> tuple[Decision, int]:
    """Read a value; its number is given by itself too, for it means what the kind of record says."""
    fields, passport = _split(_fields(value, _BAN_FIELDS), _BAN_FIELDS)
    if passport is not None:
        origin = passport.origin
    scenario, proof, time, duration, id_, number, reason = fields[:7]
    if not (
        type(scenario) is str
        and len(scenario) <= MAX_SCENARIO
        and type(id_) is str
        and len(id_) <= MAX_ID
        and type(reason) is str
        and len(reason) <= MAX_REASON
        and type(number) is int
        and 0 <= number <= MAX_COUNT
        and _is_time(time)
        and _is_time(duration)
    ):
        raise RemoteError("value")
    kind = Proof.PROVEN if proof == _PROVEN else Proof.UNPROVEN
    made = Decision(network, scenario, origin, kind, time, until, duration, id_, reason, repeats=number)
    return _limited(made, fields[7:]), number


class Passport(NamedTuple):
    """Where a record comes from that a bridge has carried from another cluster."""

    origin: str
    """``node@cluster``: who wrote it, and where."""
    visited: tuple[str, ...]
    """Clusters that it has been in, the first first."""


def passport_of(key: bytes, value: bytes | None) -> Passport | None:
    """Where a carried ban or allowlist entry comes from; None for one of this cluster itself."""
    least = _FIELDS.get(key[0])
    if value is None or least is None:
        return None
    return _split(_fields(value, least), least)[1]


def source_of(key: bytes, entry: Entry) -> str:
    """Who decided what an entry says: its origin, or ``node@cluster`` of what a bridge has carried."""
    try:
        passport = passport_of(key, entry.value)
    except RemoteError:
        passport = None
    return entry.origin if passport is None else passport.origin


def with_passport(key: bytes, value: bytes, passport: Passport) -> bytes:
    """Give a value with the note where it comes from; raises RemoteError for one that makes no sense."""
    least = _FIELDS[key[0]]
    return pack_value((*_split(_fields(value, least), least)[0], passport))


def without_passport(key: bytes, value: bytes) -> bytes:
    """Give a value as it was written; raises RemoteError for one that makes no sense."""
    least = _FIELDS[key[0]]
    return pack_value(_split(_fields(value, least), least)[0])


def _split(fields: Any, least: int) -> tuple[Any, Passport | None]:
    """The fields without the passport, which is the last one, and an array."""
    if len(fields) <= least or type(fields[-1]) is not tuple:
        return fields, None
    return fields[:-1], _passport(fields[-1])


def _passport(field: Any) -> Passport | None:
    match field:
        case (str(origin), tuple(visited), *_) if (
            all(type(name) is str and is_name(name) for name in visited)
            and 0 < len(visited) <= MAX_VISITED
            and all(map(is_name, origin.split("@", 1)))
            and origin.count("@") == 1
        ):
            return Passport(origin, visited)
    return None


def end_of(key: bytes, value: bytes) -> float:
    """Wall time at which a ban or vote ends by what its writer decided; infinite for anything else."""
    if key[0] not in BANS:
        return inf
    _, _, time, duration, *_ = _fields(value, 7)
    return float(time + duration) if _is_time(time) and _is_time(duration) else inf


def allow_value(reason: str, time: float, *, endless: bool) -> bytes:
    """Value of an allowlist entry."""
    return pack_value((_text(reason, MAX_REASON), time, endless))


def read_allow(value: bytes) -> AllowValue:
    """Read the value of an allowlist entry; raises RemoteError("value")."""
    reason, time, endless = _fields(value, 3)[:3]
    if type(reason) is not str or len(reason) > MAX_REASON or not _is_time(time):
        raise RemoteError("value")
    return AllowValue(reason, float(time), endless is True)


def _fields(value: bytes, least: int) -> Any:
    if len(value) > MAX_VALUE:
        raise RemoteError("value")
    fields = unpack_value(value)
    if type(fields) is not tuple or len(fields) < least:
        raise RemoteError("value")
    return fields


def _is_time(value: Any) -> bool:
    return type(value) in (float, int) and 0 <= value <= 1e11  # NaN compares false


def _text(text: str, most: int) -> str:
    return text.encode("utf-8", "replace").decode()[:most]
