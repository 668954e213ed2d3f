"""SIP over WebSocket (RFC 7118), read passively from a TCP stream.

The client's HTTP Upgrade must ask for the subprotocol ``sip`` and the server's 101 must grant it;
then wsproto's frame decoder reads the frames of both directions (masks, fragments, control
frames, RFC 6455) and each WebSocket message is one SIP message. permessage-deflate (RFC 7692) is
undone with a limit on what comes out. A request that is no such upgrade is left to ``otherwise``.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Protocol

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, ParseFailed, RsvBits

from shield.net import Transport

__all__ = ["Mute", "Reader", "WebSocketSession"]

MAX_HEAD: Final = 16384
"""Longest HTTP header block; common servers take 8 to 16 KiB."""
MAX_MESSAGE: Final = 65536
"""Longest SIP message, also after inflating; as over TCP (see framing)."""


_NO_BITS = RsvBits(rsv1=False, rsv2=False, rsv3=False)
_FIRST_BIT = RsvBits(rsv1=True, rsv2=False, rsv3=False)


class Reader(Protocol):
    """Cuts one direction of a stream into messages."""

    @property
    def transport(self) -> Transport:
        """What the messages are said to be carried by."""
        ...

    @property
    def buffered(self) -> int:
        """Bytes held."""
        ...

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; the messages they complete."""
        ...

    def lose(self) -> None:
        """Bytes are missing from here on."""
        ...

    def close(self) -> list[bytes]:
        """End the stream; what is left of it."""
        ...


class Mute:
    """A stream that carries no SIP: nothing comes out, nothing is held."""

    transport = Transport.TCP
    buffered = 0

    def feed(self, data: bytes) -> list[bytes]:  # noqa: ARG002 - the Reader protocol
        """Throw the bytes away."""
        return []

    def lose(self) -> None:
        """Nothing can be lost."""

    def close(self) -> list[bytes]:
        """Nothing is left."""
        return []


class _Inflate(Extension):  # type: ignore[misc] # wsproto is not seen by mypy here
    """The receiving half of permessage-deflate, which stops at MAX_MESSAGE."""

    name = "permessage-deflate"

    def __init__(self, *, keep_context: bool) -> None:
        self._keep_context = keep_context
        self._inflater: Any = None
        self._compressed = False
        self._size = 0

    def offer(self) -> bool:
        return False

    def frame_inbound_header(
        self,
        proto: Any,  # noqa: ARG002 - wsproto's signature
        opcode: Any,
        rsv: RsvBits,
        payload_length: int,  # noqa: ARG002
    ) -> RsvBits | CloseReason:
        if opcode.iscontrol():
            return _NO_BITS
        if opcode:  # not a continuation: only the first frame of a message has the bit
            self._compressed = bool(rsv.rsv1)
            self._size = 0
        return _FIRST_BIT if opcode else _NO_BITS

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> bytes | CloseReason:
        if not self._compressed or proto.header.opcode.iscontrol():
            return data
        return self._run(bytes(data))

    def frame_inbound_complete(self, proto: Any, fin: bool) -> bytes | CloseReason | None:
        if not fin or not self._compressed or proto.header.opcode.iscontrol():
            return None
        tail = self._run(b"\x00\x00\xff\xff")
        self._compressed = False
        if not self._keep_context:
            self._inflater = None
        return tail

    def _run(self, data: bytes) -> bytes | CloseReason:
        if self._inflater is None:
            self._inflater = zlib.decompressobj(-15)
        try:
            out: bytes = self._inflater.decompress(data, MAX_MESSAGE + 1 - self._size)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        self._size += len(out)
        if self._size > MAX_MESSAGE or self._inflater.unconsumed_tail:
            return CloseReason.MESSAGE_TOO_BIG
        return out


class WebSocketSession:
    """Both directions of one connection that began with ``GET``."""

    def __init__(self, errors: Counter[str], otherwise: Callable[[], Reader]) -> None:
        self.errors = errors
        self.otherwise = otherwise
        self.offered: str = ""
        """The extensions that the client offered."""
        self.granted: str | None = None
        """The extensions that the server granted; None until it answered 101."""
        self.client = _Half(self, from_client=True)
        self.server = _Half(self, from_client=False)

    def inflate(self, *, from_client: bool) -> list[Extension]:
        """Make the decoder extensions of one direction, as negotiated (RFC 7692 section 7.1)."""
        granted = (self.granted or "").lower()
        if "permessage-deflate" not in granted:
            return []
        side = "client" if from_client else "server"
        return [_Inflate(keep_context=f"{side}_no_context_takeover" not in granted)]


class _Half:
    """One direction: its HTTP head, then its frames."""

    def __init__(self, session: WebSocketSession, *, from_client: bool) -> None:
        self._session = session
        self._from_client = from_client
        self._buffer = bytearray()
        self._inner: Reader | None = None
        """Takes everything when this is no SIP over WebSocket after all."""
        self._upgraded = False
        self._frames: FrameDecoder | None = None
        self._message = bytearray()
        self._oversize = False

    @property
    def transport(self) -> Transport:
        return self._inner.transport if self._inner else Transport.WS

    @property
    def buffered(self) -> int:
        held = len(self._buffer) + len(self._message)
        return held + (self._inner.buffered if self._inner else 0)

    def feed(self, data: bytes) -> list[bytes]:
        if self._inner is not None:
            return self._inner.feed(data)
        self._buffer += data
        if not self._upgraded and not self._read_head():
            return self._hand_over()
        if self._frames is None and not self._start_frames():
            return []
        return self._read_frames()

    def lose(self) -> None:
        """Frames carry no mark to find the next one by, so the rest is unreadable."""
        if self._inner is not None:
            self._inner.lose()
        else:
            self._give_up("websocket_gap")

    def close(self) -> list[bytes]:
        if self._inner is None and not self._upgraded and self._from_client:
            self._inner = self._session.otherwise()
        if self._inner is None:
            return []
        return self._inner.feed(self._rest()) + self._inner.close()

    def _hand_over(self) -> list[bytes]:
        return self._inner.feed(self._rest()) if self._inner is not None else []

    def _rest(self) -> bytes:
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def _give_up(self, reason: str) -> None:
        self._session.errors[reason] += 1
        self._buffer.clear()
        self._message.clear()
        self._frames = None
        self._inner = Mute()

    def _read_head(self) -> bool:
        """Read the head; True when it is complete and switches to SIP over WebSocket."""
        end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEAD)
        if end < 0:
            if len(self._buffer) >= MAX_HEAD:
                self._inner = self._session.otherwise() if self._from_client else Mute()
            return False
        first, fields = _head(bytes(self._buffer[:end]))
        protocols = {
            name.strip() for name in fields.get("sec-websocket-protocol", "").lower().split(",")
        }
        extensions = fields.get("sec-websocket-extensions", "")
        if "sip" not in protocols or "websocket" not in fields.get("upgrade", "").lower():
            self._inner = self._session.otherwise() if self._from_client else Mute()
            return False
        if self._from_client:
            self._session.offered = extensions
        elif first.split(" ")[1:2] == ["101"]:
            self._session.granted = extensions
        else:
            self._inner = Mute()
            return False
        del self._buffer[: end + 4]
        self._upgraded = True
        return True

    def _start_frames(self) -> bool:
        """Frames can be read once it is known whether they are compressed."""
        session = self._session
        if session.granted is None and "permessage-deflate" in session.offered.lower():
            if len(self._buffer) > MAX_MESSAGE:
                self._give_up("websocket_unanswered")
            return False
        extensions = session.inflate(from_client=self._from_client)
        self._frames = FrameDecoder(not self._from_client, extensions)
        return True

    def _read_frames(self) -> list[bytes]:
        messages: list[bytes] = []
        assert self._frames is not None
        self._frames.receive_bytes(self._rest())
        try:
            while (frame := self._frames.process_buffer()) is not None:
                if frame.opcode.iscontrol():
                    continue
                if len(self._message) + len(frame.payload) > MAX_MESSAGE:
                    self._oversize = True
                    self._message.clear()
                if not self._oversize:
                    self._message += frame.payload
                if frame.frame_finished and frame.message_finished:
                    self._finish(messages)
        except ParseFailed:
            self._give_up("websocket_broken")
        return messages

    def _finish(self, messages: list[bytes]) -> None:
        if self._oversize:
            self._session.errors["websocket_too_long"] += 1
        else:
            messages.append(bytes(self._message))
        self._message.clear()
        self._oversize = False


def _head(block: bytes) -> tuple[str, dict[str, str]]:
    """First line and fields of an HTTP head; names in lower case, repeated fields joined."""
    first, *lines = block.decode("latin-1").split("\r\n")
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        fields[name] = f"{fields[name]},{value.strip()}" if name in fields else value.strip()
    return first, fields
