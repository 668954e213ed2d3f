"""Door: where others connect by TCP: TLS handshakes within limits, and guests who show a join token.

A guest has no certificate yet. It is heard only while an invitation is open, and only with its token.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast

from shield.cluster.settings import parse_address
from shield.errors import SystemFailure

__all__ = [
    "HANDSHAKE_SECONDS",
    "MAX_HANDSHAKES_EACH",
    "Credentials",
    "Door",
    "Guest",
    "GuestConnection",
    "explain",
]

HANDSHAKE_SECONDS = 5.0
"""A TLS handshake that takes longer is given up."""

MAX_HANDSHAKES = 64
"""Handshakes under way: each costs about a millisecond, and who asks is not known yet."""

MAX_HANDSHAKES_EACH = 8
"""Of one address."""

MAX_GUESTS = 64
"""Connections without certificate that are heard at once: each has a moment to show its token."""

MAX_GUESTS_EACH = 8
"""Of one address."""

ACCEPT_PAUSE = 0.1
"""Seconds until the next try when the system refuses a connection, for want of descriptors."""

_log = logging.getLogger(__name__)


class Credentials(Protocol):
    """Gives TLS contexts, anew for each use: certificates are renewed while the node runs."""

    def server_context(self, *, guests: bool) -> ssl.SSLContext:
        """For who connects to us; with ``guests`` also for somebody without a certificate."""
        ...

    def client_context(self) -> ssl.SSLContext:
        """For those that we connect to."""
        ...


class Guest(Protocol):
    """Somebody without a certificate, who may show a join token and nothing else."""

    def receive_data(self, data: bytes, wall: float) -> bytes:
        """Take bytes, give the answer."""
        ...

    @property
    def done(self) -> bool:
        """Whether there is nothing more to say."""
        ...


class Door:
    """Listens for one node. ``arrival`` makes the protocol of each connection, of a host.

    ``guest`` gives the other end of a token exchange, or None while no invitation is open.
    """

    def __init__(
        self,
        credentials: Credentials,
        arrival: Callable[[str], asyncio.Protocol],
        guest: Callable[[str], Guest | None],
        expects_guests: Callable[[], bool],
    ) -> None:
        self.refused: Counter[str] = Counter()
        """Connections that got nowhere, by reason."""
        self.hosts: set[str] = set()
        """Where members are: a crowd of strangers does not keep them out."""
        self._credentials = credentials
        self._arrival = arrival
        self._guest, self._expects_guests = guest, expects_guests
        self._guests: Counter[str] = Counter()
        self._handshakes: Counter[str] = Counter()
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The TCP port that is listened on; 0 while it is closed."""
        return 0 if self._listener is None else int(self._listener.getsockname()[1])

    def open(self, listen: str) -> None:
        """Listen; raises SystemFailure when the address cannot be had."""
        host, port = parse_address(listen, lowest=0)
        try:
            self._listener = _listener(host, port)
        except (OSError, ValueError) as error:  # ValueError: no host name
            number = getattr(error, "errno", None) or 0
            why = os.strerror(number) if number > 0 else explain(error)
            raise SystemFailure(f"cluster.listen: cannot listen on {listen}: {why}") from None
        self._spawn(self._accept(self._listener))

    def close(self) -> None:
        """Listen no more; connections that exist go on."""
        for task in self._tasks:
            task.cancel()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def welcome(self, host: str) -> Guest | None:
        """Somebody has no certificate: give him an ear, or None, counted."""
        guest = self._guest(host)
        if guest is None:
            self.refused["no_certificate"] += 1
        elif self._guests.total() >= MAX_GUESTS or self._guests[host] >= MAX_GUESTS_EACH:
            self.refused["too_many_guests"] += 1
            return None
        else:
            self._guests[host] += 1
        return guest

    def farewell(self, host: str) -> None:
        """A guest is gone."""
        _less(self._guests, host)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        """Greet with TLS who connects, unless too many are at it."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError as error:
                _log.warning("cluster: accepting a connection: %s", error)
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            host = str(address[0]).removeprefix("::ffff:")
            crowded = self._handshakes.total() >= MAX_HANDSHAKES and host not in self.hosts
            if crowded or self._handshakes[host] >= MAX_HANDSHAKES_EACH:
                self.refused["too_many_handshakes"] += 1
                connection.close()
            else:
                self._handshakes[host] += 1  # here: many may come in one turn of the loop
                # asyncio does this only where a socket names its protocol, which an accepted one does
                # not: a message would wait 40 ms for the acknowledgement of the one before it.
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._spawn(self._greet(connection, host))
            await asyncio.sleep(0)  # a crowd at the door keeps nobody else waiting

    async def _greet(self, connection: socket.socket, host: str) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._arrival(host),
                connection,
                ssl=self._credentials.server_context(guests=self._expects_guests()),
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
        except OSError as error:
            self.refused[_reason(error)] += 1
            _log.debug("cluster: %s: %s", host, error)
        finally:
            _less(self._handshakes, host)


class GuestConnection(asyncio.Protocol):
    """A connection without certificate: the other end of a token exchange, or nothing.

    One with a certificate is closed at once: it has come to a node whose carrier is another one.
    """

    def __init__(self, door: Door, host: str) -> None:
        self._door, self._host = door, host
        self._guest: Guest | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        if self._transport.get_extra_info("ssl_object").getpeercert(binary_form=True) is not None:
            self._door.refused["other_carrier"] += 1
            self._transport.abort()
            return
        self._guest = self._door.welcome(self._host)
        if self._guest is None:
            self._transport.abort()
        else:
            asyncio.get_running_loop().call_later(2 * HANDSHAKE_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Bytes for the token exchange."""
        if self._guest is not None and self._transport is not None:
            self._transport.write(self._guest.receive_data(data, time.time()))
            if self._guest.done:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """It is over."""
        if self._guest is not None:
            self._door.farewell(self._host)
            self._guest = None


def _less(counts: Counter[str], host: str) -> None:
    counts[host] -= 1
    if not counts[host]:
        del counts[host]


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    dual = host == "::" and socket.has_dualstack_ipv6()
    listener = socket.create_server((host, port), family=family, backlog=128, dualstack_ipv6=dual)
    listener.setblocking(False)  # noqa: FBT003 - its only argument
    return listener


def _reason(error: BaseException) -> str:
    """A counter's name, from a short list: the peer chooses the error."""
    if not isinstance(error, ssl.SSLError):
        return "handshake_broken"
    text = str(error.reason or "")
    if "PEER_DID_NOT_RETURN" in text:
        return "no_certificate"
    if "CERTIFICATE" in text:
        return "wrong_certificate"
    return "not_tls" if "HTTP" in text or "VERSION" in text or "RECORD" in text else "tls"


def explain(error: BaseException) -> str:
    """Say in a few words why a connection failed."""
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).lower().replace('_', ' ')}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
