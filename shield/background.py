"""What the node asks of the machine besides packets and packet filter: threads, DNS, systemd."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
import threading
from asyncio import sslproto
from collections.abc import Callable, Coroutine
from typing import Any

from shield.net import pack

__all__ = ["calm_collector", "in_thread", "look_up", "notify", "run_loop", "spawn", "start_logging"]

GARBAGE = (20_000, 50, 100)
"""Objects made, and collections of the younger generation, until Python looks for garbage."""

TLS_BUFFER = 32 * 1024
"""Octets that asyncio keeps for what it reads of one TLS connection: two records of the largest kind.
Its own 256 kB would be 8 MB of a node with 31 neighbours; uvloop's are not touched until needed."""


def calm_collector() -> None:
    """Let the garbage collector look less often, and never at what is here already.

    A request is remembered for half a minute and then let go, without cycles that would have to be
    found. Looking after each 700 objects, as Python does, costs a twentieth of the time.
    """
    gc.freeze()
    gc.set_threshold(*GARBAGE)


async def in_thread(work: Callable[[], Any]) -> Any:
    """Run something that may wait in a thread that a stopping node does not wait for.

    The loop's own executor is joined at the end, and a DNS server that is silent takes half a minute.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def finish(result: Any, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - raised again where it is awaited
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(finish, result, failure)

    threading.Thread(target=run, daemon=True).start()
    return await done


_spawned: set[asyncio.Task[None]] = set()
"""The loop itself forgets tasks that nobody else holds."""


def spawn(work: Coroutine[Any, Any, None]) -> None:
    """Let something go on beside everything else; it sees to its own errors."""
    task = asyncio.get_running_loop().create_task(work)
    _spawned.add(task)
    task.add_done_callback(_spawned.discard)


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run the node's event loop: uvloop's where it is installed, which costs less CPU."""
    try:
        import uvloop
    except ImportError:
        sslproto.SSLProtocol.max_size = TLS_BUFFER
        asyncio.run(work)
    else:
        uvloop.run(work)


def look_up(name: str) -> list[bytes]:
    """Ask DNS for the packed addresses of a name; waits, and raises OSError when there is no answer."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    return [pack(str(address[0]).partition("%")[0]) for *_, address in found]


def notify(text: str) -> None:
    """Tell systemd (sd_notify(3)), where it listens."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.connect("\0" + path[1:] if path.startswith("@") else path)
        out.sendall(text.encode())


def start_logging(level: str) -> None:
    """Log to standard error; with times, unless systemd's journal has its own."""
    stamp = "" if os.environ.get("JOURNAL_STREAM") else "%(asctime)s "
    form = f"{stamp}%(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=level.upper(), format=form, stream=sys.stderr)
