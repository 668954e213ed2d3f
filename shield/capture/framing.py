"""Cut a byte stream into SIP messages: RFC 3261 section 18.3.

The result depends on the bytes only, never on how they were cut into segments. A message
ends after its header block (an empty line; LF alone is accepted, as servers do) and the
bytes that Content-Length counts; over a stream a missing Content-Length is zero. What is
no SIP is given out as well, up to the next line that can start a message: damaged requests
must be seen by detection. Only after bytes were lost to the sensor itself (``lose``) is
everything up to such a line thrown away.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from shield.capture.content import START_LINE
from shield.net import Transport

__all__ = ["SipFramer", "content_length"]

MAX_MESSAGE: Final = 65536
"""Longest message kept in full, and most bytes ever buffered: what common servers accept over TCP."""
MAX_LINE: Final = 8192
"""Longest start line looked for in damaged data."""

_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(
    rb"^(?:content-length|l)[ \t]*:(?:[ \t]|\r?\n[ \t])*([0-9]{1,10})(?:[ \t]|\r?\n[ \t])*\r?$",
    re.IGNORECASE | re.MULTILINE,
)
_EMPTY_LINES = b"\r\n"


def content_length(header: bytes) -> int:
    """Body length that a header block announces; 0 when it says nothing readable.

    Of several the smallest counts: if that is wrong, the rest of the body is cut at the next start
    line, so nobody can hide messages inside a body.
    """
    return min(map(int, _LENGTH.findall(header)), default=0)


class SipFramer:
    """One direction of a stream: bytes in, complete messages out."""

    transport = Transport.TCP

    def __init__(self, errors: Counter[str], *, lost: bool = False) -> None:
        self._errors = errors
        self._buffer = b""
        self._scanned = 0
        """The header block's end is not before this offset."""
        self._body = 0
        """Length of header block and body once the header is complete, else 0."""
        self._skip = 0
        """Bytes of an oversize body still to be thrown away."""
        self._lost = lost
        self._inside_line = False
        """The buffer starts in the middle of a line that was too long to keep."""

    @property
    def buffered(self) -> int:
        """Bytes held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream; the messages they complete."""
        messages: list[bytes] = []
        self._buffer += data
        while self._step(messages):
            pass
        return messages

    def lose(self) -> None:
        """Bytes are missing from here on: forget the message begun and look for a start line."""
        self._take(len(self._buffer))
        self._skip = 0
        self._lost = True
        self._inside_line = False

    def close(self) -> list[bytes]:
        """End the stream: what is left comes out, also without its end."""
        messages: list[bytes] = []
        if not self._lost:
            self._cut(self._take(len(self._buffer)), messages)
        self.lose()
        return messages

    def _step(self, messages: list[bytes]) -> bool:
        """One message, or one stretch that is none; False when more bytes are needed."""
        if self._skip:
            return self._skip_body()
        if self._lost and not self._find_start():
            return False
        if self._body:
            return self._finish(messages)
        if not self._scanned:
            self._buffer = self._buffer.lstrip(_EMPTY_LINES)
        size = len(self._buffer)
        end = _END.search(self._buffer, max(0, self._scanned - 3), min(size, MAX_MESSAGE))
        if end is None:
            self._scanned = size
            if size < MAX_MESSAGE:
                return False
            self._errors["header_too_long"] += 1
            self._cut(self._take(MAX_MESSAGE), messages)
            self._lost = True
            return True
        self._begin_body(end.end(), messages)
        return True

    def _begin_body(self, end: int, messages: list[bytes]) -> None:
        """Look at the header block, which ends at ``end``."""
        second = _later_start(self._buffer, end)
        if second:
            # Junk, or a message whose header never ended, before a new start line.
            messages.append(self._take(second))
            self._errors["header_unfinished"] += 1
            return
        length = content_length(self._buffer[:end])
        if end + length > MAX_MESSAGE:
            self._errors["body_too_long"] += 1
            messages.append(self._take(end))
            self._skip = length
            return
        self._body = end + length

    def _skip_body(self) -> bool:
        """Throw an oversize body away, up to a line that can start a message.

        Servers close the connection, or understand another number; only a sensor would believe
        4 GB and see nothing any more.
        """
        size = min(len(self._buffer), self._skip)
        complete = self._buffer.rfind(b"\n", 0, size) + 1
        match = START_LINE.search(self._buffer, 0, complete)
        if match:
            self._take(match.start())
            self._skip = 0
            return True
        count = size if size == self._skip or size > MAX_LINE else complete
        self._skip -= len(self._take(count))
        return count > 0 and bool(self._buffer)

    def _finish(self, messages: list[bytes]) -> bool:
        if len(self._buffer) < self._body:
            return False
        messages.append(self._take(self._body))
        return True

    def _cut(self, rest: bytes, messages: list[bytes]) -> None:
        """Give out an unfinished stretch, divided at each line that can start a message."""
        rest = rest.lstrip(_EMPTY_LINES)
        end = _END.search(rest)
        while rest:
            second = _later_start(rest, end.end() if end else len(rest))
            messages.append(rest[:second] if second else rest)
            rest = rest[second:] if second else b""

    def _find_start(self) -> bool:
        """Drop bytes until a complete line can start a message; True when one was found."""
        if self._inside_line:
            line_end = self._buffer.find(b"\n") + 1
            self._take(line_end or len(self._buffer))
            if not line_end:
                return False
            self._inside_line = False
        complete = self._buffer.rfind(b"\n") + 1
        for match in START_LINE.finditer(self._buffer, 0, complete):
            if match.end() - match.start() <= MAX_LINE:
                self._take(match.start())
                self._lost = False
                return True
        self._take(complete)
        if len(self._buffer) > MAX_LINE:
            self._take(len(self._buffer))
            self._inside_line = True
        return False

    def _take(self, count: int) -> bytes:
        """Remove ``count`` bytes from the front; the search starts anew."""
        taken = self._buffer[:count]
        self._buffer = self._buffer[count:]
        self._scanned = 0
        self._body = 0
        return taken


def _later_start(block: bytes, end: int) -> int:
    """Offset of a start line behind the first line of a header block, or 0."""
    first = block.find(b"\n", 0, end) + 1
    if not first:
        return 0
    match = START_LINE.search(block, first, end)
    return match.start() if match else 0
