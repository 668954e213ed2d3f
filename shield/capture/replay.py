"""Read a stretch of a TCP stream once more with other bytes in it.

Kept are the bytes of one direction that the other side may still get otherwise: those it has not
acknowledged, and the message begun before them. As long as copies agree nothing else happens.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from shield.capture.framing import SipFramer

__all__ = ["Replay"]

MAX_KEPT: Final = 8192
"""Bytes kept of one direction: messages that are longer than this have long bodies."""
MAX_RECENT: Final = 16
"""Messages by which it is known what came out already; kept bytes hold rarely more."""
_FIRST_WORDS: Final = tuple(
    b"ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER SIP/2.0"
    b" SUBSCRIBE UPDATE".split(b" ")
)


class Replay:
    """First and last copies of the latest bytes of a stream."""

    __slots__ = ("_first", "_last", "_recent")

    def __init__(self) -> None:
        self._first = b""
        self._last: bytes | None = None
        """The same bytes with the last copies, when they differ."""
        self._recent: tuple[int, ...] = ()
        """Hashes of messages that came out."""

    @property
    def held(self) -> int:
        """Bytes kept."""
        return len(self._first) + (len(self._last) if self._last is not None else 0)

    def settle(self, unfinished: int) -> None:
        """Hear that the other side has all so far; ``unfinished`` bytes wait for their message."""
        self._first = self._first[-unfinished:] if unfinished else b""
        if self._last is not None:
            self._last = self._last[-unfinished:] if unfinished else b""
            if self._last == self._first:
                self._last = None

    def deliver(self, fresh: bytes, messages: list[bytes]) -> list[bytes]:
        """Take the next bytes and the messages they completed; those that only the last copies give."""
        self._first = (self._first + fresh)[-MAX_KEPT:]
        self._note(messages)
        if self._last is None:
            return []
        self._last = (self._last + fresh)[-MAX_KEPT:]
        return self._read()

    def copy(self, back: int, payload: bytes) -> tuple[list[bytes], bool]:
        """Take a copy of bytes that end here; it starts at ``back`` (negative) from the end.

        Gives the messages that only the last copies give, and whether it says anything new.
        """
        at = len(self._first) + back
        if at < 0:
            payload, at = payload[-at:], 0
        known = self._first if self._last is None else self._last
        payload = payload[: len(known) - at]
        if known[at : at + len(payload)] == payload:
            return [], False
        self._last = known[:at] + payload + known[at + len(payload) :]
        return self._read(), True

    def _read(self) -> list[bytes]:
        """Read the last copies from the first start line on; what did not come out yet."""
        assert self._last is not None
        # What is broken here is a matter of where the bytes begin; it is not counted.
        reader = SipFramer(Counter(), lost=True)
        start = b"" if _may_begin(self._last) else b"\0"  # the rest of a line is no start line
        found = [each for each in reader.feed(start + self._last) if hash(each) not in self._recent]
        self._note(found)
        return found

    def _note(self, messages: list[bytes]) -> None:
        if messages:
            latest = [hash(each) for each in messages[-MAX_RECENT:]]
            self._recent = (*self._recent, *latest)[-MAX_RECENT:]


def _may_begin(stretch: bytes) -> bool:
    """Whether bytes that start anywhere start with a message and not with the rest of a line."""
    word, blank, _ = stretch.lstrip(b"\r\n")[:16].upper().partition(b" ")
    return word in _FIRST_WORDS if blank else any(each.startswith(word) for each in _FIRST_WORDS)
