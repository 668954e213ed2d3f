"""One connection of the carrier: an asyncio protocol between a TLS transport and a link of the core."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import Counter
from typing import Protocol, cast

from shield.cluster.identity import Certificate
from shield.cluster.link import Link
from shield.cluster.peer_core import PeerCore
from shield.errors import RemoteError

__all__ = ["HANDSHAKE_SECONDS", "LINGER_SECONDS", "MAX_FRAMES", "Guest", "Peer", "explain"]

HANDSHAKE_SECONDS = 5.0
"""A TLS handshake that takes longer is given up."""

MAX_FRAMES = 15_000
"""Frames of one peer between two looks at the timers (60,000 a second); then it is not read until the
next look. Those with a signature count more. Capabilities send in batches: nobody needs more, and a mad
peer must leave time for others."""

HIGH_WATER = 512 * 1024
"""Octets in the transport above which the link keeps the rest."""

LINGER_SECONDS = 1.0
"""How long a closed connection may take to send its last bytes."""

_now = time.monotonic


class Guest(Protocol):
    """Somebody without a certificate, who may show a join token and nothing else."""

    def receive_data(self, data: bytes, wall: float) -> bytes:
        """Take bytes, give the answer."""
        ...

    @property
    def done(self) -> bool:
        """Whether there is nothing more to say."""
        ...


class Carrier(Protocol):
    """What a connection needs of its carrier."""

    core: PeerCore
    refused: Counter[str]
    throttled: int

    def welcome(self, host: str) -> Guest | None:
        """Somebody has no certificate: give him an ear, or None, counted."""
        ...

    def farewell(self, host: str) -> None:
        """A guest is gone."""
        ...

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
        self._guest: Guest | None = None
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
            self._guest = self._carrier.welcome(self._host)
            if self._guest is None:
                transport.abort()
            else:
                asyncio.get_running_loop().call_later(2 * HANDSHAKE_SECONDS, transport.abort)
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
        """Bytes for the core, or for the token exchange."""
        if self._link is not None:
            self._carrier.core.receive_data(self._link, data, _now())
            if self._link.work - self._frames > MAX_FRAMES and not self._throttled:
                self._throttled = True
                self._carrier.throttled += 1
                self._pause(reading=False)
        elif self._guest is not None and self._transport is not None:
            self._transport.write(self._guest.receive_data(data, time.time()))
            if self._guest.done:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        if self._guest is not None:
            self._carrier.farewell(self._host)
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


def explain(error: BaseException) -> str:
    """Say in a few words why a connection failed."""
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).lower().replace('_', ' ')}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
