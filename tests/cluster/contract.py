"""What the tests that all carriers pass need: members over any carrier, cut apart and joined again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from shield.cluster.capability import Incoming, Outlet
from shield.cluster.cluster import Cluster
from shield.cluster.member import Member
from shield.cluster.replicated import ReplicatedMap
from shield.cluster.sync import Sync
from shield.errors import RemoteError
from tests.cluster.nats_server import NatsServer
from tests.cluster.real import QUICK, prepare, until
from tests.requires import need

CARRIERS = ("peer", "nats")
LOOPS: dict[str, Callable[[Coroutine[Any, Any, None]], None]] = {
    "asyncio": asyncio.run,
    "uvloop": uvloop.run,
}


@dataclass
class Site:
    """Members of one cluster over one carrier. The first one holds the authority."""

    folder: Path
    carrier: str
    loop: str = "asyncio"
    server: NatsServer | None = None
    clusters: dict[str, Cluster] = field(default_factory=dict)

    def run(self, main: Callable[[Site], Coroutine[Any, Any, None]], *names: str) -> None:
        """Run a test with these members prepared; all that it started are closed at its end."""
        prepare(self.folder, *names)

        async def whole() -> None:
            try:
                await main(self)
            finally:
                for cluster in list(self.clusters.values()):
                    await cluster.close()

        LOOPS[self.loop](whole())

    async def start(self, name: str, **changes: Any) -> Cluster:
        """Start a member, for the first time or again."""
        if self.server is not None:
            changes = {"carrier": "nats", "nats": self.server.settings(), **changes}
        else:
            ports = [other.carrier.port for other in self.clusters.values()]
            changes = {"seeds": tuple(f"127.0.0.1:{port}" for port in ports if port), **changes}
        cluster = Cluster(self.folder / name, replace(QUICK, **changes))
        await cluster.start()
        self.clusters[name] = cluster
        return cluster

    async def start_all(self, *names: str, **changes: Any) -> list[Cluster]:
        """Start members and wait until everybody sees everybody."""
        found = [await self.start(name, **changes) for name in names]
        await self.together()
        return found

    async def stop(self, name: str, *, leave: bool = False) -> None:
        """End a member; without ``leave`` as if it were killed."""
        await self.clusters.pop(name).close(leave=leave)

    async def together(self, limit: float = 10.0) -> None:
        """Wait until everybody sees everybody."""
        names = set(self.clusters)
        await until(
            lambda: all(set(c.members()) == names - {c.name} for c in self.clusters.values()), limit
        )

    async def cut(self) -> None:
        """Cut all members apart, and wait until they know it."""
        if self.server is not None:
            self.server.kill()
        for cluster in self.clusters.values() if self.server is None else ():
            cluster.core.connected = _cut  # type: ignore[attr-defined]
            for peer in list(cluster.carrier._peers.values()):  # type: ignore[attr-defined]
                peer.abort()
        await until(lambda: not any(cluster.members() for cluster in self.clusters.values()))

    async def heal(self) -> None:
        """Let them reach each other again."""
        if self.server is not None:
            self.server.start()
        for cluster in self.clusters.values() if self.server is None else ():
            with contextlib.suppress(AttributeError):
                del cluster.core.connected  # type: ignore[attr-defined]
        await self.together()

    def state(self, of: str, seen_by: str) -> str:
        """What one member says of another."""
        member = self.clusters[seen_by].core.membership.members.get(of)
        return "unknown" if member is None else member.state.value


def _cut(*_: object, **__: object) -> None:
    raise RemoteError("cut", "by the test")


@pytest.fixture(params=[f"{carrier}-{loop}" for carrier in CARRIERS for loop in LOOPS])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A place for members, for each carrier on each event loop; NATS with TLS and a password."""
    carrier, _, loop = request.param.partition("-")
    if carrier == "peer":
        yield Site(tmp_path, carrier, loop)
        return
    need("nats-server", root=False)
    with NatsServer(tmp_path / "server") as server:
        yield Site(tmp_path, carrier, loop, server)


class SharedMap:
    """A capability that keeps a replicated map."""

    name = "map"

    def __init__(self, cluster: Cluster) -> None:
        self.table = ReplicatedMap("map", cluster.name, cluster.core.identity.secret(b"map"))
        self.outlet: Outlet = cluster.add(self)
        self.sync = Sync(self.table, self.outlet, self._applied)

    def put(self, key: str, value: bytes = b"v") -> None:
        """Write, and tell everybody."""
        now = time.monotonic()
        self.table.put(key.encode(), value, 3600.0, now, time.time())
        self.sync.push([key.encode()], now)

    def digest(self) -> int:
        return self.table.digest(time.monotonic())

    def receive(self, incoming: Incoming, now: float) -> None:
        self.sync.receive(incoming.sender, incoming.body, now, time.time())

    def member_changed(self, member: Member, now: float) -> None:
        pass

    def report(self, now: float) -> bytes:
        return self.sync.report(now)

    def reported(self, sender: str, report: bytes, now: float) -> None:
        self.sync.reported(sender, report, now)

    def tick(self, now: float) -> None:
        self.sync.tick(now)

    def _applied(self, *_: Any) -> None:
        pass
