"""One TCP connection: when it starts, starts anew and ends, and who its sides are.

What a sensor must not fall for: a SYN, RST or FIN that the server ignores changes nothing
here either (RFC 5961), so nobody can make the sensor lose his own connection or another's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from shield.capture.content import is_keepalive
from shield.capture.framing import SipFramer
from shield.capture.packet import TcpSegment
from shield.capture.proof import take_acknowledgment
from shield.capture.side import Side
from shield.capture.websocket import Mute, Reader, WebSocketSession
from shield.net import Datagram, Transport

__all__ = ["Connection", "Key"]

FIN, SYN, RST, ACK = 1, 2, 4, 16
_TLS = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")
"""A TLS record (RFC 8446 section 5.1): its type, and the version, which all versions write so."""

Key = tuple[bytes, int, bytes, int]
"""Address and port of both sides, the smaller side first."""


class Connection:
    """Takes the segments of both sides, gives the messages they complete."""

    __slots__ = ("_errors", "_offered", "_plain", "_session", "_tls", "held", "key", "seen", "sides")

    def __init__(self, key: Key, errors: Counter[str], plain: Callable[[Key], bool | None]) -> None:
        self.key = key
        self.seen = 0.0
        """Event time of the last segment."""
        self.held = 0
        """Bytes held, as last counted by the owner."""
        self._errors = errors
        self._plain = plain
        """What to make of a stream that is no WebSocket: SIP (True), only sure SIP (False), None."""
        self._begin()

    def _begin(self) -> None:
        self.sides = (Side(self._errors, self._choose), Side(self._errors, self._choose))
        self._session: WebSocketSession | None = None
        self._tls = False
        self._offered: tuple[int, int] | None = None
        """Side and sequence number of a SYN amid a living connection; the answer decides."""

    @property
    def proven(self) -> bool:
        """A side is known to own its address."""
        return self.sides[0].numbers.proven or self.sides[1].numbers.proven

    @property
    def ended(self) -> bool:
        """Both sides have ended."""
        return self.sides[0].closed and self.sides[1].closed

    def take(self, index: int, segment: TcpSegment, out: list[Datagram]) -> None:
        """Take a segment of side ``index`` (0 or 1)."""
        flags, start = segment.flags, segment.sequence
        if flags & SYN:
            if not self._start(index, segment, out):
                return
            start = (start + 1) & 0xFFFFFFFF
        elif flags & RST:
            expected = self.sides[index].numbers.next
            if expected is None or expected == start:
                self.close(out)
            return
        side, peer = self.sides[index], self.sides[1 - index]
        if flags & ACK:
            if not take_acknowledgment(side.numbers, peer.numbers, segment) and (
                side.numbers.proven or not peer.rebase(segment.acknowledgment)
            ):
                self._errors["tcp_stray"] += 1
                return
            self._emit(1 - index, peer.skip_hole(), out)
        if segment.urgent:
            self._errors["tcp_urgent"] += 1
            side.urge(start + segment.urgent - 1)
        if segment.payload:
            self._emit(index, side.data(start, segment.payload), out)
        if flags & FIN:
            end = (start + len(segment.payload)) & 0xFFFFFFFF
            self._emit(index, side.finish(end), out)

    def close(self, out: list[Datagram]) -> None:
        """End both sides; unfinished messages come out as they are."""
        for index, side in enumerate(self.sides):
            self._emit(index, side.close(), out)

    def _start(self, index: int, segment: TcpSegment, out: list[Datagram]) -> bool:
        """Take a SYN; False when it changes nothing, because it is repeated or not answered yet."""
        numbers, peer = self.sides[index].numbers, self.sides[1 - index].numbers
        answer = bool(segment.flags & ACK)
        if numbers.initial == segment.sequence:
            return answer
        if not answer and (numbers.next is not None or peer.next is not None):
            self._offered = (index, segment.sequence)
            return False
        if answer and self._offered is not None:
            offering, sequence = self._offered
            if offering == 1 - index and (sequence + 1) & 0xFFFFFFFF == segment.acknowledgment:
                self.close(out)
                self._begin()
                self.sides[offering].numbers.begin(sequence)
                self.sides[index].numbers.begin(segment.sequence)
                return True
        if answer and self.proven:
            return False
        numbers.begin(segment.sequence)
        return True

    def _choose(self, side: Side, head: bytes) -> Reader:
        """Choose by the first four bytes who reads a direction."""
        if head == b"GET " and self._session is None and not side.lost:
            self._session = WebSocketSession(self._errors, lambda: self._plain_reader(side))
            return self._session.client
        if head == b"HTTP":
            return self._session.server if self._session is not None else Mute()
        return self._plain_reader(side, head)

    def _plain_reader(self, side: Side, head: bytes = b"") -> Reader:
        sip = self._plain(self.key)
        if sip and _TLS.match(head):
            # Nothing of it can be read, and it is no broken SIP. The record is not believed, though:
            # who only pretends to speak TLS is read from his first start line on.
            if not self._tls:
                self._errors["tls"] += 1
            self._tls = True
            sip = False
        return Mute() if sip is None else SipFramer(self._errors, lost=side.lost or not sip)

    def _emit(self, index: int, messages: list[bytes], out: list[Datagram]) -> None:
        if not messages:
            return
        side = self.sides[index]
        transport, proven, key = side.reader.transport, side.numbers.proven, self.key
        for message in messages:
            if transport is Transport.WS and is_keepalive(message):
                continue
            if index:
                out.append(
                    Datagram(self.seen, key[2], key[3], key[0], key[1], transport, message, proven)
                )
            else:
                out.append(Datagram(self.seen, *key, transport, message, proven))
