"""The command line's side of the control socket, against a real server in a thread."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shield.control.client import Client
from shield.control.commands import Actor
from shield.control.server import ControlServer
from shield.control.settings import ControlSettings
from shield.errors import ConfigError, InputError, ShieldError, SystemFailure


class Node:
    async def handle(self, command: str, arguments: dict[str, Any], actor: Actor) -> Any:
        match command:
            case "list":
                return range(arguments.get("limit", 250))
            case "watch":
                return iter(["one", "two"])
            case "reload":
                raise ConfigError("a.toml: x", "b.toml: y")
            case "rules":
                await asyncio.Event().wait()
        return {"command": command, "arguments": arguments}


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    """A running server's socket."""
    where = str(tmp_path / "shield.sock")
    loop = asyncio.new_event_loop()
    server = ControlServer(ControlSettings(socket=where), Node())
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield where
    asyncio.run_coroutine_threadsafe(server.close(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def serve_once(where: str, answer: bytes) -> threading.Thread:
    """Listen, answer one connection with ``answer`` and close it."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(where)
    listener.listen()

    def run() -> None:
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(answer)
        connection.close()
        listener.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_calls_share_one_connection(path: str) -> None:
    """Values, lists and errors follow each other on one connection."""
    with Client(path) as client:
        assert client.call("show", value="192.0.2.1") == {
            "command": "show",
            "arguments": {"value": "192.0.2.1"},
        }
        assert client.call("list", filter=None) == list(range(250))
        with pytest.raises(ConfigError) as caught:
            client.call("reload")
        assert caught.value.problems == ("a.toml: x", "b.toml: y")
        assert client.call("status")["command"] == "status"


def test_a_stream_gives_items_as_they_come(path: str) -> None:
    """Events and lists are iterators; one that is left early does not spoil the next call."""
    with Client(path) as client:
        assert list(client.stream("watch")) == ["one", "two"]
        items = client.stream("list", limit=100_000)
        assert [next(items), next(items)] == [0, 1]
        items.close()  # type: ignore[attr-defined]
        assert client.call("list", limit=2) == [0, 1]


def test_nonsense_is_refused_before_connecting(tmp_path: Path) -> None:
    """Wrong arguments are an InputError even when no daemon runs."""
    with pytest.raises(InputError, match="unknown command"):
        Client(str(tmp_path / "none")).call("explode")


def test_no_daemon_says_how_to_start_one(tmp_path: Path) -> None:
    """A missing socket is explained, with the command that helps."""
    where = str(tmp_path / "shield.sock")
    with pytest.raises(SystemFailure) as caught:
        Client(where).call("status")
    assert str(caught.value) == f"shield is not running (no {where}); start it with `shield run`"


def test_a_socket_left_over_is_no_running_daemon(tmp_path: Path) -> None:
    """After kill -9 the socket is there and nobody listens."""
    where = str(tmp_path / "shield.sock")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(where)
    with pytest.raises(SystemFailure, match=r"not running .* left over"):
        Client(where).call("status")


def test_no_permission_says_who_may(path: str) -> None:
    """Another user learns that root or the socket's group may ask."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    Path(path).chmod(0o600)
    parent = Path(path).parent
    while parent != parent.parent:
        parent.chmod(parent.stat().st_mode | 0o011)
        parent = parent.parent
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setuid(65534)
            Client(path).call("status")
        except SystemFailure as error:
            status = 0 if "no permission" in str(error) and "group root" in str(error) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_daemon_that_hangs_is_reported(path: str) -> None:
    """No answer within the timeout is an error that says so."""
    with pytest.raises(SystemFailure, match=r"did not answer within 0\.05 s"):
        Client(path, timeout=0.05).call("rules")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed the connection before"),
        (b'{"ok":true,"da', "closed the connection before"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not answer as shield does"),
        (b'{"ok":false,"error":{"code":"new-code","message":"later"}}\n', "later"),
    ],
)
def test_odd_answers_are_errors(tmp_path: Path, answer: bytes, words: str) -> None:
    """Whatever listens there, the client ends with a ShieldError."""
    where = str(tmp_path / "odd.sock")
    thread = serve_once(where, answer)
    with Client(where) as client, pytest.raises(ShieldError, match=words):
        client.call("status")
    thread.join()


def test_a_restarted_daemon_is_found_again(tmp_path: Path) -> None:
    """A kept connection that the daemon closed is opened anew for the next call."""
    where = str(tmp_path / "again.sock")
    client = Client(where)
    for answer in (1, 2):
        thread = serve_once(where, b'{"ok":true,"data":%d}\n' % answer)
        assert client.call("status") == answer
        thread.join()
        Path(where).unlink()
    with pytest.raises(SystemFailure, match="not running"):
        client.call("status")


def test_the_client_loads_quickly() -> None:
    """Importing the client loads neither asyncio nor scapy nor typer."""
    code = (
        "import sys, shield.control.client;"
        "print([m for m in ('asyncio','scapy','typer','rich','msgpack') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
