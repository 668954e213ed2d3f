"""Which side of a TCP connection is known to own its address.

A host that forges the source address never sees what the other side answers. So a side is proven
when it acknowledges a number that only the other side's answers could have told it:

- the connection's start was seen: it acknowledges the random initial sequence number that the
  other side sent in its SYN (RFC 9293 section 3.4.1), or what came after it;
- joined in the middle: it acknowledges data that was seen coming from the other side, and the
  other side acknowledges data that was seen coming from it. Resets prove nothing: a host
  copies the sequence number of a reset from the segment it refuses.
"""

from __future__ import annotations

from shield.capture.packet import TcpSegment

__all__ = ["WINDOW", "Numbers", "distance", "take_acknowledgment"]

WINDOW = 1 << 20
"""Segments and acknowledgments further away than this from what is expected belong to no
connection here; a larger receive window than 1 MiB has no use for SIP."""
_MASK = 0xFFFFFFFF


def distance(one: int, other: int) -> int:
    """How far ``one`` is ahead of ``other`` in sequence space, which wraps (RFC 9293 section 3.4)."""
    ahead = (one - other) & _MASK
    return ahead - (1 << 32) if ahead >> 31 else ahead


class Numbers:
    """The sequence numbers of one side, as seen on the wire."""

    __slots__ = ("acked", "first", "high", "initial", "matched", "next", "proven")

    def __init__(self) -> None:
        self.initial: int | None = None
        """Initial sequence number, if its SYN was seen."""
        self.first: int | None = None
        """Where the first data that was seen starts, if the SYN was not."""
        self.next: int | None = None
        """Sequence number of the next byte in order."""
        self.high: int | None = None
        """Behind the last byte it was seen to send."""
        self.acked: int | None = None
        """Behind the last byte that the other side has received."""
        self.matched = False
        """It acknowledged data that was seen coming from the other side."""
        self.proven = False

    def begin(self, sequence: int) -> None:
        """Its SYN was seen."""
        self.initial = sequence
        self.next = self.high = self.acked = (sequence + 1) & _MASK
        self.first = None
        self.matched = self.proven = False

    def join(self, sequence: int) -> None:
        """Its first data was seen, without a SYN."""
        self.first = self.next = self.high = self.acked = sequence

    def sent(self, end: int) -> None:
        """Note that it sent bytes up to before ``end``."""
        if self.high is None or distance(end, self.high) > 0:
            self.high = end & _MASK


def take_acknowledgment(me: Numbers, peer: Numbers, segment: TcpSegment) -> bool:
    """Learn from the acknowledgment of ``me``; False when it cannot belong to this connection."""
    ack = segment.acknowledgment
    if peer.high is None:
        return True
    ahead = distance(ack, peer.high)
    if not -WINDOW <= ahead <= WINDOW:
        return False
    if peer.acked is None or distance(ack, peer.acked) > 0:
        peer.acked = ack
    if me.proven or ahead > 0:
        return True
    if peer.initial is not None:
        me.proven = distance(ack, peer.initial) > 0
    elif peer.first is not None and distance(ack, peer.first) > 0:
        me.matched = True
        if peer.matched or peer.proven:
            me.proven = peer.proven = True
    return True
