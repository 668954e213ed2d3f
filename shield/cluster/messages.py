"""What two nodes say to each other: one type for each message, in its order on the wire.

Numbers are only ever added, and so are fields at the end of a message: an older node ignores what
it does not know. ``docs/peer-protocol.md`` describes all of this for other implementations.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

from shield.cluster.settings import MAX_HOST, Address
from shield.errors import RemoteError
from shield.wire import encode

__all__ = [
    "ALIVE",
    "HIGHEST_VERSION",
    "LOWEST_VERSION",
    "Admit",
    "Alive",
    "Claim",
    "Data",
    "Hello",
    "Here",
    "Kind",
    "Leave",
    "MemberNews",
    "Message",
    "Part",
    "Ping",
    "Pong",
    "Refuse",
    "Revoked",
    "Routed",
    "decode",
    "encode_message",
]

LOWEST_VERSION = 1
HIGHEST_VERSION = 1
"""Versions of the protocol that this code speaks; two nodes use the highest that both know."""

ALIVE = "alive"
"""Feature of a node: answers to pings carry reports, so that only one side of a connection need ping."""

MAX_TEXT = 255
"""Octets of a name, a version, a reason."""
MAX_FEATURES = 64
MAX_ADDRESSES = 16
"""Addresses of one node: more than a machine at a site has."""
MAX_REPORTS = 64
"""Capabilities in one ping."""
MAX_REPORT = 64
"""Octets of what a capability adds to a ping: a digest and a count."""
MAX_CERTIFICATE = 4096
"""Octets of a certificate, a request for one, or a signed body about one member."""
MAX_BODY = 512 * 1024
"""Octets of the value that a capability sends: half a frame, so that a relayed one fits as well."""


class Kind(IntEnum):
    """What a message of a capability is."""

    MESSAGE = 0
    REQUEST = 1
    REPLY = 2
    FAILURE = 3
    """The answer to a request that could not be done; the body is a text."""


class Hello(NamedTuple):
    """The first message of both sides."""

    lowest: int
    highest: int
    cluster: str
    node: str
    incarnation: int
    """Milliseconds since the epoch when the node started: a new one makes older messages void."""
    software: str
    features: tuple[str, ...]
    wall: float
    """Its clock, for people: nothing depends on it."""
    addresses: tuple[Address, ...]


class Refuse(NamedTuple):
    """Why the sender ends the connection."""

    reason: str
    text: str


class Ping(NamedTuple):
    """Asks for a sign of life; carries what each capability reports of itself."""

    sequence: int
    reports: dict[str, bytes]


class Pong(NamedTuple):
    """Answers a ping."""

    sequence: int


class Alive(NamedTuple):
    """Answers a ping, with what each capability reports: its sender need not ping then."""

    sequence: int
    reports: dict[str, bytes]


class MemberNews(NamedTuple):
    """What a member says of itself, signed by it, handed on by everybody (``member.Record``)."""

    body: bytes
    signature: bytes


class Data(NamedTuple):
    """A message of a capability from the peer itself."""

    capability: str
    kind: int
    tag: int
    """Connects a reply with its request; 0 where there is none."""
    body: Any


class Routed(NamedTuple):
    """The same for or from a node without a direct link, signed by its origin (``routing.Parcel``)."""

    hops: int
    body: bytes
    signature: bytes


class Revoked(NamedTuple):
    """A certificate that counts no more, signed by the authority."""

    body: bytes
    signature: bytes


class Leave(NamedTuple):
    """The peer ends on purpose."""

    reason: str


class Claim(NamedTuple):
    """Somebody without a certificate shows a join token."""

    token: bytes
    secret: bytes
    node: str
    request: bytes
    """PKCS #10 certificate request, DER."""


class Admit(NamedTuple):
    """The answer: a certificate."""

    certificate: bytes
    authority: bytes
    cluster: str
    seeds: tuple[Address, ...]


class Here(NamedTuple):
    """A sign of life to everybody, over a carrier without connections between nodes."""

    sequence: int
    """Of the sender's newest record (``member.Record``)."""
    interval: int
    """Milliseconds until the next sign, about."""
    known: bytes
    """Digest of the revocations and of the names of all members that it knows, 8 octets."""
    reports: dict[str, bytes]


class Part(NamedTuple):
    """A piece of a message that is larger than the carrier takes."""

    message: int
    """A number of the sender's: the same in all pieces of a message."""
    number: int
    """Of this piece, from 0, in order."""
    total: int
    octets: bytes


Message = (
    Hello | Refuse | Ping | Pong | MemberNews | Data | Routed | Revoked
    | Leave | Claim | Admit | Here | Part | Alive
)  # fmt: skip

_NUMBERS: dict[type, int] = {
    Hello: 1,
    Refuse: 2,
    Ping: 3,
    Pong: 4,
    MemberNews: 5,
    Data: 6,
    Routed: 7,
    Revoked: 8,
    Leave: 9,
    Claim: 10,
    Admit: 11,
    Here: 12,
    Part: 13,
    Alive: 14,
}
"""Append only: these numbers are on the wires of running clusters."""


def encode_message(message: Message) -> bytes:
    """Give the frame of a message."""
    return encode((_NUMBERS[type(message)], *message))


def decode(frame: tuple[Any, ...]) -> Message | None:
    """Check a frame and give its message; None for a number that a newer version has added.

    Raises RemoteError("shape") naming message and field.
    """
    number = frame[0]
    if number == 6 and len(frame) >= 5:  # by far the most
        name, kind, tag = frame[1:4]
        if type(name) is str and len(name) <= MAX_TEXT and type(kind) is int and type(tag) is int:
            return Data(name, kind, tag, frame[4])
    layout = _LAYOUTS.get(number)
    if layout is None:
        return None
    kind_of, checks = layout
    if len(frame) <= len(checks):
        raise RemoteError("shape", f"{kind_of.__name__}: {len(frame) - 1} fields of {len(checks)}")
    for value, check, name in zip(frame[1:], checks, kind_of._fields, strict=False):
        if not check(value):
            raise RemoteError("shape", f"{kind_of.__name__}: bad {name}")
    message: Message = kind_of(*frame[1 : len(checks) + 1])
    return message


Check = Callable[[Any], bool]


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _text(value: Any) -> bool:
    return type(value) is str and len(value) <= MAX_TEXT


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e12  # NaN compares false


def _anything(_value: Any) -> bool:
    return True


def _octets(most: int) -> Check:
    return lambda value: type(value) is bytes and len(value) <= most


def _texts(value: Any) -> bool:
    return type(value) is tuple and len(value) <= MAX_FEATURES and all(map(_text, value))


def is_address(value: Any) -> bool:
    """Whether a value is a host and a port."""
    return (
        type(value) is tuple
        and len(value) == 2
        and type(value[0]) is str
        and 0 < len(value[0]) <= MAX_HOST
        and type(value[1]) is int
        and 0 < value[1] < 65536
    )


def are_addresses(value: Any) -> bool:
    """Whether a value is a list of them."""
    return type(value) is tuple and len(value) <= MAX_ADDRESSES and all(map(is_address, value))


def _reports(value: Any) -> bool:
    return (
        type(value) is dict
        and len(value) <= MAX_REPORTS
        and all(_text(name) and type(r) is bytes and len(r) <= MAX_REPORT for name, r in value.items())
    )


_LAYOUTS: dict[int, tuple[Any, tuple[Check, ...]]] = {
    1: (Hello, (_whole, _whole, _text, _text, _whole, _text, _texts, _number, are_addresses)),
    2: (Refuse, (_text, _text)),
    3: (Ping, (_whole, _reports)),
    4: (Pong, (_whole,)),
    5: (MemberNews, (_octets(8 * MAX_CERTIFICATE), _octets(64))),
    6: (Data, (_text, _whole, _whole, _anything)),
    7: (Routed, (_whole, _octets(MAX_BODY + MAX_CERTIFICATE), _octets(64))),
    8: (Revoked, (_octets(MAX_CERTIFICATE), _octets(64))),
    9: (Leave, (_text,)),
    10: (Claim, (_octets(MAX_TEXT), _octets(MAX_TEXT), _text, _octets(MAX_CERTIFICATE))),
    11: (Admit, (_octets(MAX_CERTIFICATE), _octets(MAX_CERTIFICATE), _text, are_addresses)),
    12: (Here, (_whole, _whole, _octets(8), _reports)),
    13: (Part, (_whole, _whole, _whole, _octets(MAX_BODY))),
    14: (Alive, (_whole, _reports)),
}
