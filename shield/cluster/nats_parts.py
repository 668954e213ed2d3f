"""Parts: messages that are larger than a server takes are cut, and put together again.

Each part is a parcel of its own, signed and taken once, so only members can make us hold anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from shield.cluster.messages import MAX_BODY, Data, Message, Part, decode
from shield.errors import RemoteError
from shield.wire import unpack_value

__all__ = ["MAX_OPEN", "Assembly", "cut"]

MAX_OPEN = 4
"""Messages of one node that may be unfinished: its parts come in order, one stream to all, one to us."""

MAX_PARTS = 1024
"""Of one message: the smallest parts are half a kilobyte."""

SLACK = 4096
"""Octets of a message besides its body."""


def cut(octets: bytes, size: int, number: int) -> list[Part]:
    """Cut a packed message into parts of at most ``size`` octets; ``number`` tells it from others."""
    pieces = [octets[start : start + size] for start in range(0, len(octets), size)]
    return [Part(number, index, len(pieces), piece) for index, piece in enumerate(pieces)]


@dataclass(slots=True)
class _Open:
    count: int
    pieces: list[bytes]
    size: int


class Assembly:
    """Unfinished messages of all nodes."""

    def __init__(self) -> None:
        self._open: dict[str, dict[int, _Open]] = {}

    def add(self, sender: str, part: Part) -> Data | None:
        """Take a part; gives the message that it completes. Raises RemoteError("parts")."""
        mine = self._open.setdefault(sender, {})
        if part.number == 0 and 0 < part.total <= MAX_PARTS:
            mine.pop(part.message, None)
            while len(mine) >= MAX_OPEN:
                del mine[next(iter(mine))]  # the oldest: its rest was lost
            mine[part.message] = _Open(part.total, [], 0)
        unfinished = mine.get(part.message)
        if unfinished is None or len(unfinished.pieces) != part.number or part.total != unfinished.count:
            mine.pop(part.message, None)
            raise RemoteError("parts", f"number {part.number} of {part.total} does not follow")
        unfinished.pieces.append(part.octets)
        unfinished.size += len(part.octets)
        if unfinished.size > MAX_BODY + SLACK:
            del mine[part.message]
            raise RemoteError("parts", f"more than {MAX_BODY} octets")
        if len(unfinished.pieces) < unfinished.count:
            return None
        del mine[part.message]
        return _message(b"".join(unfinished.pieces))

    def forget(self, sender: str) -> None:
        """Drop what a node has not finished."""
        self._open.pop(sender, None)


def _message(octets: bytes) -> Data:
    frame = unpack_value(octets)
    message: Message | None = decode(frame) if type(frame) is tuple and frame else None
    if not isinstance(message, Data):
        raise RemoteError("parts", "no message of a capability")
    return message
