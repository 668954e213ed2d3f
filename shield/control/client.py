"""The command line's side of the control socket: blocking, and quick to import.

``shield list`` starts, asks and prints within a blink, so nothing here loads asyncio.
"""

from __future__ import annotations

import grp
import os
import socket
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from shield.control.commands import Answer, Request, check
from shield.control.protocol import ANSWER_BYTES, Line, encode_request, parse_line
from shield.control.settings import DEFAULT_SOCKET
from shield.errors import RemoteError, SystemFailure

__all__ = ["Client"]

TIMEOUT = 10.0
"""Seconds to wait for the next bytes of an answer; the daemon answers in milliseconds."""

READ_BYTES = 1 << 18
"""Asked of the kernel at once: a chunk of a list in one call."""


class _TimeIsUp(Exception):  # noqa: N818 - no error
    """The time for which a stream was wanted has passed."""


class Client:
    """One connection to the daemon, opened by the first call and used for all that follow.

    Every method raises SystemFailure when the daemon cannot be reached, InputError for arguments
    that make no sense, and whatever ShieldError the command itself ended with.
    """

    def __init__(
        self, path: str = DEFAULT_SOCKET, *, timeout: float = TIMEOUT, wait: float | None = None
    ) -> None:
        self.path = path
        self._timeout = timeout
        self._end = None if wait is None else time.monotonic() + wait
        """When a stream of events ends; None: when the daemon ends it."""
        self._socket: socket.socket | None = None
        self._buffer = bytearray()

    def call(self, command: str, /, **arguments: Any) -> Any:
        """Run a command and give its whole answer: a value, or all items of a list.

        Arguments that are None are left out.
        """
        request = check(command, arguments)
        if request.command.answer is Answer.VALUE:
            return self._exchange(request).data
        return list(self._items(request))

    def stream(self, command: str, /, **arguments: Any) -> Iterator[Any]:
        """Run a command with many results and give each as it comes (``list``, ``watch``)."""
        return self._items(check(command, arguments))

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._buffer.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _exchange(self, request: Request) -> Line:
        """Send a request and read the first line of its answer."""
        line = encode_request(request)
        reused = self._socket is not None
        try:
            self._send(line)
        except (BrokenPipeError, ConnectionResetError) as error:
            self.close()
            if not reused:
                raise self._lost(error) from None
            # The daemon closed the idle connection or restarted; it has not seen this request.
            try:
                self._send(line)
            except OSError as again:
                raise self._lost(again) from None
        except OSError as error:
            raise self._lost(error) from None
        if request.command.answer is Answer.EVENTS and self._socket is not None:
            self._await_event()
        return self._read()

    def _items(self, request: Request) -> Iterator[Any]:
        endless = request.command.answer is Answer.EVENTS
        try:
            line = self._exchange(request)
            while True:
                yield from line.data
                if not line.more:
                    break
                if endless:
                    self._await_event()
                line = self._read()
        except _TimeIsUp:
            self.close()
            return
        except BaseException:
            self.close()  # the rest of the answer is still in the pipe
            raise
        if endless:
            self.close()

    def _await_event(self) -> None:
        """Nobody knows when something happens: wait for ever, or until the end that was set."""
        assert self._socket is not None
        left = None if self._end is None else max(0.001, self._end - time.monotonic())
        self._socket.settimeout(left)

    def _send(self, line: bytes) -> None:
        if self._socket is None:
            self._socket = self._connect()
        self._socket.sendall(line)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self._timeout)
        try:
            connection.connect(self.path)
        except OSError as error:
            connection.close()
            raise self._unreachable(error) from None
        return connection

    def _read(self) -> Line:
        """Read one line of the answer."""
        connection, start = self._socket, 0
        assert connection is not None
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            if start > ANSWER_BYTES:
                self.close()
                raise SystemFailure(f"an answer from {self.path} is longer than {ANSWER_BYTES} bytes")
            try:
                data = connection.recv(READ_BYTES)
            except OSError as error:
                if isinstance(error, TimeoutError) and self._end is not None:
                    raise _TimeIsUp from None
                raise self._lost(error) from None
            if not data:
                self.close()
                raise SystemFailure("shield closed the connection before it had answered")
            self._buffer += data
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        try:
            return parse_line(line)
        except RemoteError as error:
            self.close()
            raise SystemFailure(f"{self.path} does not answer as shield does ({error})") from None

    def _lost(self, error: OSError) -> SystemFailure:
        """Say how an open connection broke."""
        self.close()
        if isinstance(error, TimeoutError):
            return SystemFailure(f"shield did not answer within {self._timeout:g} s ({self.path})")
        return SystemFailure(f"lost the connection to shield: {error.strerror or error}")

    def _unreachable(self, error: OSError) -> SystemFailure:
        """Say why there is no connection, and what to do about it."""
        if isinstance(error, FileNotFoundError):
            return SystemFailure(f"shield is not running (no {self.path}); start it with `shield run`")
        if isinstance(error, ConnectionRefusedError):
            return SystemFailure(
                f"shield is not running ({self.path} is left over); start it with `shield run`"
            )
        if isinstance(error, PermissionError):
            return SystemFailure(f"no permission to use {self.path}: {self._who_may()}")
        if isinstance(error, TimeoutError | BlockingIOError):
            return SystemFailure(f"shield is too busy to take a connection ({self.path})")
        return SystemFailure(f"cannot connect to {self.path}: {error.strerror or error}")

    def _who_may(self) -> str:
        try:
            group = grp.getgrgid(os.stat(self.path).st_gid).gr_name  # noqa: PTH116 - pathlib costs 5 ms
        except (OSError, KeyError):
            return "try with sudo"
        return f"try with sudo, or be in the group {group}"
