"""A daemon that says what a test wants, and a way to run ``shield`` against it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shield.cli.app import app
from shield.control.commands import Actor
from shield.control.server import ControlServer
from shield.control.settings import ControlSettings


class FakeDaemon:
    """Answers from ``answers`` (an exception is raised) and remembers ``calls``."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self.answers: dict[str, Any] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def handle(self, command: str, arguments: dict[str, Any], actor: Actor) -> Any:
        self.calls.append((command, arguments))
        answer = self.answers.get(command, {})
        if isinstance(answer, Exception):
            raise answer
        return answer(arguments) if callable(answer) else answer


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    """A control server in a thread; commands find it by SHIELD_SOCKET."""
    fake = FakeDaemon(str(tmp_path / "shield.sock"))
    monkeypatch.setenv("SHIELD_SOCKET", fake.socket)
    loop = asyncio.new_event_loop()
    server = ControlServer(ControlSettings(socket=fake.socket), fake)
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield fake
    asyncio.run_coroutine_threadsafe(server.close(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(autouse=True)
def no_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's own shield is read: no configuration, no socket, no journal."""
    for name in ("SHIELD_OUTPUT", "SHIELD_CONFIG", "COLUMNS", "SHIELD_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SHIELD_SOCKET", str(tmp_path / "nobody.sock"))
    empty = tmp_path / "none.toml"
    monkeypatch.setattr("shield.cli.options.DEFAULT_CONFIG", empty)
    monkeypatch.setattr("shield.config.DEFAULT_PATH", str(empty))
    monkeypatch.setattr("shield.cli.offline.journal_path", lambda: tmp_path / "journal.db")


@pytest.fixture
def shield() -> Callable[..., Any]:
    """Run ``shield`` with arguments; gives ``exit_code``, ``stdout``, ``stderr``."""

    def run(*arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> Any:
        return CliRunner().invoke(app, list(arguments), input=stdin, env=env)

    return run


@pytest.fixture
def decision() -> dict[str, Any]:
    """One ban as the daemon shows it."""
    return {
        "id": "node-a-1",
        "value": "203.0.113.5",
        "scope": "ip",
        "type": "ban",
        "scenario": "register-brute-force",
        "origin": "node-a",
        "proof": "proven",
        "time": 1700000000.0,
        "duration": 3600.0,
        "remaining": 600.0,
        "repeats": 1,
        "reason": "12 wrong passwords",
        "ports": "",
    }
