"""Neighbours: which networks (/24, /64) hold somebody good, in memory that never grows.

A whole network is banned only when nobody in it ever did anything good. Remembering each good network
would cost as much as its sources do, so a network is one bit of a table, found by a checksum. Two
networks that share a bit make one of them look good that is not: then its sources are banned one by one,
which is the harmless side to err on.
"""

from __future__ import annotations

from zlib import crc32

__all__ = ["PREFIX_BITS", "Neighbours", "prefix"]

PREFIX_BITS = (24, 64)
"""What one customer or one attacker gets: the smallest IPv4 network that is routed, and the network
of one IPv6 link, in which a host picks its addresses as it likes (RFC 4291 section 2.5.4)."""
TABLE_BITS = 20
"""A million networks, 128 kB each generation; 65,000 good ones make one in 16 others look good."""
_MASK = (1 << TABLE_BITS) - 1


def prefix(address: bytes) -> bytes:
    """The part of a packed address that is the same in its whole /24 or /64."""
    return address[:3] if len(address) == 4 else address[:8]


class Neighbours:
    """Two generations of bits, so that good deeds are forgotten after one to two ``period`` seconds."""

    __slots__ = ("_old", "_turn", "_young")

    def __init__(self) -> None:
        self._young = bytearray(1 << TABLE_BITS - 3)
        self._old = bytearray(1 << TABLE_BITS - 3)
        self._turn = 0.0

    def good(self, address: bytes) -> None:
        """Somebody at this address logged in, made a call that was answered, or lets a phone ring."""
        bit = crc32(address[:3] if len(address) == 4 else address[:8]) & _MASK
        self._young[bit >> 3] |= 1 << (bit & 7)

    def clean(self, address: bytes) -> bool:
        """Whether nobody in the network of this address did anything good."""
        bit = crc32(prefix(address)) & _MASK
        return not (self._young[bit >> 3] | self._old[bit >> 3]) >> (bit & 7) & 1

    def tick(self, time: float, period: float) -> None:
        """Let event time pass."""
        if time >= self._turn:
            if self._turn:
                self._old, self._young = self._young, bytearray(1 << TABLE_BITS - 3)
            self._turn = time + period
