"""shield.redirect.server: questions over real sockets, UDP and TCP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from shield.errors import SystemFailure
from shield.redirect import server as module
from shield.redirect.server import RedirectServer
from tests.builders import request
from tests.redirect.test_responder import responder

ASKED = request("INVITE", user="100").replace(b";branch=", b";rport;branch=")


def running(test: Callable[[RedirectServer], Awaitable[None]], **settings: Any) -> None:
    """Run a test with a server on a free port of loopback."""

    async def run() -> None:
        made = RedirectServer(responder(listen=("127.0.0.1:0",), **settings))
        await made.start()
        try:
            async with asyncio.timeout(10):
                await test(made)
        finally:
            await made.close()

    asyncio.run(run())


def test_a_question_over_udp() -> None:
    """The answer comes back to the port that asked."""

    async def ask(made: RedirectServer) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(0)
            await loop.sock_connect(asker, ("127.0.0.1", made.ports[0]))
            await loop.sock_sendall(asker, ASKED)
            assert b"302 Moved" in await loop.sock_recv(asker, 4096)

    running(ask)


def test_questions_over_tcp_however_they_are_cut() -> None:
    """Two in one segment, and one in three."""

    async def ask(made: RedirectServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.ports[0])
        writer.write(ASKED + ASKED)
        for part in (ASKED[:40], ASKED[40:200], ASKED[200:]):
            writer.write(part)
            await writer.drain()
        got = b""
        while got.count(b"302 Moved") < 3:
            got += await reader.read(4096)
        writer.close()
        await writer.wait_closed()

    running(ask)


def test_connections_are_bounded_and_idle_ones_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opens many and says nothing keeps nobody out for long."""
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.2)

    async def ask(made: RedirectServer) -> None:
        pairs = [await asyncio.open_connection("127.0.0.1", made.ports[0]) for _ in range(3)]
        for reader, _ in pairs:
            assert await reader.read() == b""
        assert made.refused == 1
        for _, writer in pairs:
            writer.close()

    running(ask)


def test_an_address_that_cannot_be_had_is_named() -> None:
    """What was opened before is closed again."""

    async def start() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            made = RedirectServer(responder(listen=("127.0.0.1:0", f"127.0.0.1:{port}")))
            with pytest.raises(SystemFailure, match=rf"redirect\.listen 127\.0\.0\.1:{port}"):
                await made.start()

    asyncio.run(start())
