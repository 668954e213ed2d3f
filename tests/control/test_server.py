"""The daemon's side of the control socket, over a real socket in a temporary directory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from shield.control import server as module
from shield.control.commands import Actor
from shield.control.server import ControlServer
from shield.control.settings import ControlSettings
from shield.errors import InputError, SystemFailure


class Node:
    """Answers like a node; remembers who asked."""

    def __init__(self) -> None:
        self.actors: list[Actor] = []
        self.watchers = 0
        self.turns = 0

    async def handle(self, command: str, arguments: dict[str, Any], actor: Actor) -> Any:
        self.actors.append(actor)
        match command:
            case "list":
                return ({"n": n} for n in range(arguments.get("limit", 3)))
            case "export":
                return self.broken()
            case "allow.list":
                return []
            case "watch":
                return self.events()
            case "ban":
                raise InputError("not an address: 'x'")
            case "stats":
                raise KeyError("secret")
            case "firewall.status":
                raise ConnectionResetError("netlink")
        return {"command": command}

    def broken(self) -> Iterator[Any]:
        yield from range(150)
        raise SystemFailure("disk gone")

    async def events(self) -> AsyncIterator[Any]:
        self.watchers += 1
        try:
            yield {"event": 1}
            yield {"event": 2}
            await asyncio.Event().wait()
        finally:
            self.watchers -= 1


@contextlib.asynccontextmanager
async def running(path: Path) -> AsyncIterator[tuple[ControlServer, Node]]:
    node = Node()
    server = ControlServer(ControlSettings(socket=str(path)), node)
    await server.start()
    try:
        yield server, node
    finally:
        await server.close()


async def ask(path: Path, *lines: bytes) -> list[dict[str, Any]]:
    """Send lines on one connection and read until the daemon closes it or has answered each."""
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 24)
    answers = []
    for line in lines:
        writer.write(line)
        while answer := await reader.readline():
            answers.append(json.loads(answer))
            if not answers[-1].get("more"):
                break
    writer.close()
    return answers


def request(command: str, **arguments: Any) -> bytes:
    return json.dumps({"v": 1, "command": command, "arguments": arguments}).encode() + b"\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "shield.sock"


def test_requests_of_one_connection_are_answered_in_order(path: Path) -> None:
    """One connection carries many requests; errors between them do not end it."""

    async def main() -> None:
        async with running(path) as (server, node):
            answers = await ask(
                path,
                request("status"),
                request("ban", values=["x"]),
                b"junk\n",
                request("stats"),
                request("rules"),
            )
            assert [answer["ok"] for answer in answers] == [True, False, False, False, True]
            codes = [answer["error"]["code"] for answer in answers if not answer["ok"]]
            assert codes == ["input", "json", "internal"]
            assert "secret" not in json.dumps(answers)
            assert server.stats.errors == {"InputError": 1, "json": 1, "internal": 1}
            assert node.actors[0].uid == os.getuid()
            assert node.actors[0].pid == os.getpid()

    asyncio.run(main())


def test_an_error_of_the_system_is_an_answer(path: Path) -> None:
    """A connection error inside a command is not taken for the client's leaving."""

    async def main() -> None:
        async with running(path) as (_, _node):
            answers = await ask(path, request("firewall.status"), request("status"))
            assert [answer["ok"] for answer in answers] == [False, True]

    asyncio.run(main())


def test_a_list_comes_in_chunks_and_lets_others_work(path: Path) -> None:
    """100,000 items arrive complete and in order, and other tasks run all the while."""

    async def main() -> None:
        async with running(path) as (_, _node):
            turns = 0

            async def other() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            task = asyncio.create_task(other())
            answers = await ask(path, request("list", limit=100_000))
            task.cancel()
            items = [item["n"] for answer in answers for item in answer["data"]]
            assert items == list(range(100_000))
            assert max(len(answer["data"]) for answer in answers) <= module.CHUNK_ITEMS
            assert turns >= len(answers)

    asyncio.run(main())


def test_an_empty_list_is_one_line(path: Path) -> None:
    """No items: one line with an empty list."""

    async def main() -> None:
        async with running(path):
            assert await ask(path, request("allow.list")) == [{"ok": True, "data": []}]

    asyncio.run(main())


def test_an_error_in_the_middle_of_a_list_ends_it_as_an_error(path: Path) -> None:
    """A list that breaks off never looks complete."""

    async def main() -> None:
        async with running(path):
            answers = await ask(path, request("export"))
            assert answers[0]["more"] is True
            assert answers[-1]["error"]["code"] == "system"

    asyncio.run(main())


def test_watch_sends_at_once_and_stops_when_the_client_leaves(path: Path) -> None:
    """Events are not held back for a chunk; the node's iterator is closed with the connection."""

    async def main() -> None:
        async with running(path) as (_, node):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(request("watch"))
            assert json.loads(await reader.readline())["data"] == [{"event": 1}]
            assert json.loads(await reader.readline())["data"] == [{"event": 2}]
            assert node.watchers == 1
            writer.close()
            async with asyncio.timeout(5):
                while node.watchers:
                    await asyncio.sleep(0.01)

    asyncio.run(main())


def test_closing_the_server_ends_watchers(path: Path) -> None:
    """A clean stop does not wait for clients that watch."""

    async def main() -> None:
        async with running(path) as (_, node):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(request("watch"))
            await reader.readline()
        assert node.watchers == 0
        assert not path.exists()
        writer.close()

    asyncio.run(main())


def test_permissions_are_right_from_the_start(path: Path) -> None:
    """The socket has the configured bits, whatever the umask."""

    async def main() -> None:
        before = os.umask(0)
        try:
            async with running(path):
                assert stat.S_IMODE(path.stat().st_mode) == 0o660
                assert path.is_socket()
        finally:
            os.umask(before)

    asyncio.run(main())


def test_a_second_daemon_is_refused_and_the_first_goes_on(path: Path) -> None:
    """Two daemons never share a socket."""

    async def main() -> None:
        async with running(path):
            second = ControlServer(ControlSettings(socket=str(path)), Node())
            with pytest.raises(SystemFailure, match="another shield is already running"):
                await second.start()
            await second.close()
            assert (await ask(path, request("status")))[0]["ok"]

    asyncio.run(main())


def test_a_socket_left_by_kill_9_is_replaced(path: Path) -> None:
    """A stale socket does not keep shield from starting."""
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))

    async def main() -> None:
        async with running(path):
            assert (await ask(path, request("status")))[0]["ok"]

    asyncio.run(main())


def test_a_file_in_the_way_is_kept(path: Path) -> None:
    """Something that is no socket is never deleted."""
    path.parent.mkdir()
    path.write_text("precious")

    async def main() -> None:
        with pytest.raises(SystemFailure, match="not a socket"):
            await ControlServer(ControlSettings(socket=str(path)), Node()).start()

    asyncio.run(main())
    assert path.read_text() == "precious"


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The error says which socket and why."""
    (tmp_path / "file").write_text("")
    settings = ControlSettings(socket=str(tmp_path / "file" / "shield.sock"))

    async def main() -> None:
        with pytest.raises(SystemFailure, match=r"cannot listen on .*shield\.sock"):
            await ControlServer(settings, Node()).start()

    asyncio.run(main())


def test_an_unknown_group_is_named(path: Path) -> None:
    """A group that does not exist stops the start and leaves no lock behind."""

    async def main() -> None:
        settings = ControlSettings(socket=str(path), group="no-such-group")
        with pytest.raises(SystemFailure, match="no-such-group"):
            await ControlServer(settings, Node()).start()
        async with running(path):
            pass

    asyncio.run(main())


def test_an_endless_request_is_cut_off(path: Path) -> None:
    """A line longer than the limit ends its connection, is counted, and disturbs nobody."""

    async def main() -> None:
        async with running(path) as (server, _):
            reader, writer = await asyncio.open_unix_connection(path)
            with contextlib.suppress(ConnectionError):
                writer.write(b"x" * (2 << 20))
                await writer.drain()
                await reader.read()
            assert server.stats.errors["too-long"] == 1
            assert (await ask(path, request("status")))[0]["ok"]
            writer.close()

    asyncio.run(main())


def test_an_idle_client_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that asks nothing gives its place back."""
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.01)

    async def main() -> None:
        async with running(path):
            reader, writer = await asyncio.open_unix_connection(path)
            assert await reader.read() == b""
            writer.close()

    asyncio.run(main())


def test_a_client_that_reads_nothing_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that nobody takes does not stay in memory for ever."""
    monkeypatch.setattr(module, "SEND_SECONDS", 0.05)

    async def main() -> None:
        async with running(path) as (server, _):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(request("list", limit=100_000))
                async with asyncio.timeout(10):
                    while not server.stats.errors["gone"]:
                        await asyncio.sleep(0.01)

    asyncio.run(main())


def test_too_many_clients_are_told_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a client gets an error and those inside keep working."""
    monkeypatch.setattr(module, "CONNECTIONS", 1)

    async def main() -> None:
        async with running(path):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(request("status"))
            await reader.readline()
            refused = await ask(path, b"")
            assert "too many" in refused[0]["error"]["message"]
            writer.write(request("status"))
            assert json.loads(await reader.readline())["ok"]
            writer.close()

    asyncio.run(main())
