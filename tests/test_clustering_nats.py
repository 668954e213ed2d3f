"""The node's part in a cluster over NATS: whatever becomes of the server, it decides and tells why."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shield.cluster.authority import create
from shield.cluster.identity_files import Directory
from shield.cluster.nats_settings import NatsSettings
from tests.cluster.identities import member
from tests.cluster.nats_server import NatsServer
from tests.cluster.real import QUICK, until
from tests.node_parts import ATTACKER
from tests.requires import need
from tests.test_clustering import Part


@asynccontextmanager
async def pair(folder: Path, nats: NatsSettings) -> AsyncIterator[tuple[Part, Part]]:
    """Nodes a and b, started; they need not have met."""
    authority, first = create("voice", "a", time.time())
    Directory(folder / "a").create(first, authority)
    Directory(folder / "b").create(member(authority, "b", time.time()))
    parts = []
    try:
        for name in "ab":
            settings = replace(QUICK, directory=str(folder / name), carrier="nats", nats=nats)
            parts.append(Part(folder, name, settings))
            await parts[-1].clustering.take_part()
        yield parts[0], parts[1]
    finally:
        for part in parts:
            await part.clustering.close()


def run(
    folder: Path,
    act: Callable[[Part, Part, NatsServer], Coroutine[Any, Any, None]],
    **changes: Any,
) -> None:
    need("nats-server", root=False)

    async def main(server: NatsServer) -> None:
        async with pair(folder, replace(server.settings(), **changes)) as (a, b):
            await act(a, b, server)

    with NatsServer(folder / "server") as server:
        asyncio.run(main(server))


async def met(a: Part, b: Part) -> None:
    await until(lambda: a.clustering.joined().members() == ("b",), 10)
    await until(lambda: b.clustering.joined().members() == ("a",), 10)


def test_bans_travel_and_the_carrier_is_shown(tmp_path: Path) -> None:
    """A ban of one node is in force on the other; status and members say over what."""

    async def act(a: Part, b: Part, server: NatsServer) -> None:
        await met(a, b)
        await a.ask("ban", values=[ATTACKER])
        await until(lambda: ATTACKER in str(b.banned()))
        status = await a.ask("cluster.status")
        assert (status["carrier"], status["server"]) == ("nats", server.url)
        assert status["warnings"] == []
        assert status["port"] > 0
        assert (await b.ask("cluster.status"))["port"] == 0
        rows = await a.ask("cluster.members")
        assert [row["route"] for row in rows] == ["self", "NATS"]
        assert (await a.ask("cluster.topology"))["connections"][0]["peer"] == server.url

    run(tmp_path, act)


def test_without_the_server_decisions_go_on_and_are_shared_later(tmp_path: Path) -> None:
    """Both sides ban alone meanwhile, and are equal when it is back."""

    async def act(a: Part, b: Part, server: NatsServer) -> None:
        await met(a, b)
        server.kill()
        told = [f"cluster: {server.url} cannot be reached: Connection refused"]
        await until(lambda: a.clustering.warnings() == b.clustering.warnings() == told)
        await a.ask("ban", values=["192.0.2.1"])
        await b.ask("ban", values=["192.0.2.2"])
        assert a.banned() == {"192.0.2.1"}
        server.start()
        await met(a, b)
        await until(lambda: a.banned() == b.banned() == {"192.0.2.1", "192.0.2.2"}, 10)
        assert a.clustering.warnings() == []

    run(tmp_path, act)


def test_wrong_credentials_cost_nothing_but_the_cluster(tmp_path: Path) -> None:
    """The warning holds the server's words; bans of this node are in force."""

    async def act(a: Part, b: Part, server: NatsServer) -> None:
        await until(lambda: any("uthorization" in line for line in a.clustering.warnings()))
        await a.ask("ban", values=["192.0.2.1"])
        assert a.banned() == {"192.0.2.1"}
        assert b.banned() == set()
        assert a.clustering.joined().members() == ()

    wrong = tmp_path / "wrong"
    wrong.write_text("guess")
    run(tmp_path, act, password_file=str(wrong))


def test_a_missing_client_is_told_and_the_node_works_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How to install it stands in the warning."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "nats"]:
        monkeypatch.setitem(sys.modules, name, None)

    async def main() -> None:
        async with pair(tmp_path, NatsSettings(servers=("nats://127.0.0.1:1",))) as (a, _):
            (line,) = a.clustering.warnings()
            assert "pip install 'shield-sip[nats]'" in line
            await a.ask("ban", values=["192.0.2.1"])
            assert a.banned() == {"192.0.2.1"}

    asyncio.run(main())
