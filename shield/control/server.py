"""The daemon's side of the control socket: asyncio UNIX server over ``protocol``.

A connection's requests run one after another, so a client can have one request pending and the
rest waits in the kernel. Long lists are written in chunks with a turn of the event loop after
each, so 100,000 decisions never hold up detection for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import grp
import logging
import os
import pwd
import socket
import stat
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from shield.control.commands import Actor, Answer, Dispatcher, Request
from shield.control.protocol import (
    REQUEST_BYTES,
    encode_error,
    encode_list,
    encode_value,
    parse_request,
)
from shield.control.settings import ControlSettings
from shield.errors import RemoteError, ShieldError, SystemFailure

__all__ = ["ControlServer", "ControlStats"]

CONNECTIONS = 64
"""Clients at one time: far more terminals than one machine has, far fewer than it has files."""

CHUNK_ITEMS = 100
"""Items in one line of a list: about 1 ms of JSON, the longest turn a list takes."""

IDLE_SECONDS = 60.0
"""A client that sends no request for so long is closed; its place may be needed."""

SEND_SECONDS = 30.0
"""A client that reads nothing for so long is closed; its answer holds memory."""

_log = logging.getLogger(__name__)


class ControlStats:
    """Counters of the control socket."""

    def __init__(self) -> None:
        self.connections = 0
        self.commands: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        """By reason: protocol errors by their code, others by their class."""


class _Gone(Exception):  # noqa: N818 - no error of anybody's
    """The client has left, or reads no more."""


class ControlServer:
    """Listens on the socket of ``settings`` and hands every request to ``dispatcher``."""

    def __init__(self, settings: ControlSettings, dispatcher: Dispatcher) -> None:
        self.settings = settings
        self.stats = ControlStats()
        self._dispatcher = dispatcher
        self._path = Path(settings.socket)
        self._lock: int | None = None
        self._inode = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Make the socket and listen; raises SystemFailure when another daemon has it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            listener = self._bind()
        except OSError as error:
            self._drop_lock()
            raise SystemFailure(f"cannot listen on {self._path}: {error.strerror or error}") from None
        except SystemFailure:
            self._drop_lock()
            raise
        self._server = await asyncio.start_unix_server(
            self._connected, sock=listener, limit=REQUEST_BYTES
        )

    async def close(self) -> None:
        """Stop listening, end every connection and remove the socket; may be called twice."""
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        self._drop_lock()

    def _take_lock(self) -> None:
        """One daemon for one socket. The kernel gives the lock back even after kill -9."""
        lock = self._path.with_name(self._path.name + ".lock")
        self._lock = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemFailure(f"another shield is already running (it holds {lock})") from None

    def _drop_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _bind(self) -> socket.socket:
        """Bind beside the path and rename, so the socket never exists with the wrong permissions."""
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(self._path.lstat().st_mode):
                raise SystemFailure(f"{self._path} is in the way and is not a socket")
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(fresh))
            fresh.chmod(self.settings.mode_bits)
            if self.settings.group:
                os.chown(fresh, -1, _group(self.settings.group))
            listener.listen(CONNECTIONS)
            self._inode = fresh.stat().st_ino
            fresh.replace(self._path)
        except BaseException:
            listener.close()
            raise
        return listener

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.stats.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends; whatever goes wrong stays inside it."""
        try:
            if len(self._tasks) > CONNECTIONS:
                self.stats.errors["busy"] += 1
                writer.write(encode_error(SystemFailure("too many control connections")))
                return
            actor = _peer(writer.get_extra_info("socket"))
            while await self._answer_next(reader, writer, actor):
                pass
        except _Gone:
            self.stats.errors["gone"] += 1
        except Exception:  # noqa: BLE001 - one connection's fault must not end the daemon
            self.stats.errors["internal"] += 1
            _log.exception("control connection failed")
        finally:
            writer.close()

    async def _answer_next(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, actor: Actor
    ) -> bool:
        """Read and answer one request; False when the connection is over."""
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                line = await reader.readline()
        except TimeoutError:
            return False
        except ValueError:  # asyncio's word for: longer than the limit
            self.stats.errors["too-long"] += 1
            writer.write(encode_error(RemoteError("too-long", f"requests end at {REQUEST_BYTES} bytes")))
            return False
        if not line.endswith(b"\n"):
            return False
        try:
            request = parse_request(line)
            await self._run(request, reader, writer, actor)
        except _Gone:
            raise
        except Exception as error:  # noqa: BLE001 - the client learns of it, the log has the rest
            self._count_error(error)
            writer.write(encode_error(error))
        else:
            if request.command.answer is Answer.EVENTS:
                return False
        await _drain(writer)
        return True

    def _count_error(self, error: Exception) -> None:
        if isinstance(error, ShieldError):
            self.stats.errors[getattr(error, "reason", type(error).__name__)] += 1
        else:
            self.stats.errors["internal"] += 1
            _log.error("control command failed", exc_info=error)

    async def _run(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, actor: Actor
    ) -> None:
        command = request.command
        self.stats.commands[command.name] += 1
        if command.changes:
            _log.info("%s by %s", command.name, actor)
        result = await self._dispatcher.handle(command.name, request.arguments, actor)
        if command.answer is Answer.VALUE:
            writer.write(encode_value(result))
        elif command.answer is Answer.LIST:
            await _send_list(result, writer)
        else:
            await _send_events(result, reader, writer)


async def _send_list(items: Any, writer: asyncio.StreamWriter) -> None:
    """Write items in chunks, giving the loop a turn after each."""
    chunk: list[Any] = []
    async for item in _each(items):
        chunk.append(item)
        if len(chunk) >= CHUNK_ITEMS:
            writer.write(encode_list(chunk, more=True))
            chunk = []
            await _drain(writer)
            await asyncio.sleep(0)
    writer.write(encode_list(chunk, more=False))


async def _send_events(items: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Write each item at once, until there are no more or the client leaves (or says anything)."""

    async def pump() -> None:
        async for item in _each(items):
            writer.write(encode_list([item], more=True))
            await _drain(writer)
        writer.write(encode_list([], more=False))

    sending = asyncio.ensure_future(pump())
    leaving = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving):
            if not task.done():
                task.cancel()
        await asyncio.wait({sending, leaving})
        if hasattr(items, "aclose"):
            await items.aclose()
    for task in (sending, leaving):
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def _each(items: Any) -> AsyncIterator[Any]:
    """Iterate over what a dispatcher gave, async or plain."""
    if hasattr(items, "__aiter__"):
        async for item in items:
            yield item
        return
    plain: Iterable[Any] = items
    for item in plain:
        yield item


async def _drain(writer: asyncio.StreamWriter) -> None:
    try:
        # Not wait_for: before Python 3.12 it can swallow a cancellation.
        async with asyncio.timeout(SEND_SECONDS):
            await writer.drain()
    except (ConnectionError, TimeoutError):
        raise _Gone from None


def _peer(connection: Any) -> Actor:
    """Ask the kernel who is at the other end."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", raw)
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Actor(name, uid, pid)


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise SystemFailure(f"control: group {name!r} does not exist") from None
