"""Bits: what was seen of late, in memory that never grows.

Remembering each thing would cost as much as there are things, so a thing is one bit of a table, found by
a checksum. Two things that share a bit make one of them look seen that was not: whoever asks must err to
the harmless side then.
"""

from __future__ import annotations

from zlib import crc32

__all__ = ["TABLE_BITS", "Bits"]

TABLE_BITS = 20
"""A million things, 128 kB each generation; 65,000 that were seen make one in 16 others look seen."""
_MASK = (1 << TABLE_BITS) - 1


class Bits:
    """Two generations of bits, so that things are forgotten after one to two ``period`` seconds."""

    __slots__ = ("_old", "_turn", "_young")

    def __init__(self) -> None:
        self._young = bytearray(1 << TABLE_BITS - 3)
        self._old = bytearray(1 << TABLE_BITS - 3)
        self._turn = 0.0

    def note(self, thing: bytes) -> None:
        """Remember a thing."""
        bit = crc32(thing) & _MASK
        self._young[bit >> 3] |= 1 << (bit & 7)

    def seen(self, thing: bytes) -> bool:
        """Whether a thing was noted of late, or shares its bit with one that was."""
        bit = crc32(thing) & _MASK
        return bool((self._young[bit >> 3] | self._old[bit >> 3]) >> (bit & 7) & 1)

    def tick(self, time: float, period: float) -> None:
        """Let event time pass."""
        if time >= self._turn:
            if self._turn:
                self._old, self._young = self._young, self._old
                self._young[:] = bytes(len(self._young))  # the table stays where it is
            self._turn = time + period
