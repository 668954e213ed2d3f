"""One direction of a TCP connection: segments into an ordered stream, the stream into messages.

Of bytes that come twice the first copy counts, in order or not, as in Linux; a waiting segment is
replaced by a longer one from the same place. But the server may not have got the first copy (a
segment with a wrong checksum, or one whose TTL ended between sensor and server), or keep another. So
losing copies are read as a stream of their own, from the next start line on, and messages of it that
did not come out already are judged as well. A FIN counts only until data go on and it was not
acknowledged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from shield.capture.framing import SipFramer
from shield.capture.proof import WINDOW, Numbers, distance
from shield.capture.websocket import Reader

__all__ = ["Side"]

MAX_WAITING_BYTES: Final = 65536
"""Bytes behind a hole before the hole is taken as lost: a usual receive window."""
MAX_WAITING: Final = 64
"""Segments behind a hole; bounds the sorting of them."""
MAX_RECENT: Final = 8
"""Messages by which a plain retransmission is known; a window full of them is rarely more."""
HEAD: Final = 4
"""Bytes that tell HTTP (``GET``, ``HTTP``) from SIP."""

_FIRST_WORDS: Final = tuple(
    b"ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER SIP/2.0"
    b" SUBSCRIBE UPDATE".split(b" ")
)


def _may_begin(payload: bytes) -> bool:
    """Whether a copy that starts anywhere starts with a message and not with the rest of a line."""
    word, blank, _ = payload.lstrip(b"\r\n")[:16].upper().partition(b" ")
    return word in _FIRST_WORDS if blank else any(each.startswith(word) for each in _FIRST_WORDS)


class Side:
    """Puts segments in order and feeds them to the reader chosen for this direction."""

    __slots__ = (
        "_choose", "_errors", "_fin", "_head", "_other", "_other_next", "_reader", "_recent",
        "_waiting", "_waiting_bytes", "closed", "lost", "numbers",
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
        self._recent: tuple[int, ...] = ()
        """Hashes of the last messages."""
        self._other: SipFramer | None = None
        """Reads losing copies."""
        self._other_next = 0
        """Sequence number behind the last losing copy."""
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
        held = self._waiting_bytes + len(self._head)
        held += self._reader.buffered if self._reader is not None else 0
        return held + (self._other.buffered if self._other is not None else 0)

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
            return self._wait(sequence, payload) + self.skip_hole()
        messages = self._copy(sequence, payload[:-offset]) if offset else []
        messages += self._deliver(payload[-offset:])
        return messages + self._drain() if self._waiting else messages

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
        self._waiting_bytes = 0
        self._lose()
        return True

    def close(self) -> list[bytes]:
        """End or give up the stream; what is left of it."""
        if self.closed:
            return []
        self.closed = True
        self._waiting.clear()
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

    def _wait(self, sequence: int, payload: bytes) -> list[bytes]:
        """Keep a segment behind a hole; of two at one place the longer one, as in Linux."""
        known = self._waiting.get(sequence, b"")
        losing = payload
        if len(payload) > len(known):
            self._waiting[sequence] = payload
            self._waiting_bytes += len(payload) - len(known)
            losing = known
        shorter = min(len(known), len(payload))
        return self._copy(sequence, losing) if known[:shorter] != payload[:shorter] else []

    def _copy(self, sequence: int, payload: bytes) -> list[bytes]:
        """Read a copy that lost; the messages in it that did not come out already."""
        if not isinstance(self._reader, SipFramer):
            return []
        if self._other is None:
            # What it finds broken is a matter of how it was cut; that is not counted.
            self._other = SipFramer(Counter(), lost=True)
        elif sequence != self._other_next:
            self._other.lose()
        contiguous = sequence == self._other_next
        self._other_next = (sequence + len(payload)) & 0xFFFFFFFF
        if not contiguous and not _may_begin(payload):
            payload = b"\0" + payload  # the middle of a line is no start line
        fresh = [each for each in self._other.feed(payload) if hash(each) not in self._recent]
        if fresh:
            self._errors["tcp_conflict"] += 1
        return self._note(fresh)

    def _note(self, messages: list[bytes]) -> list[bytes]:
        """Remember what came out."""
        if messages:
            latest = [hash(each) for each in messages[-MAX_RECENT:]]
            self._recent = (*self._recent, *latest)[-MAX_RECENT:]
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
        return messages

    def _deliver(self, fresh: bytes) -> list[bytes]:
        """Feed the next bytes in order."""
        numbers = self.numbers
        if not fresh or self.closed:
            return []
        numbers.next = ((numbers.next or 0) + len(fresh)) & 0xFFFFFFFF
        if self._reader is None:
            self._head = (self._head + fresh).lstrip(b"\r\n")
            if len(self._head) < HEAD:
                return self.close() if numbers.next == self._fin else []
            fresh = self._head
        messages = self._note(self.reader.feed(fresh))
        self._head = b""
        return messages + self.close() if numbers.next == self._fin else messages

    def _lose(self) -> None:
        self.lost = True
        self._head = b""
        if self._reader is not None:
            self._reader.lose()
