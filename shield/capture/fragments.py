"""Join IP fragments: RFC 791 section 3.2 and RFC 8200 section 4.5.

Overlaps are a way to show a sensor something else than the server gets, and receivers differ: RFC 5722
drops the packet and what is still to come of it; Linux drops what it has and begins anew with the next
fragment, and passes over what lies inside known bytes; others keep the first copy, or the last.
A sensor that follows one of them gives a free pass to who aims at another. So no overlap hides a
packet: it is counted, and the packet comes out in each reading that differs (first copy, last copy,
begun anew). A receiver drops what has a wrong UDP or TCP checksum, so where readings
differ and one of them has a right one, the others are none; this also sorts out what a reused
identification mixed up (RFC 4963). Everything is bounded, as forged fragments cost nothing.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

from shield.capture.packet import TCP, UDP, Fragment
from shield.capture.readings import Partial

__all__ = ["Joined", "Reassembler"]

MAX_PACKETS: Final = 4096
"""Unfinished packets kept, about as many as Linux holds in its 4 MB; the one that waited longest is
given up for a new one."""
MAX_PACKETS_OF_SOURCE: Final = 512
"""Of these for one source address, so that one sender cannot push out the others. Linux drops an IPv4
packet when 64 fragments of the same sender came in between (ipfrag_max_dist)."""
MAX_BYTES: Final = 8 << 20
"""What all unfinished packets together may cost."""
MAX_COST: Final = 1 << 20
"""What one packet may cost: 64 KiB in pieces of 8 bytes, as an evader would send it, cost 840 kB."""
MAX_PACKET: Final = 65535
"""Longest IP packet without jumbograms."""
TIMEOUT: Final = 60.0
"""Seconds of event time without a fragment until a packet is given up. Linux waits 30 s for the whole
packet, IPv6 60 s, RFC 1122 up to 120 s; from the last fragment, so that no receiver waits for a
piece of which the sensor has forgotten the others."""

_Key = tuple[bytes, bytes, int, int]


class Joined(NamedTuple):
    """A complete packet's body, without IP headers."""

    source: bytes
    destination: bytes
    protocol: int
    body: bytes


class Reassembler:
    """Takes fragments in any order, gives each packet when its last piece came."""

    def __init__(self, errors: Counter[str]) -> None:
        self._errors = errors
        self._partials: OrderedDict[_Key, Partial] = OrderedDict()
        """In order of the last fragment."""
        self._of_source: dict[bytes, OrderedDict[_Key, None]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._partials)

    def add(self, time: float, fragment: Fragment) -> Sequence[Joined]:
        """Take one fragment at event ``time``; the packet, in each reading, if it is complete now."""
        self._expire(time)
        source, destination = fragment.source, fragment.destination
        if not fragment.offset and not fragment.more:  # an atomic fragment, RFC 6946
            return (Joined(source, destination, fragment.protocol, fragment.data),)
        reason = _unfit(fragment)
        if reason:
            self._errors[reason] += 1
            return ()
        version = fragment.protocol if fragment.version == 4 else -1
        key = (source, destination, fragment.identification, version)
        partial = self._partials.get(key) or self._begin(key)
        partial.seen = time
        self._partials.move_to_end(key)
        self._of_source[source].move_to_end(key)
        before = partial.cost
        reason = partial.add(fragment)
        self._bytes += partial.cost - before
        if reason:
            self._errors[reason] += 1
        readings = partial.complete()
        if readings:
            self._finish(key, partial)
            if len(readings) > 1:
                sound = [each for each in readings if _sound(source, destination, *each)]
                readings = sound or readings
            return [Joined(source, destination, *each) for each in readings]
        if partial.cost > MAX_COST:
            self._thin(key, partial)
        while self._bytes > MAX_BYTES and len(self._partials) > 1:
            self._give_up(next(iter(self._partials)))
        return ()

    def _begin(self, key: _Key) -> Partial:
        own = self._of_source.get(key[0])
        if own is not None and len(own) >= MAX_PACKETS_OF_SOURCE:
            self._give_up(next(iter(own)))
        elif len(self._partials) >= MAX_PACKETS:
            self._give_up(next(iter(self._partials)))
        partial = self._partials[key] = Partial()
        self._of_source.setdefault(key[0], OrderedDict())[key] = None
        return partial

    def _thin(self, key: _Key, partial: Partial) -> None:
        """Make a packet of too many pieces cheaper: without later copies, or not at all."""
        before = partial.cost
        for reading in (partial.all, partial.anew):
            if reading is not None:
                reading.forget_late()
        self._bytes += partial.cost - before
        if partial.cost > MAX_COST:
            self._give_up(key)
        else:
            self._errors["fragment_limit"] += 1

    def _finish(self, key: _Key, partial: Partial) -> None:
        """Forget the packet, but for what a receiver that began anew still waits with."""
        anew = partial.anew
        if anew is None or not anew.pieces or anew.complete():
            self._forget(key)
            return
        self._bytes -= partial.cost - anew.cost
        partial.all, partial.anew = anew, None

    def _expire(self, time: float) -> None:
        while self._partials:
            key, partial = next(iter(self._partials.items()))
            if time - partial.seen <= TIMEOUT:
                return
            self._errors["fragment_timeout"] += 1
            self._forget(key)

    def _give_up(self, key: _Key) -> None:
        self._errors["fragment_limit"] += 1
        self._forget(key)

    def _forget(self, key: _Key) -> None:
        self._bytes -= self._partials.pop(key).cost
        own = self._of_source[key[0]]
        del own[key]
        if not own:
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


def _sound(source: bytes, destination: bytes, protocol: int, body: bytes) -> bool:
    """Whether a receiver takes it: the checksum of UDP (RFC 768; or none) or TCP (RFC 9293) is right."""
    if protocol not in {TCP, UDP} or len(body) < 8:
        return False
    if protocol == UDP and body[6:8] == b"\0\0":
        return True
    length = len(body) if protocol == TCP else body[4] << 8 | body[5]
    summed = source + destination + struct.pack("!HH", protocol, length) + body
    if len(summed) % 2:
        summed += b"\0"
    # A sum of 16-bit words in ones' complement is the number modulo 65,535.
    return int.from_bytes(summed, "big") % 0xFFFF == 0
