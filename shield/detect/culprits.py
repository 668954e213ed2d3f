"""Culprits: behind an address that many share, from which ports the counted messages came.

A NAT gives each of its hosts a port of its own, so a port tells the laptop that guesses from the phones
beside it. Only messages that prove their address count here: else somebody who writes that address on
his packets could name a phone. A port from which somebody logged in of late is none of a culprit alone.
"""

from __future__ import annotations

from struct import Struct

from shield.detect.bits import Bits
from shield.net import Port, Transport
from shield.sip.event import SipEvent
from shield.sip.recent import RecentMap

__all__ = ["MOST_PORTS", "Culprits"]

MOST_PORTS = 4
"""Who uses more ports than this changes them at will, and naming them stops nobody."""
TRAIL = 16
"""Counted messages of which the port is remembered, for each source and rule."""
MAX_TRAILS = 16_384
"""Sources and rules with proven counted messages; with 16 ports each under 5 MB."""
KEEP_TIME = 3_600.0
"""Seconds after which ports are forgotten, good ones too: phones log in again within the hour (RFC 3261
section 10.2.1.1 suggests 3600 s)."""

_ENTRY = Struct(">BH")
_UDP, _TCP = 17, 6


class Culprits:
    """Ports of counted messages, and ports of good clients."""

    def __init__(self) -> None:
        self._trails: RecentMap[tuple[bytes, str], bytes] = RecentMap(MAX_TRAILS, KEEP_TIME)
        self._good = Bits()

    def counted(self, event: SipEvent, rule: str) -> None:
        """Note the port of a message that a rule counted and that proves its address."""
        key = event.client, rule
        trail = (self._trails.get(key) or b"") + _entry(event)
        self._trails.put(key, trail[-TRAIL * _ENTRY.size :])

    def good(self, event: SipEvent) -> None:
        """Note that somebody logged in, or was called from this port."""
        self._good.note(event.client + _entry(event))

    def of(self, source: bytes, rule: str, count: int) -> tuple[Port, ...]:
        """Ports of the last ``count`` counted messages; none if they are many, or good ones as well."""
        trail = self._trails.get((source, rule)) or b""
        size = _ENTRY.size
        places = range(0, len(trail), size)[-max(1, count) :]
        entries = dict.fromkeys(trail[at : at + size] for at in places)
        if len(entries) > MOST_PORTS or any(self._good.seen(source + entry) for entry in entries):
            return ()
        return tuple(Port(*_ENTRY.unpack(entry)) for entry in entries)

    def tick(self, time: float) -> None:
        """Let event time pass."""
        self._trails.tick(time)
        self._good.tick(time, KEEP_TIME)


def _entry(event: SipEvent) -> bytes:
    return _ENTRY.pack(_UDP if event.transport is Transport.UDP else _TCP, event.client_port)
