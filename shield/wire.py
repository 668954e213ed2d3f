"""Frames between nodes: a length of four octets (big-endian), then one msgpack array.

Bytes in, arrays out. Nothing is decoded before its whole frame is there, and no frame is larger than
the receiver allows, so a peer cannot make us hold more than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack

from shield.errors import RemoteError

__all__ = ["MAX_FRAME", "MAX_GREETING", "Frames", "encode", "pack_value", "unpack_value"]

MAX_FRAME = 1 << 20
"""Octets of a frame between members: a chunk of a snapshot takes a quarter of it."""

MAX_GREETING = 16_384
"""Octets of a frame before both sides know each other: a request to join holds a certificate request."""

_LENGTH = 4
_MAX_ITEMS = MAX_FRAME
"""Elements of one array or map: each takes an octet. What fits a frame can be read: a feature that sends
a long list must not lose its connection."""

Packed = bytes | bytearray | memoryview


def pack_value(value: Any) -> bytes:
    """Pack one value; raises ValueError or TypeError for what msgpack cannot hold."""
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def unpack_value(data: Packed) -> Any:
    """Read one packed value, arrays as tuples; raises RemoteError("garbage")."""
    try:
        return msgpack.unpackb(
            data,
            use_list=False,
            raw=False,
            strict_map_key=False,
            max_array_len=_MAX_ITEMS,
            max_map_len=_MAX_ITEMS,
        )
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        # TypeError: a map with an array as key; ValueError: not UTF-8, extra data, too long, too deep.
        raise RemoteError("garbage", f"not msgpack: {error}") from None


def encode(fields: Sequence[Any]) -> bytes:
    """Give the frame of one message."""
    body = pack_value(fields)
    return len(body).to_bytes(_LENGTH, "big") + body


class Frames:
    """Cuts a stream of bytes into messages."""

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self.limit = limit
        """Largest frame accepted from now on, in octets."""
        self.size = 0
        """Octets of the message that ``next_frame`` gave last, its length included."""
        self._buffer = bytearray()

    @property
    def waiting(self) -> int:
        """Octets of an unfinished frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes; ``next_frame`` gives what they complete."""
        self._buffer += data

    def next_frame(self) -> tuple[Any, ...] | None:
        """Give the next whole message as a tuple, or None.

        Raises RemoteError: ``oversize``, ``garbage``, or ``shape`` when it is no array that begins with
        a number. The stream cannot be read on then.
        """
        buffer = self._buffer
        if len(buffer) < _LENGTH:
            return None
        length = int.from_bytes(buffer[:_LENGTH], "big")
        if length > self.limit:
            raise RemoteError("oversize", f"a frame of {length} octets, {self.limit} allowed")
        end = _LENGTH + length
        if len(buffer) < end:
            return None
        with memoryview(buffer) as view:
            message = unpack_value(view[_LENGTH:end])
        del buffer[:end]
        self.size = end
        if not isinstance(message, tuple) or not message or type(message[0]) is not int:
            raise RemoteError("shape", "a message is an array that begins with its number")
        return message
