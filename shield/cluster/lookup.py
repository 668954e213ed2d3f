"""Lookup: addresses of host names, without waiting for a DNS server that is silent.

The event loop's own threads are few: with one name that nobody answers for, tried again and again, they
would soon all wait, and with them every other connection and the end of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any

__all__ = ["Lookup", "Place"]

MAX_LOOKUPS = 16
"""Names that are looked up at once; members may tell any."""

Place = tuple[int, int, int, str, Any]
"""Family, kind, protocol, name, address; what getaddrinfo(3) gives."""


class Lookup:
    """Looks up names, each once at a time however often it is asked for."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], asyncio.Future[list[Place]]] = {}

    async def places(self, host: str, port: int) -> list[Place]:
        """Give the addresses of a host; raises OSError, or ValueError for what is no host name."""
        with contextlib.suppress(socket.gaierror):
            return _ask(host, port, socket.AI_NUMERICHOST)
        found = self._open.get((host, port))
        if found is None:
            if len(self._open) >= MAX_LOOKUPS:
                raise OSError("too many names are looked up")
            found = self._open[host, port] = asyncio.get_running_loop().create_future()
            found.add_done_callback(lambda _found: self._open.pop((host, port)))
            # Nobody waits for it at the end of the process.
            threading.Thread(target=_look_up, args=(host, port, found), daemon=True).start()
        return await asyncio.shield(found)


def _look_up(host: str, port: int, found: asyncio.Future[list[Place]]) -> None:
    places, failure = [], None
    try:
        places = _ask(host, port, 0)
    except Exception as error:  # noqa: BLE001 - raised again where it is awaited
        failure = error

    def finish() -> None:
        if found.done():
            return
        if failure is None:
            found.set_result(places)
        else:
            found.set_exception(failure)
            found.exception()  # who asked may have given up

    with contextlib.suppress(RuntimeError):  # the loop is closed already
        found.get_loop().call_soon_threadsafe(finish)


def _ask(host: str, port: int, flags: int) -> list[Place]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))
