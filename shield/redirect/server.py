"""Sockets of the redirect responder: UDP and TCP on each address that is configured."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from typing import Any, cast

from shield.capture.framing import SipFramer
from shield.cluster.settings import parse_address
from shield.errors import InputError, SystemFailure
from shield.net import Transport, pack
from shield.redirect.responder import Responder
from shield.redirect.settings import DEFAULT_PORT

__all__ = ["RedirectServer"]

MAX_CONNECTIONS = 256
"""TCP connections at once: proxies keep one each."""
IDLE_SECONDS = 300.0
"""A connection on which nothing comes is closed; a proxy opens another one when it asks again."""
READ_OCTETS = 65_536

_log = logging.getLogger("shield")


class RedirectServer:
    """Listens while the node runs."""

    def __init__(self, responder: Responder) -> None:
        self.responder = responder
        self.errors: Counter[str] = Counter()
        """What came over TCP and was no message, by reason."""
        self.refused = 0
        """Connections beyond MAX_CONNECTIONS."""
        self.ports: list[int] = []
        """UDP and TCP port of each address, as the system gave them."""
        self._open: list[Any] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open all sockets; raises SystemFailure naming the address that cannot be had."""
        loop = asyncio.get_running_loop()
        for text in self.responder.settings.listen:
            host, port = parse_address(text, DEFAULT_PORT, lowest=0)
            try:
                transport, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self.responder), local_addr=(host, port)
                )
                self._open.append(transport)
                port = transport.get_extra_info("sockname")[1]
                server = await asyncio.start_server(self._serve, host, port)
            except OSError as error:
                await self.close()
                raise SystemFailure(f"redirect.listen {text}: {error.strerror or error}") from None
            self._open.append(server)
            self.ports.append(port)
            _log.info("redirect: answers on %s port %d, UDP and TCP", host, port)

    async def close(self) -> None:
        """Close everything."""
        for one in self._open:
            one.close()
        self._open.clear()
        for task in list(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= MAX_CONNECTIONS:
            self.refused += 1
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._talk(reader, writer)
        except (OSError, TimeoutError):
            pass  # the other side is gone, or says nothing
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = writer.get_extra_info("peername")[:2]
        source, framer = pack(host), SipFramer(self.errors)
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                data = await reader.read(READ_OCTETS)
            if not data:
                return
            for payload in framer.feed(data):
                answer = self.responder.receive(payload, source, port, Transport.TCP, time.monotonic())
                if answer is not None:
                    writer.write(answer.payload)
            async with asyncio.timeout(IDLE_SECONDS):
                await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    """One UDP socket."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._transport: asyncio.DatagramTransport | None = None

    # What asyncio calls; the names are its own.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        host, port = addr[:2]
        try:
            source = pack(host.partition("%")[0])
        except InputError:
            return
        answer = self._responder.receive(data, source, port, Transport.UDP, time.monotonic())
        if answer is not None and self._transport is not None:
            # The address that the datagram came from, with the port that its Via asks for.
            self._transport.sendto(answer.payload, (host, answer.port, *addr[2:]))

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there any more: the asker will ask again or not."""
