"""What is published on a NATS server: subjects, and messages as payloads."""

from __future__ import annotations

from enum import Enum

from shield.cluster.messages import Data, Hello, Here, Kind, Message, Part, decode, encode_message
from shield.errors import RemoteError
from shield.wire import unpack_value

__all__ = ["INNER", "LENGTH", "Place", "Subjects", "inner", "opened", "packed", "read"]

LENGTH = 4
"""Octets of the length in front of a frame: a payload has none."""

INNER = ""
"""Capability of parcels that hold a message of the cluster itself."""


class Place(Enum):
    """Where a message was published."""

    HERE = "here"
    """Signs of life and what concerns the cluster itself, to everybody."""
    ALL = "all"
    """Messages of capabilities to everybody."""
    NODE = "node"
    """To one node."""


class Subjects:
    """The subjects of one cluster: ``shield.CLUSTER.here``, ``.all`` and ``.node.NAME``."""

    def __init__(self, first: str, cluster: str) -> None:
        # Dots part the words of a subject; no name holds an underscore.
        self._prefix = f"{first}.{cluster.replace('.', '_')}"
        self.here = f"{self._prefix}.{Place.HERE.value}"
        self.all = f"{self._prefix}.{Place.ALL.value}"

    def node(self, name: str) -> str:
        """That of one node."""
        return f"{self._prefix}.{Place.NODE.value}.{name.replace('.', '_')}"


def packed(message: Message) -> bytes:
    """A message as a payload."""
    return encode_message(message)[LENGTH:]


def read(payload: bytes) -> Message | None:
    """The message of a payload, None for a number of a newer version; raises RemoteError("shape")."""
    return opened(unpack_value(payload))


def inner(message: Hello | Here | Part, kind: Kind = Kind.MESSAGE) -> Data:
    """A message of the cluster itself, for a parcel."""
    return Data(INNER, kind, 0, unpack_value(packed(message)))


def opened(frame: object) -> Message | None:
    """The message in an array; the same."""
    if not isinstance(frame, tuple) or not frame or type(frame[0]) is not int:
        raise RemoteError("shape", "a message is an array that begins with its number")
    return decode(frame)
