"""One connection to a NATS server: a client of the library, from its first octet to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from shield.cluster.nats_login import Login, explain, new_client

if TYPE_CHECKING:
    from nats.aio.msg import Msg

__all__ = ["CLOSE_SECONDS", "NatsConnection", "end_tasks"]

Take = Callable[[bytes], Awaitable[None]]
"""Takes what was published on a subject."""

MAX_PENDING = 50_000
MAX_PENDING_BYTES = 32 * 1024 * 1024
"""Messages and octets of one subscription that may wait for us. The rest is lost, and compared."""

CANCEL_SECONDS = 0.1
"""Between two cancellations of a task."""

CLOSE_SECONDS = 1.0
"""How long a connection may take to end."""


class NatsConnection:
    """To ``server``; it does not connect again."""

    def __init__(self, login: Login, server: str) -> None:
        self.client = new_client(needs_tls=login.needs_tls(server))
        self.lost = asyncio.Event()
        self.problem: BaseException | None = None
        """The first thing that went wrong."""
        self.missed = 0
        self._login = login
        self._server = server
        logging.getLogger("asyncio").addFilter(_worth_logging)

    async def open(self, name: str, subscriptions: Mapping[str, Take]) -> None:
        """Connect, log in and subscribe; raises what the library raises."""
        await self.client.connect(
            servers=[self._server],
            name=f"shield {name}",
            error_cb=self._error,
            closed_cb=self._closed,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            no_echo=True,
            **self._login.options(),
        )
        for subject, take in subscriptions.items():

            async def receive(message: Msg, take: Take = take) -> None:
                await take(message.data)

            await self.client.subscribe(
                subject,
                cb=receive,
                pending_msgs_limit=MAX_PENDING,
                pending_bytes_limit=MAX_PENDING_BYTES,
            )
        await self.client.flush()  # now the server has refused what it does not allow
        if self.problem is not None:
            raise self.problem

    def why(self) -> str:
        """Why it has ended."""
        return explain(self.problem) if self.problem is not None else "connection closed"

    async def end(self) -> None:
        """Close, whatever state it is in."""
        transport = getattr(self.client, "_transport", None)
        writer = getattr(transport, "_io_writer", None)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.client.close()
        if writer is not None:  # a frozen server takes no last octets
            writer.transport.abort()

    async def _error(self, error: Exception) -> None:
        from nats.errors import SlowConsumerError

        if isinstance(error, SlowConsumerError):
            self.missed += 1
        elif self.problem is None:
            self.problem = error

    async def _closed(self) -> None:
        if self.problem is None:
            self.problem = self.client.last_error
        self.lost.set()


def _worth_logging(record: logging.LogRecord) -> bool:
    """At each end of a connection asyncio warns of how the library reads; nobody can do anything."""
    return not record.getMessage().startswith("returning true from eof_received")


async def end_tasks(*tasks: asyncio.Task[Any]) -> list[BaseException | None]:
    """End tasks, and give what they raised.

    The library swallows a cancellation that comes while it hands octets on: say it until it is heard.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_SECONDS)
    return [None if task.cancelled() else task.exception() for task in tasks]
