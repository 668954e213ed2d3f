"""One connection of the carrier: an asyncio protocol between a TLS transport and a link of the core."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Protocol, cast

from shield.cluster.identity import Certificate
from shield.cluster.link import Link
from shield.cluster.peer_core import PeerCore
from shield.cluster.peer_door import Door, GuestConnection, explain
from shield.errors import RemoteError

__all__ = ["LINGER_SECONDS", "MAX_FRAMES", "Peer"]

MAX_FRAMES = 15_000
"""Frames of one peer between two looks at the timers (60,000 a second); then it is not read until the
next look. Those with a signature count more. Capabilities send in batches: nobody needs more, and a mad
peer must leave time for others."""

HIGH_WATER = 512 * 1024
"""Octets in the transport above which the link keeps the rest."""

LINGER_SECONDS = 1.0
"""How long a closed connection may take to send its last bytes."""

_now = time.monotonic


class Carrier(Protocol):
    """What a connection needs of its carrier."""

    core: PeerCore
    door: Door
    throttled: int

    def joined(self, link: Link, peer: Peer) -> None:
        """A connection has its link."""
        ...

    def parted(self, link: Link) -> None:
        """A connection is gone."""
        ...


class Peer(asyncio.Protocol):
    """One connection after its TLS handshake."""

    def __init__(
        self, carrier: Carrier, *, dialed: bool, host: str = "", expected: str | None = None
    ) -> None:
        self._carrier = carrier
        self._dialed, self._host, self._expected = dialed, host, expected
        self._transport: asyncio.Transport | None = None
        self._link: Link | None = None
        self._full = False
        self._throttled = False
        self._frames = 0
        self.name: str | None = None
        """Who is at the other end."""
        self.problem = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done: the peer is who its certificate says, or a guest."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        self._transport = transport
        transport.set_write_buffer_limits(HIGH_WATER)
        core = self._carrier.core
        certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if certificate is None:
            guest = GuestConnection(self._carrier.door, self._host)
            transport.set_protocol(guest)
            guest.connection_made(transport)
            return
        try:
            self._link = core.connected(
                certificate, dialed=self._dialed, now=_now(), expected=self._expected
            )
        except RemoteError as error:
            self.problem = "" if error.reason == "duplicate" else str(error)
            if error.reason in ("self", "duplicate"):
                self.name = Certificate.read(certificate, core.identity.authority).name
            transport.abort()
            return
        self.name = self._link.peer
        self._carrier.joined(self._link, self)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Bytes for the core."""
        if self._link is not None:
            self._carrier.core.receive_data(self._link, data, _now())
            if self._link.work - self._frames > MAX_FRAMES and not self._throttled:
                self._throttled = True
                self._carrier.throttled += 1
                self._pause(reading=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        if self._link is not None:
            self._carrier.parted(self._link)
            why = explain(exc) if exc is not None else "connection closed"
            self._carrier.core.closed(self._link, why, _now())

    def pause_writing(self) -> None:
        """The peer does not read as fast as we write."""
        self._full = True

    def resume_writing(self) -> None:
        """It does again."""
        self._full = False
        self.flush()

    def flush(self) -> None:
        """Hand the link's bytes to the transport, as many as it takes."""
        while not self._full and self._link is not None and self._transport is not None:
            data = self._link.data_to_send()
            if not data:
                return
            self._transport.write(data)

    def unthrottle(self) -> None:
        """Begin a new interval of counting frames."""
        if self._link is not None:
            self._frames = self._link.work
        if self._throttled:
            self._throttled = False
            self._pause(reading=True)

    def end(self) -> None:
        """Close after the last bytes; a peer that does not take them is cut off."""
        self.flush()
        if self._transport is not None:
            self._transport.close()
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _pause(self, *, reading: bool) -> None:
        if self._transport is not None and not self._transport.is_closing():
            with contextlib.suppress(RuntimeError):
                (self._transport.resume_reading if reading else self._transport.pause_reading)()
