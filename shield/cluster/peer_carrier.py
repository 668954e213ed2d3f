"""PeerCarrier: carries a core's bytes over TCP with mutual TLS 1.3. It decides nothing, the core does.

Who the peer is, the handshake has proven before a byte reaches the core. What capabilities write in one
turn of the event loop leaves in one piece, and a peer that reads slowly holds up nobody but itself: its
bytes wait in its own link, within its budget.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from shield.cluster.dialer import Attempt
from shield.cluster.link import Link
from shield.cluster.lookup import Lookup
from shield.cluster.peer_connection import (
    HANDSHAKE_SECONDS,
    LINGER_SECONDS,
    Guest,
    Peer,
    explain,
)
from shield.cluster.peer_core import PeerCore
from shield.cluster.settings import Address, parse_address
from shield.errors import SystemFailure

__all__ = ["Credentials", "PeerCarrier"]

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
_now = time.monotonic


class Credentials(Protocol):
    """Gives TLS contexts, anew for each use: certificates are renewed while the node runs."""

    def server_context(self, *, guests: bool) -> ssl.SSLContext:
        """For who connects to us; with ``guests`` also for somebody without a certificate."""
        ...

    def client_context(self) -> ssl.SSLContext:
        """For those that we connect to."""
        ...


class PeerCarrier:
    """Listens, dials, pumps bytes and timers for one core.

    ``guest`` gives the other end of a token exchange, or None while no invitation is open.
    """

    def __init__(
        self,
        core: PeerCore,
        credentials: Credentials,
        guest: Callable[[str], Guest | None] = lambda _host: None,
        expects_guests: Callable[[], bool] = lambda: False,
    ) -> None:
        self.core = core
        self.refused: Counter[str] = Counter()
        """Connections that got nowhere, by reason."""
        self.throttled = 0
        self._credentials = credentials
        self._guest, self._expects_guests = guest, expects_guests
        self._guests: Counter[str] = Counter()
        self._hosts: set[str] = set()
        """Where members are: a crowd of strangers does not keep them out."""
        self._lookup = Lookup()
        self._peers: dict[Link, Peer] = {}
        self._listener: socket.socket | None = None
        self._handshakes: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._flushing = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def port(self) -> int:
        """The TCP port that is listened on."""
        assert self._listener is not None
        return int(self._listener.getsockname()[1])

    async def start(self) -> None:
        """Listen and begin to dial; raises SystemFailure when the address cannot be had."""
        self._loop = asyncio.get_running_loop()
        host, port = parse_address(self.core.settings.listen, lowest=0)
        try:
            self._listener = _listener(host, port)
        except (OSError, ValueError) as error:  # ValueError: no host name
            where, number = self.core.settings.listen, getattr(error, "errno", None) or 0
            why = os.strerror(number) if number > 0 else explain(error)
            raise SystemFailure(f"cluster.listen: cannot listen on {where}: {why}") from None
        self._spawn(self._accept(self._listener))
        self.core.post.wake = self._wake
        self._look()

    # --- for people -------------------------------------------------------------------------

    def problems(self) -> dict[str, str]:
        """Whom this node cannot connect to, and why."""
        return self.core.dialer.problems()

    def status(self, now: float) -> dict[str, Any]:  # noqa: ARG002
        """The carrier in short."""
        return {
            "carrier": "peer",
            "relayed": self.core.relayed,
            "throttled": self.throttled,
            "refused": dict(self.refused),
            "unreachable": self.problems(),
        }

    def connections(self, now: float) -> list[dict[str, Any]]:
        """One row for each connection."""
        return [link.as_json(now) for link in self.core.links]

    def connection(self, node: str, now: float) -> dict[str, Any]:
        """The direct connection to a member, if there is one."""
        link = self.core.links.up.get(node)
        return {} if link is None else link.as_json(now)

    async def close(self, *, leave: bool = False) -> None:
        """End all connections; with ``leave`` say goodbye first."""
        if self._listener is None:
            return
        if leave:
            self.core.leave(_now())
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._listener.close()
        self._listener = None
        self._flush()
        for peer in list(self._peers.values()):
            peer.end()
        self.core.post.wake = lambda: None
        for _ in range(2):  # those that do not take their last bytes are cut off
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    await self._empty.wait()
            for peer in list(self._peers.values()):
                peer.abort()
        await asyncio.sleep(0)  # the turn in which the last socket is closed

    # --- timers -----------------------------------------------------------------------------

    def _look(self) -> None:
        """Run the core's timers, read from throttled peers again, dial whom the core wants."""
        assert self._loop is not None
        now = _now()
        self.core.shift = time.time() - now
        try:
            self.core.handle_timer(now)
            members = self.core.membership.members
            self._hosts = {host for one in members.values() for host, _ in one.record.addresses}
            for peer in self._peers.values():
                peer.unthrottle()
            for attempt in self.core.dialer.due(members, self.core.links.up, now):
                self._spawn(self._dial(attempt))
            self._wake()
        finally:  # whatever happens here, a node without timers would be dead for the others
            wait = self.core.get_timer() - _now()
            self._timer = self._loop.call_later(max(0.01, wait), self._look)

    def _spawn(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _dial(self, attempt: Attempt) -> None:
        assert self._loop is not None
        peer = Peer(self, dialed=True, expected=attempt.name)
        name, problem = None, ""
        try:
            async with asyncio.timeout(attempt.timeout):
                connection = await self._connect(attempt.address)
            await self._loop.create_connection(
                lambda: peer,
                sock=connection,
                ssl=self._credentials.client_context(),
                server_hostname="",
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
            name, problem = peer.name, peer.problem
        except (OSError, ValueError) as error:  # ValueError: a member's address may be no host name
            problem = explain(error)
        self.core.dialer.ended(attempt, name, problem, _now())

    async def _connect(self, address: Address) -> socket.socket:
        """Connect by TCP, to the first of the addresses of a name that answers."""
        assert self._loop is not None
        failure = OSError("the name has no address")
        for family, kind, number, _, place in await self._lookup.places(*address):
            connection = socket.socket(family, kind, number)
            connection.setblocking(False)  # noqa: FBT003 - its only argument
            try:
                await self._loop.sock_connect(connection, place)
            except OSError as error:
                connection.close()
                failure = error
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise failure

    # --- bytes ------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._flushing and self._loop is not None:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        for peer in list(self._peers.values()):
            peer.flush()
        for link in self.core.links.closing():
            if (ending := self._peers.get(link)) is not None:
                ending.end()

    def joined(self, link: Link, peer: Peer) -> None:
        """A connection has its link."""
        self._peers[link] = peer
        self._empty.clear()

    def parted(self, link: Link) -> None:
        """A connection is gone."""
        self._peers.pop(link, None)
        if not self._peers:
            self._empty.set()

    # --- who comes --------------------------------------------------------------------------

    async def _accept(self, listener: socket.socket) -> None:
        """Greet with TLS who connects, unless too many are at it."""
        assert self._loop is not None
        while True:
            try:
                connection, address = await self._loop.sock_accept(listener)
            except OSError as error:
                _log.warning("cluster: accepting a connection: %s", error)
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            host = str(address[0]).removeprefix("::ffff:")
            crowded = self._handshakes.total() >= MAX_HANDSHAKES and host not in self._hosts
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
        assert self._loop is not None
        try:
            await self._loop.connect_accepted_socket(
                lambda: Peer(self, dialed=False, host=host),
                connection,
                ssl=self._credentials.server_context(guests=self._expects_guests()),
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
        except OSError as error:
            self.refused[_reason(error)] += 1
            _log.debug("cluster: %s: %s", host, error)
        finally:
            _less(self._handshakes, host)

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
