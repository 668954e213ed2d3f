"""A line between two nodes that can be cut: then it hands no bytes on and refuses new connections."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from shield.background import run_loop
from tests.bench.worker import choose_loop, dialogue


class Line:
    """Forwards what comes to ``port`` of the loopback interface to another one."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def listen(self) -> int:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self.port

    async def cut(self) -> None:
        self._open.clear()
        assert self._server is not None
        self._server.close()

    async def heal(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self._open.set()
        await self.listen()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, beyond = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, beyond]
        await asyncio.gather(self._pump(reader, beyond), self._pump(there, writer))

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self._open.wait()
                target.write(data)
                await target.drain()
        except OSError:
            pass
        target.transport.abort()


class Lines:
    """One for each node that is reached over it."""

    def __init__(self) -> None:
        self._lines: list[Line] = []

    async def add(self, target: int) -> int:
        """Gives the port."""
        self._lines.append(Line(target))
        return await self._lines[-1].listen()

    async def cut(self) -> None:
        for line in self._lines:
            await line.cut()

    async def heal(self) -> None:
        for line in self._lines:
            await line.heal()

    def commands(self) -> dict[str, Callable[..., Any]]:
        return {"add": self.add, "cut": self.cut, "heal": self.heal}


def main() -> None:
    choose_loop(json.loads(sys.argv[1])["loop"])
    run_loop(dialogue(Lines().commands()))


if __name__ == "__main__":
    main()
