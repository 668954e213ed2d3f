"""One direction of a TCP connection: segments into an ordered stream, the stream into messages.

Of bytes that come twice the first copy counts, in order or not, as in Linux; a waiting segment is
replaced by a longer one from the same place. But the server may not have got the first copy (a
segment with a wrong checksum, or one whose TTL ended between sensor and server), or keep another. So
what the server has not acknowledged is kept, and when a later copy says something else, the
stream is read once more with the last copies (``replay``). A FIN counts only until data go on and it was
not acknowledged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from shield.capture.framing import SipFramer
from shield.capture.proof import WINDOW, Numbers, distance
from shield.capture.replay import Replay
from shield.capture.websocket import Reader

__all__ = ["Side"]

MAX_WAITING_BYTES: Final = 65536
"""Bytes behind a hole before the hole is taken as lost: a usual receive window."""
MAX_WAITING: Final = 64
"""Segments behind a hole; bounds the sorting of them."""
HEAD: Final = 4
"""Bytes that tell HTTP (``GET``, ``HTTP``) from SIP."""


class Side:
    """Puts segments in order and feeds them to the reader chosen for this direction."""

    __slots__ = (
        "_choose", "_errors", "_fin", "_head", "_late", "_reader", "_replay", "_urgent", "_waiting",
        "_waiting_bytes", "closed", "lost", "numbers",
    )  # fmt: skip

    def __init__(self, errors: Counter[str], choose: Callable[[Side, bytes], Reader]) -> None:
        self.numbers = Numbers()
        self.lost = False
        """Bytes before the first ones that the reader gets are missing."""
        self.closed = False
        self._errors = errors
        self._choose = choose
        self._waiting: dict[int, bytes] = {}
        """Segments behind a hole, by sequence number."""
        self._waiting_bytes = 0
        self._head = b""
        self._reader: Reader | None = None
        self._late: list[tuple[int, bytes]] = []
        """Copies that lost against a waiting segment."""
        self._replay = Replay()
        self._urgent: list[int] = []
        """Sequence numbers of urgent bytes to come."""
        self._fin: int | None = None
        """Sequence number at which the stream ends."""

    @property
    def reader(self) -> Reader:
        """Who reads this direction; chosen when its first bytes are known."""
        if self._reader is None:
            self._reader = self._choose(self, self._head[:HEAD].upper())
        return self._reader

    def held(self) -> int:
        """Bytes buffered."""
        held = self._waiting_bytes + len(self._head) + self._replay.held
        return held + (self._reader.buffered if self._reader is not None else 0)

    def data(self, sequence: int, payload: bytes) -> list[bytes]:
        """Take a segment's payload; the messages it completes."""
        numbers = self.numbers
        if numbers.next is None:
            numbers.join(sequence)
            self.lost = True
        assert numbers.next is not None
        offset = distance(sequence, numbers.next)
        if self.closed and offset >= 0 and self._fin is not None:
            self._reopen()
        if self.closed or not -WINDOW <= offset <= WINDOW:
            self._errors["tcp_stray"] += 1
            return []
        numbers.sent(sequence + len(payload))
        if offset > 0:
            self._wait(sequence, payload)
            return self.skip_hole()
        messages = self._copy(sequence, payload[:-offset]) if offset else []
        messages += self._deliver(payload[-offset:])
        return messages + self._drain() if self._waiting else messages

    def urge(self, sequence: int) -> None:
        """Hear of an urgent byte: servers that do not ask for it in line never read it.

        That is how BSD sockets have it since before RFC 6093, and no SIP client sends any; to leave it
        in the stream would let an attacker spell a header otherwise for the sensor than for the server.
        """
        if len(self._urgent) < MAX_WAITING:
            self._urgent.append(sequence & 0xFFFFFFFF)

    def finish(self, end: int) -> list[bytes]:
        """Take a FIN at ``end``; it counts where the data ends or when that is reached."""
        numbers = self.numbers
        if numbers.next is None or not 0 <= distance(end, numbers.next) <= WINDOW:
            return []
        if self._fin is None:
            self._fin = end
            numbers.sent(end + 1)
        return self.close() if numbers.next == self._fin else []

    def skip_hole(self) -> list[bytes]:
        """Go on behind a hole when the other side has its bytes, or too much waits behind it."""
        numbers = self.numbers
        messages: list[bytes] = []
        while self._waiting and numbers.next is not None and numbers.acked is not None:
            base = numbers.next
            first = min(self._waiting, key=lambda sequence: distance(sequence, base))
            full = self._waiting_bytes > MAX_WAITING_BYTES or len(self._waiting) > MAX_WAITING
            if not full and distance(numbers.acked, first) < 0:
                break
            self._errors["tcp_gap"] += 1
            numbers.next = first
            self._lose()
            messages += self._drain()
        return messages

    def rebase(self, acknowledgment: int) -> bool:
        """Start over where the other side says that this one is; False when the start was seen.

        A connection joined in the middle may have been joined at a forged or an old segment.
        """
        if self.numbers.initial is not None or self.numbers.proven:
            return False
        self.numbers.join(acknowledgment)
        self._waiting.clear()
        self._late.clear()
        self._waiting_bytes = 0
        self._lose()
        return True

    def close(self) -> list[bytes]:
        """End or give up the stream; what is left of it."""
        if self.closed:
            return []
        self.closed = True
        self._waiting.clear()
        self._late.clear()
        self._waiting_bytes = 0
        messages: list[bytes] = []
        if self._head:
            reader, head, self._head = self.reader, self._head, b""
            messages = reader.feed(head)
        return messages + self._reader.close() if self._reader else messages

    def _reopen(self) -> None:
        """Take back a FIN that the other side did not acknowledge: it never arrived there."""
        acked, fin = self.numbers.acked, self._fin
        if fin is not None and acked is not None and distance(acked, fin) <= 0:
            self._errors["tcp_conflict"] += 1
            self.closed = False
            self._fin = None

    def _wait(self, sequence: int, payload: bytes) -> None:
        """Keep a segment behind a hole; of two at one place the longer one, as in Linux."""
        known = self._waiting.get(sequence, b"")
        losing = payload
        if len(payload) > len(known):
            self._waiting[sequence] = payload
            self._waiting_bytes += len(payload) - len(known)
            losing = known
        shorter = min(len(known), len(payload))
        if known[:shorter] != payload[:shorter] and len(self._late) < MAX_WAITING:
            self._late.append((sequence, losing))
            self._waiting_bytes += len(losing)

    def _copy(self, sequence: int, payload: bytes) -> list[bytes]:
        """Look at a copy of what was delivered already; the messages that only it completes."""
        numbers = self.numbers
        if not isinstance(self._reader, SipFramer) or numbers.next is None:
            return []
        messages, differs = self._replay.copy(distance(sequence, numbers.next), payload)
        if differs:
            self._errors["tcp_conflict"] += 1
        return messages

    def _copies(self) -> list[bytes]:
        """Look at the losing copies whose place was delivered meanwhile."""
        messages: list[bytes] = []
        base, waiting = self.numbers.next or 0, []
        for sequence, payload in self._late:
            if distance(sequence, base) + len(payload) > 0:
                waiting.append((sequence, payload))
                continue
            self._waiting_bytes -= len(payload)
            messages += self._copy(sequence, payload)
        self._late = waiting
        return messages

    def _drain(self) -> list[bytes]:
        """Deliver waiting segments that follow on what is there."""
        messages: list[bytes] = []
        base = self.numbers.next or 0
        for sequence in sorted(self._waiting, key=lambda number: distance(number, base)):
            offset = distance(sequence, self.numbers.next or 0)
            if offset > 0:
                break
            payload = self._waiting.pop(sequence)
            self._waiting_bytes -= len(payload)
            if offset:
                messages += self._copy(sequence, payload[:-offset])
            messages += self._deliver(payload[-offset:])
        return messages + self._copies() if self._late else messages

    def _deliver(self, fresh: bytes) -> list[bytes]:
        """Feed the next bytes in order."""
        numbers = self.numbers
        if not fresh or self.closed:
            return []
        acked = numbers.acked is not None and distance(numbers.acked, numbers.next or 0) >= 0
        start, numbers.next = numbers.next or 0, ((numbers.next or 0) + len(fresh)) & 0xFFFFFFFF
        if self._urgent:
            fresh = self._without_urgent(start, fresh)
        if self._reader is None:
            self._head = (self._head + fresh).lstrip(b"\r\n")
            if len(self._head) < HEAD:
                return self.close() if numbers.next == self._fin else []
            fresh = self._head
        reader = self.reader
        before = reader.buffered
        messages = reader.feed(fresh)
        self._head = b""
        if isinstance(reader, SipFramer):
            if acked:
                self._replay.settle(before)
            messages += self._replay.deliver(fresh, messages)
        return messages + self.close() if numbers.next == self._fin else messages

    def _without_urgent(self, start: int, fresh: bytes) -> bytes:
        """Take the urgent bytes out of a stretch that begins at ``start``; forget those before it."""
        places = {distance(sequence, start) for sequence in self._urgent}
        size = len(fresh)
        self._urgent = [each for each in self._urgent if distance(each, start) >= size]
        return bytes(byte for at, byte in enumerate(fresh) if at not in places)

    def _lose(self) -> None:
        self.lost = True
        self._head = b""
        self._replay = Replay()
        if self._reader is not None:
            self._reader.lose()
