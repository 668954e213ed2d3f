"""The pieces of one fragmented packet, in the ways in which receivers may see them.

``Reading`` holds first copies and what later copies say otherwise. ``Partial`` holds one reading of
everything that came, and one that begins anew where Linux does (``inet_frag_queue_insert``).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from shield.capture.packet import Fragment

__all__ = ["PIECE_COST", "Partial", "Reading"]

PIECE_COST: Final = 96
"""Bytes that a piece costs besides its own: tuple, offset, bytes object."""

_Piece = tuple[int, bytes, int]
"""Offset, bytes, and the number of the run: what came in order, one piece after the other."""
_OVERLAP, _DIFFERS, _CONFLICT = "fragment_overlap", "fragment_differs", "fragment_conflict"


class Reading:
    """One way to see the pieces of a packet so far."""

    __slots__ = ("cost", "late", "pieces", "protocols", "size", "total")

    def __init__(self) -> None:
        self.pieces: list[_Piece] = []
        """First copies, in order of offset, never overlapping."""
        self.late: list[tuple[int, bytes]] = []
        """Later copies in order of arrival, from the first one on that says something else."""
        self.protocols: tuple[int, int] | None = None
        """What the first and the last copy of the first piece say."""
        self.total: int | None = None
        self.size = 0
        self.cost = 0

    def add(self, fragment: Fragment) -> str:
        """Take a piece; why it does not fit what is there. A piece with another end is not taken."""
        start, data = fragment.offset, fragment.data
        end = start + len(data)
        if fragment.more:
            if self.total is not None and end > self.total:
                return _CONFLICT
        elif self.total not in {None, end} or (self.pieces and _end(self.pieces[-1]) > end):
            return _CONFLICT
        else:
            self.total = end
        if not start:
            first = fragment.protocol if self.protocols is None else self.protocols[0]
            self.protocols = (first, fragment.protocol)
        return self._place(start, end, data)

    def _place(self, start: int, end: int, data: bytes) -> str:
        """Fill what is missing; whether it overlaps partly, or contradicts what is there."""
        pieces = self.pieces
        index = bisect_right(pieces, start, key=_offset)
        if index and _end(pieces[index - 1]) > start:
            index -= 1
        first, at, differs = index, start, False
        fresh: list[_Piece] = []
        known: list[_Piece] = []
        run = pieces[-1][2] + (_end(pieces[-1]) != start) if pieces else 0
        while at < end:
            piece = pieces[index] if index < len(pieces) and pieces[index][0] < end else None
            stop = piece[0] if piece is not None else end
            if at < stop:
                fresh.append((at, data[at - start : stop - start], run))
                self.size += stop - at
                self.cost += stop - at + PIECE_COST
                at = stop
            if piece is not None:
                fresh.append(piece)
                known.append(piece)
                upto = min(_end(piece), end)
                differs |= piece[1][at - piece[0] : upto - piece[0]] != data[at - start : upto - start]
                at = upto
                index += 1
        pieces[first:index] = fresh
        if not known:
            return ""
        if differs or self.late:
            self.late.append((start, data))
            self.cost += len(data) + PIECE_COST
        # Linux passes over what lies inside one run; anything else is an overlap to it.
        if len(fresh) > len(known) or known[0][2] != known[-1][2]:
            return _OVERLAP
        return _DIFFERS if differs else ""

    def forget_late(self) -> None:
        """Save the cost of later copies."""
        self.cost -= sum(len(data) + PIECE_COST for _, data in self.late)
        self.late.clear()

    def complete(self) -> list[tuple[int, bytes]]:
        """Protocol and body in their readings when nothing is missing, else nothing."""
        if self.size != self.total or self.protocols is None:
            return []
        body = b"".join(data for _, data, _ in self.pieces)
        first, last = self.protocols
        if not self.late and first == last:
            return [(first, body)]
        changed = bytearray(body)
        for start, data in self.late:
            changed[start : start + len(data)] = data
        return [(first, body), (last, bytes(changed))]


def _offset(piece: _Piece) -> int:
    return piece[0]


def _end(piece: _Piece) -> int:
    return piece[0] + len(piece[1])


class Partial:
    """What is known of one packet: all its pieces, and after an overlap those since then."""

    __slots__ = ("all", "anew", "seen")

    def __init__(self) -> None:
        self.seen = 0.0
        self.all = Reading()
        self.anew: Reading | None = None
        """As Linux sees it: empty after a partial overlap or a second end."""

    @property
    def cost(self) -> int:
        """What both readings hold, in bytes."""
        return self.all.cost + (self.anew.cost if self.anew is not None else 0)

    def add(self, fragment: Fragment) -> str:
        """Take a piece into both; the reason when it contradicts what is there."""
        reason = self.all.add(fragment)
        again = reason if self.anew is None else self.anew.add(fragment)
        if again in {_OVERLAP, _CONFLICT}:
            self.anew = Reading()
        if reason == _CONFLICT:
            self.all = Reading()
            self.all.add(fragment)
        return reason

    def complete(self) -> list[tuple[int, bytes]]:
        """What the packet is in each reading that is complete and differs."""
        found = self.all.complete()
        if self.anew is not None:
            found += self.anew.complete()
        return list(dict.fromkeys(found))
