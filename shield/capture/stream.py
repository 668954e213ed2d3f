"""All TCP connections that are followed (RFC 9293): finds each segment's connection, keeps limits.

Connections with a proven side and those without are kept apart: a flood of forged segments
pushes out only what is not proven either.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Container
from typing import Final

from shield.capture.connection import RST, SYN, Connection, Key
from shield.capture.packet import TcpSegment
from shield.net import Datagram

__all__ = ["Streams"]

MAX_PROVEN: Final = 10_000
"""Connections with a proven side: a busy registrar with TCP phones has some thousands."""
MAX_UNPROVEN: Final = 8192
"""Connections without: handshakes of the last moments, and whatever a flood forges."""
MAX_BYTES: Final = 64 << 20
"""Bytes held for all connections together."""
IDLE_PROVEN: Final = 900.0
"""Seconds without a segment until a connection is forgotten; phones send keep-alives
each 30 to 120 s."""
IDLE_UNPROVEN: Final = 60.0
"""The same without proof; a Linux handshake is retried for about 63 s."""

_Table = OrderedDict[Key, Connection]


class Streams:
    """Takes segments, gives SIP messages."""

    def __init__(
        self, errors: Counter[str], sip_ports: Container[int], *, any_port: bool = False
    ) -> None:
        self._errors = errors
        self._sip_ports = sip_ports
        self._any_port = any_port
        self._proven: _Table = OrderedDict()
        self._unproven: _Table = OrderedDict()
        self._held = 0
        """Bytes held for all connections."""

    def __len__(self) -> int:
        return len(self._proven) + len(self._unproven)

    def segment(self, time: float, segment: TcpSegment) -> list[Datagram]:
        """Take one segment at event ``time``; the messages it completes."""
        out: list[Datagram] = []
        self._expire(time, out)
        source, source_port, destination, destination_port, *_ = segment
        if (source, source_port) > (destination, destination_port):
            index, key = 1, (destination, destination_port, source, source_port)
        else:
            index, key = 0, (source, source_port, destination, destination_port)
        connection = self._proven.get(key) or self._unproven.get(key)
        if connection is None:
            # Without a start or data there is nothing to follow, and a reset ends nothing.
            if segment.flags & RST or not (segment.payload or segment.flags & SYN):
                return out
            connection = self._unproven[key] = Connection(key, self._errors, self._plain)
        connection.seen = time
        connection.take(index, segment, out)
        self._account(connection, out)
        return out

    def flush(self) -> list[Datagram]:
        """End the capture: what the open connections hold comes out, also without its end."""
        out: list[Datagram] = []
        for table in (self._proven, self._unproven):
            while table:
                self._end(table, out)
        return out

    def _plain(self, key: Key) -> bool | None:
        """Whether a stream that is no WebSocket is SIP: True, only if it looks so, or None."""
        if key[1] in self._sip_ports or key[3] in self._sip_ports:
            return True
        return False if self._any_port else None

    def _account(self, connection: Connection, out: list[Datagram]) -> None:
        """Put the connection where it belongs now and keep the limits."""
        key = connection.key
        self._proven.pop(key, None) or self._unproven.pop(key, None)
        self._held -= connection.held
        if connection.ended:
            return
        connection.held = connection.sides[0].held() + connection.sides[1].held()
        self._held += connection.held
        (self._proven if connection.proven else self._unproven)[key] = connection
        while len(self._unproven) > MAX_UNPROVEN or (self._held > MAX_BYTES and self._unproven):
            self._errors["tcp_limit"] += 1
            self._end(self._unproven, out)
        while len(self._proven) > MAX_PROVEN or (self._held > MAX_BYTES and self._proven):
            self._errors["tcp_limit"] += 1
            self._end(self._proven, out)

    def _expire(self, time: float, out: list[Datagram]) -> None:
        for table, idle in ((self._proven, IDLE_PROVEN), (self._unproven, IDLE_UNPROVEN)):
            while table and time - next(iter(table.values())).seen > idle:
                self._end(table, out)

    def _end(self, table: _Table, out: list[Datagram]) -> None:
        """Forget the connection that was quiet longest."""
        _, connection = table.popitem(last=False)
        self._held -= connection.held
        connection.close(out)
