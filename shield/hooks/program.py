"""Program: starts the operator's program for each event, without a shell, and never for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from functools import cache
from pathlib import Path

from shield.errors import SystemFailure
from shield.hooks.delivery import Delivery
from shield.hooks.settings import Program

__all__ = ["Runner"]

MAX_OUTPUT = 65_536
"""Bytes of output that are read; a program that writes more goes on writing into nothing."""
LOG_LINES, LINE = 20, 300
"""Lines of output that are logged for each event, and characters of each."""
MAX_VALUE = 1_000
"""Characters of one environment variable."""

_log = logging.getLogger("shield.hooks")


class Runner:
    """One program."""

    def __init__(self, settings: Program, parallel: int) -> None:
        self.name = settings.name
        self.events = frozenset(settings.events)
        self.parallel = parallel
        self._settings = settings

    async def send(self, delivery: Delivery) -> str:
        """Run it to its end; gives its exit code as text. Raises SystemFailure when it fails."""
        try:
            process = await asyncio.create_subprocess_exec(
                *_unprivileged(), *self._settings.command,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT, env=_environment(delivery), cwd="/",
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise SystemFailure(f"cannot be started: {error.strerror or error}") from None
        try:
            async with asyncio.timeout(self._settings.timeout):
                output = await _talk(process, delivery.body)
                code = await process.wait()
        except TimeoutError:
            raise SystemFailure(f"killed after {self._settings.timeout:g} s") from None
        finally:
            await _end(process)
        self._log(output)
        if code:
            raise SystemFailure(f"exit code {code}" if code > 0 else f"ended by signal {-code}")
        return "exit code 0"

    async def close(self) -> None:
        """Nothing is kept."""

    def _log(self, output: bytes) -> None:
        lines = output.decode("utf-8", "replace").splitlines()
        for line in lines[:LOG_LINES]:
            _log.info("%s: %s", self.name, "".join(c if c.isprintable() else "?" for c in line)[:LINE])
        if len(lines) > LOG_LINES:
            _log.info("%s: %d further lines", self.name, len(lines) - LOG_LINES)


async def _talk(process: asyncio.subprocess.Process, body: bytes) -> bytes:
    """Give the program its input and read its output."""
    entrance, exit_ = process.stdin, process.stdout
    assert entrance is not None
    assert exit_ is not None
    kept = bytearray()

    async def feed() -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # not everybody reads it
            entrance.write(body)
            await entrance.drain()
        entrance.close()

    async def read() -> None:
        while data := await exit_.read(MAX_OUTPUT):
            kept.extend(data[: MAX_OUTPUT - len(kept)])

    await asyncio.gather(feed(), read())
    return bytes(kept)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill a program that has not ended, with all that it started."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _environment(delivery: Delivery) -> dict[str, str]:
    """PATH and the event; nothing else of the daemon's environment."""
    values = {f"SHIELD_{name}": _text(value) for name, value in delivery.values.items()}
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8", **values}


def _text(value: str) -> str:
    return value.replace("\0", "?").encode("utf-8", "backslashreplace").decode()[:MAX_VALUE]


@cache
def _unprivileged() -> tuple[str, ...]:
    """Words before the command that take the daemon's capabilities away from it (util-linux)."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        status = Path("/proc/self/status").read_text()
        held = int(status.split("CapAmb:")[1].split()[0], 16)
        setpriv = shutil.which("setpriv")
        if held and setpriv:
            return setpriv, "--ambient-caps=-all", "--inh-caps=-all", "--"
    return ()
