"""Join IP fragments: RFC 791 section 3.2 and RFC 8200 section 4.5.

Overlaps are a way to show a sensor something else than the server gets. So: a fragment that
repeats what is there already is passed over (IPv4: whatever it says, the first one counts, as
in Linux; IPv6: only when it says the same), and any other overlap condemns the packet with
all its later fragments (RFC 5722). Everything is bounded, as forged fragments cost nothing.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import NamedTuple

from shield.capture.packet import Fragment

__all__ = ["Joined", "Reassembler"]

MAX_PACKETS = 1024
"""Unfinished packets kept; the oldest is given up for a new one."""
MAX_PACKETS_OF_SOURCE = 64
"""Of these for one source address, so that one sender cannot push out the others."""
MAX_BYTES = 8 << 20
"""Payload bytes kept in all unfinished packets together."""
MAX_PIECES = 128
"""Fragments of one packet: 64 KiB at the smallest IPv4 MTU in use, 576 bytes."""
MAX_PACKET = 65535
"""Longest IP packet without jumbograms."""
TIMEOUT = 30.0
"""Seconds of event time until an unfinished packet is given up; Linux waits 30 s (IPv6: 60 s)."""

_Key = tuple[bytes, bytes, int, int]


class Joined(NamedTuple):
    """A complete packet's body, without IP headers."""

    source: bytes
    destination: bytes
    protocol: int
    body: bytes


class _Partial:
    """The pieces of one packet so far, in order of offset, never overlapping."""

    __slots__ = ("condemned", "pieces", "protocol", "size", "started", "total")

    def __init__(self, started: float) -> None:
        self.started = started
        self.pieces: list[tuple[int, bytes]] = []
        self.protocol: int | None = None
        self.total: int | None = None
        self.size = 0
        self.condemned = False


class Reassembler:
    """Takes fragments in any order, gives each packet when its last piece came."""

    def __init__(self, errors: Counter[str]) -> None:
        self._errors = errors
        self._partials: OrderedDict[_Key, _Partial] = OrderedDict()
        self._of_source: Counter[bytes] = Counter()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._partials)

    def add(self, time: float, fragment: Fragment) -> Joined | None:
        """Take one fragment at event ``time``; the packet if it is complete now."""
        self._expire(time)
        if not fragment.offset and not fragment.more:  # an atomic fragment, RFC 6946
            return Joined(fragment.source, fragment.destination, fragment.protocol, fragment.data)
        reason = _unfit(fragment)
        if reason:
            self._errors[reason] += 1
            return None
        key = (
            fragment.source,
            fragment.destination,
            fragment.identification,
            fragment.protocol if fragment.version == 4 else -1,
        )
        partial = self._partials.get(key) or self._begin(key, time)
        if partial.condemned:
            return None
        reason = self._place(partial, fragment)
        if reason:
            self._errors[reason] += 1
            self._condemn(partial)
            return None
        if partial.size != partial.total or partial.protocol is None:
            return None
        self._forget(key)
        body = b"".join(data for _, data in partial.pieces)
        return Joined(fragment.source, fragment.destination, partial.protocol, body)

    def _begin(self, key: _Key, time: float) -> _Partial:
        if self._of_source[key[0]] >= MAX_PACKETS_OF_SOURCE:
            self._give_up(next(other for other in self._partials if other[0] == key[0]))
        elif len(self._partials) >= MAX_PACKETS:
            self._give_up(next(iter(self._partials)))
        partial = self._partials[key] = _Partial(time)
        self._of_source[key[0]] += 1
        return partial

    def _place(self, partial: _Partial, fragment: Fragment) -> str:
        """Put the piece where it belongs; the reason if it contradicts what is there."""
        start, end = fragment.offset, fragment.offset + len(fragment.data)
        last = partial.pieces[-1] if partial.pieces else None
        if not fragment.more:
            if partial.total not in {None, end} or (last and last[0] + len(last[1]) > end):
                return "fragment_conflict"
            partial.total = end
        elif partial.total is not None and end > partial.total:
            return "fragment_conflict"
        place = 0
        for index, (at, data) in enumerate(partial.pieces):
            stop = at + len(data)
            if stop <= start:
                place = index + 1
                continue
            if at >= end:
                break
            if at <= start and end <= stop:
                same = data[start - at : end - at] == fragment.data
                return "" if same or fragment.version == 4 else "fragment_overlap"
            return "fragment_overlap"
        if len(partial.pieces) >= MAX_PIECES:
            return "fragment_limit"
        partial.pieces.insert(place, (start, fragment.data))
        partial.size += len(fragment.data)
        self._bytes += len(fragment.data)
        if not start:
            partial.protocol = fragment.protocol
        while self._bytes > MAX_BYTES and len(self._partials) > 1:
            self._give_up(next(iter(self._partials)))
        return ""

    def _condemn(self, partial: _Partial) -> None:
        """Keep only the memory that this packet is refused, until it times out."""
        self._bytes -= partial.size
        partial.pieces.clear()
        partial.size = 0
        partial.condemned = True

    def _expire(self, time: float) -> None:
        while self._partials:
            key, partial = next(iter(self._partials.items()))
            if time - partial.started <= TIMEOUT:
                return
            if not partial.condemned:
                self._errors["fragment_timeout"] += 1
            self._forget(key)

    def _give_up(self, key: _Key) -> None:
        self._errors["fragment_limit"] += 1
        self._forget(key)

    def _forget(self, key: _Key) -> None:
        self._bytes -= self._partials.pop(key).size
        self._of_source[key[0]] -= 1
        if not self._of_source[key[0]]:
            del self._of_source[key[0]]


def _unfit(fragment: Fragment) -> str:
    """Why a fragment cannot be part of any packet."""
    if not fragment.data:
        return "fragment_empty"
    if fragment.more and len(fragment.data) % 8:
        return "fragment_length"
    if fragment.offset + len(fragment.data) > MAX_PACKET:
        return "fragment_length"
    return ""
