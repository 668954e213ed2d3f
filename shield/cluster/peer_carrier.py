"""PeerCarrier: carries a core's bytes over TCP with mutual TLS 1.3. It decides nothing, the core does.

Who the peer is, the handshake has proven before a byte reaches the core. What capabilities write in one
turn of the event loop leaves in one piece, and a peer that reads slowly holds up nobody but itself: its
bytes wait in its own link, within its budget.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

from shield.cluster.dialer import Attempt
from shield.cluster.link import Link
from shield.cluster.lookup import Lookup
from shield.cluster.peer_connection import LINGER_SECONDS, Peer
from shield.cluster.peer_core import PeerCore
from shield.cluster.peer_door import HANDSHAKE_SECONDS, Credentials, Door, Guest, explain
from shield.cluster.settings import Address

__all__ = ["PeerCarrier"]

_now = time.monotonic


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
        self.door = Door(credentials, self._arrival, guest, expects_guests)
        self.refused = self.door.refused
        self.throttled = 0
        self._credentials = credentials
        self._lookup = Lookup()
        self._peers: dict[Link, Peer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._flushing = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def port(self) -> int:
        """The TCP port that is listened on."""
        return self.door.port

    async def start(self) -> None:
        """Listen and begin to dial; raises SystemFailure when the address cannot be had."""
        self._loop = asyncio.get_running_loop()
        self.door.open(self.core.settings.listen)
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
        if not self.door.port:
            return
        if leave:
            self.core.leave(_now())
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        self.door.close()
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
            self.door.hosts = {host for one in members.values() for host, _ in one.record.addresses}
            for peer in self._peers.values():
                peer.unthrottle()
            for attempt in self.core.dialer.due(members, self.core.links.peers(), now):
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
        for link in self.core.links.ready():
            if (peer := self._peers.get(link)) is not None:
                peer.flush()
        for link in self.core.links.closing():
            if (ending := self._peers.get(link)) is not None:
                ending.end()

    def _arrival(self, host: str) -> Peer:
        return Peer(self, dialed=False, host=host)

    def joined(self, link: Link, peer: Peer) -> None:
        """A connection has its link."""
        self._peers[link] = peer
        self._empty.clear()

    def parted(self, link: Link) -> None:
        """A connection is gone."""
        self._peers.pop(link, None)
        if not self._peers:
            self._empty.set()
