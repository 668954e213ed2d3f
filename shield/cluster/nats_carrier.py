"""NatsCarrier: carries a core's messages over a NATS server. It decides nothing, the core does.

A server that is gone, silent or refuses us is tried again, with the others in turn, for ever; what this
node detects and decides does not wait for it. The client's own ways to connect again are not used: one
connection is one client, so that each failure is seen, told and has an end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from shield.cluster.nats_connection import CLOSE_SECONDS, NatsConnection, end_tasks
from shield.cluster.nats_core import LEAST_PAYLOAD, NatsCore
from shield.cluster.nats_login import Login, explain, is_absence, new_client
from shield.cluster.nats_wire import Place
from shield.cluster.peer_door import Credentials, Door, Guest, GuestConnection

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["NatsCarrier"]

CONNECT_SECONDS = 5.0
"""To connect, greet with TLS, log in and subscribe."""

FIRST_PAUSE = 0.25
MAX_PAUSE = 15.0
"""Seconds until the servers are tried again; doubled after each round in which one refused us: somebody
reads its log."""

ABSENT_PAUSE = 1.0
"""The same while none is there: when one is back, all nodes come soon, and not in one moment."""

STEADY_SECONDS = 10.0
"""A connection that lasted so long was a success: after it, the pause is short again."""

HIGH_WATER = 512 * 1024
"""Octets that the client may hold; then we wait until the server has taken them."""

IN_A_ROW = 64
"""Messages that are handed on before everything else of this node has its turn: about 10 ms."""

_log = logging.getLogger(__name__)
_now = time.monotonic


class NatsCarrier:
    """One connection to one of the servers, for one core.

    With ``guest`` and ``expects_guests`` it also listens for new nodes with a join token (``Door``): a
    NATS server has no part in that.
    """

    def __init__(
        self,
        core: NatsCore,
        credentials: Credentials,
        guest: Callable[[str], Guest | None] | None = None,
        expects_guests: Callable[[], bool] = lambda: False,
    ) -> None:
        self.core = core
        self.door = Door(credentials, self._arrival, guest or (lambda _host: None), expects_guests)
        self.refused = self.door.refused
        self._admits = guest is not None
        self._login = Login(core.settings.nats)
        self._client: Client | None = None
        self._server = ""
        self._problems: dict[str, str] = {}
        self._rtt: float | None = None
        self._connects = 0
        self._missed = 0
        self.throttled = 0
        self._looked = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wanted = asyncio.Event()

    # --- for people -------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """TCP port for new nodes; 0 on a node that admits none."""
        return self.door.port

    def problems(self) -> dict[str, str]:
        """Why there is no connection, by server; empty while there is one and nothing is wrong."""
        return dict(self._problems)

    def status(self, now: float) -> dict[str, Any]:  # noqa: ARG002
        """The carrier in short."""
        core = self.core
        return {
            "carrier": "nats",
            "server": self._server,
            "server_rtt": None if self._rtt is None else round(self._rtt, 6),
            "connects": self._connects,
            "waiting": core.outbox.waiting,
            "dropped": core.outbox.dropped,
            "unmet": core.unmet,
            "throttled": self.throttled,
            "missed": self._missed,
            "refused": dict(self.refused),
            "unreachable": self.problems(),
        }

    def connections(self, now: float) -> list[dict[str, Any]]:  # noqa: ARG002
        """The one connection, while there is one."""
        if self._client is None:
            return []
        stats = self._client.stats
        return [
            {
                "peer": self._server,
                "state": "up",
                "rtt": None if self._rtt is None else round(self._rtt, 6),
                "waiting": self.core.outbox.waiting,
                "frames_in": stats["in_msgs"],
                "frames_out": stats["out_msgs"],
                "bytes_in": stats["in_bytes"],
                "bytes_out": stats["out_bytes"],
            }
        ]

    def connection(self, node: str, now: float) -> dict[str, Any]:
        """What is known of one member."""
        return self.core.presence.as_json(node, now)

    # --- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin; raises SystemFailure when the client is missing or files cannot be read."""
        new_client(needs_tls=True)
        self._login.options()
        if self._admits:
            self.door.open(self.core.settings.listen)
        self.core.post.wake = self._wanted.set
        self._runner = asyncio.ensure_future(self._run())
        self._look()

    async def close(self, *, leave: bool = False) -> None:
        """End; with ``leave`` say goodbye first."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        if leave:
            self.core.leave(_now())
            if self._client is not None:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await self._publish_all(self._client)
                        await self._client.flush()
        if self._timer is not None:
            self._timer.cancel()
        self.door.close()
        self.core.post.wake = lambda: None
        await end_tasks(runner)

    def _look(self) -> None:
        """Run the core's timers."""
        now = _now()
        self.core.shift = time.time() - now
        try:
            self.core.handle_timer(now)
            self._looked.set()
        finally:  # whatever happens here, a node without timers would be dead for the others
            wait = self.core.get_timer() - _now()
            self._timer = asyncio.get_running_loop().call_later(max(0.01, wait), self._look)

    async def _run(self) -> None:
        """Be connected to one of the servers, always."""
        pause = FIRST_PAUSE
        while True:
            absent = True
            for server in self.core.settings.nats.servers:
                began = _now()
                try:
                    why = await self._serve(server)
                except Exception as error:  # noqa: BLE001 - the library documents no list of its errors
                    why = explain(error)
                    absent &= is_absence(error)
                if self._problems.get(server) != why:
                    _log.warning("cluster: %s: %s; trying again", server, why)
                self._problems[server] = why
                if _now() - began >= STEADY_SECONDS:
                    pause = FIRST_PAUSE
            if absent:
                pause = min(pause, ABSENT_PAUSE)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(2 * pause, MAX_PAUSE)

    # --- one connection ---------------------------------------------------------------------

    async def _serve(self, server: str) -> str:
        """Connect to a server and stay; gives why it has ended. Raises when it did not begin."""
        connection = NatsConnection(self._login, server)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connection.open(self.core.name, self._subscriptions())
            client = connection.client
            if client.max_payload < LEAST_PAYLOAD:
                return f"its max_payload of {client.max_payload} is below {LEAST_PAYLOAD}"
            self._client, self._server = client, server
            self._problems.clear()
            self._connects += 1
            self.core.up(server, client.max_payload, _now())
            return await self._stay(connection)
        except Exception as error:  # noqa: BLE001 - see _run
            raise connection.problem or error from None
        finally:
            if self._client is not None:
                self._client, self._server, self._rtt = None, "", None
            self.core.down(server, connection.why(), _now())
            self._missed += connection.missed
            await connection.end()

    async def _receive(self, place: Place, payload: bytes) -> None:
        """Hand something to the core, when it has time: until then it waits, within bounds."""
        while self.core.busy:
            self.throttled += 1
            self._looked.clear()
            await self._looked.wait()
        self.core.receive(place, payload, _now())
        if self.core.received % IN_A_ROW == 0:  # the library hands on all that is there in one go
            await asyncio.sleep(0)

    def _subscriptions(self) -> dict[str, Callable[[bytes], Awaitable[None]]]:
        subjects = self.core.subjects
        places = {
            subjects.here: Place.HERE,
            subjects.all: Place.ALL,
            subjects.node(self.core.name): Place.NODE,
        }
        return {subject: partial(self._receive, place) for subject, place in places.items()}

    async def _stay(self, connection: NatsConnection) -> str:
        """Publish and ask for signs of life until the connection ends; gives why it did."""
        work = [
            asyncio.ensure_future(self._pump(connection.client)),
            asyncio.ensure_future(self._probe(connection)),
            asyncio.ensure_future(connection.lost.wait()),
        ]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            failures = [failure for failure in await end_tasks(*work) if failure is not None]
        if failures and connection.problem is None:
            connection.problem = failures[0]
        return connection.why()

    async def _pump(self, client: Client) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._publish_all(client)

    async def _publish_all(self, client: Client) -> None:
        while (publication := self.core.next_publication()) is not None:
            await client.publish(*publication)
            if client.pending_data_size > HIGH_WATER:
                await client.flush(timeout=self._silence)  # type: ignore[arg-type]  # seconds

    async def _probe(self, connection: NatsConnection) -> None:
        """A frozen server keeps its connections: ask it, and leave it when it does not answer."""
        while True:
            began = _now()
            await connection.client.flush(timeout=self._silence)  # type: ignore[arg-type]  # seconds
            self._rtt = _now() - began
            await asyncio.sleep(self.core.settings.nats.heartbeat)

    @property
    def _silence(self) -> float:
        return self.core.settings.nats.silence

    def _arrival(self, host: str) -> GuestConnection:
        return GuestConnection(self.door, host)
