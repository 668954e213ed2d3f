"""What the same bytes cost without shield: asyncio, mutual TLS, nothing else. A process of a benchmark.

The sender writes each frame to all receivers; a receiver notes when a frame is complete.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shield.background import run_loop
from shield.cluster.contexts import Contexts
from shield.cluster.identity_files import Directory
from tests.bench.worker import choose_loop, dialogue, usage


class Receiver(asyncio.Protocol):
    """Counts octets into frames of one size."""

    size = 1
    got = 0
    begun: tuple[float, float] = (0.0, 0.0)
    ended: tuple[float, float] = (0.0, 0.0)
    times: list[float] = []  # noqa: RUF012 - one for the process, whichever connection

    def data_received(self, data: bytes) -> None:
        """Bytes of the sender."""
        kind = type(self)
        now = time.monotonic(), time.process_time()
        if not kind.got:
            kind.begun = now
        before, kind.got = kind.got // kind.size, kind.got + len(data)
        kind.times += [now[0]] * (kind.got // kind.size - before)
        kind.ended = now


class Sender(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()

    def pause_writing(self) -> None:
        self.free.clear()

    def resume_writing(self) -> None:
        self.free.set()


class Bare:
    """Sender or receiver, as it is asked to be."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._contexts = Contexts(Directory(config["directory"]))
        self._host = config["host"]
        self._lines: list[tuple[Any, Sender]] = []

    async def listen(self) -> int:
        loop, context = asyncio.get_running_loop(), self._contexts.server_context(guests=False)
        server = await loop.create_server(Receiver, self._host, 0, ssl=context)
        return int(server.sockets[0].getsockname()[1])

    async def connect(self, places: list[tuple[str, int]]) -> None:
        loop, context = asyncio.get_running_loop(), self._contexts.client_context()
        for host, port in places:
            line = await loop.create_connection(Sender, host, port, ssl=context, server_hostname="")
            self._lines.append(line)

    async def send(self, frame: str, count: int, gap: float) -> list[float]:
        """One frame after the other to all; gives when each was sent."""
        data, sent = base64.b64decode(frame), []
        for _ in range(count):
            await asyncio.sleep(gap * random.uniform(0.5, 1.5))
            sent.append(time.monotonic())
            for transport, _ in self._lines:
                transport.write(data)
        return sent

    async def stream(self, size: int, count: int) -> None:
        """As fast as they take it."""
        data = random.randbytes(size)
        for _ in range(count):
            for transport, line in self._lines:
                await line.free.wait()
                transport.write(data)

    def expect(self, size: int) -> None:
        Receiver.size, Receiver.got, Receiver.times = size, 0, []

    def received(self) -> dict[str, Any]:
        wall, cpu = (end - begin for begin, end in zip(Receiver.begun, Receiver.ended, strict=True))
        return {"times": Receiver.times, "wall": wall, "cpu": cpu}

    def commands(self) -> dict[str, Callable[..., Any]]:
        names = ("listen", "connect", "send", "stream", "expect", "received")
        return {"usage": usage, **{name: getattr(self, name) for name in names}}


def main() -> None:
    config = json.loads(sys.argv[1])
    choose_loop(config["loop"])
    assert Path(config["directory"]).is_dir()
    run_loop(dialogue(Bare(config).commands()))


if __name__ == "__main__":
    main()
