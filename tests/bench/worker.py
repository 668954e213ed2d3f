"""Processes of a benchmark and how they are told what to do: a line of JSON in, a line of JSON out."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 120.0


class Worker:
    """One process, seen from the one that measures."""

    def __init__(
        self, module: str, config: Mapping[str, Any], *, log: Path, prefix: Sequence[str] = ()
    ) -> None:
        self.name = str(config["name"])
        self._log = log
        with log.open("a") as errors:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", module, json.dumps(config)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT,
            )  # fmt: skip

    def tell(self, command: str, **arguments: Any) -> None:
        """Begin something; ``answer`` waits for its end."""
        assert self.process.stdin is not None
        print(json.dumps([command, arguments]), file=self.process.stdin, flush=True)

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} has ended:\n{self._log.read_text()[-3000:]}")
        return json.loads(line)

    def ask(self, command: str, **arguments: Any) -> Any:
        self.tell(command, **arguments)
        return self.answer()

    def close(self) -> None:
        """End it; a process that does not want to is killed."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Workers(list[Worker]):
    """Several; all are ended with the block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self:
            if worker.process.stdin is not None and worker.process.poll() is None:
                worker.process.stdin.close()
        for worker in self:
            worker.close()

    def ask(self, command: str, **arguments: Any) -> list[Any]:
        """Have all do the same at once."""
        for worker in self:
            worker.tell(command, **arguments)
        return [worker.answer() for worker in self]


def until(done: Callable[[], bool], what: str, *, pause: float = 0.05, limit: float = PATIENCE) -> float:
    """Wait until something is so; gives the time of the machine's monotonic clock."""
    deadline = time.monotonic() + limit
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {limit:g} s: {what}")
        time.sleep(pause)
    return time.monotonic()


# --- inside the process ---------------------------------------------------------------------


def choose_loop(name: str) -> None:
    """Make ``run_loop`` take asyncio's own event loop, although uvloop is installed."""
    if name == "asyncio":
        sys.modules["uvloop"] = None  # type: ignore[assignment]


async def dialogue(commands: Mapping[str, Callable[..., Any]]) -> None:
    """Do what is asked until the other process closes."""
    reader = asyncio.StreamReader(limit=1 << 26)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command, arguments = json.loads(line)
        result = commands[command](**arguments)
        if inspect.isawaitable(result):
            result = await result
        print(json.dumps(result), flush=True)


def usage() -> dict[str, float]:
    """Seconds of a core, and MB of memory: now, at most until now, and the share of this process (what
    several processes have in common is divided by their number)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith("Vm")}
    shares = Path("/proc/self/smaps_rollup").read_text().splitlines()
    share = next(int(line.split()[1]) / 1024 for line in shares if line.startswith("Pss:"))
    memory = {"memory": sizes["VmRSS:"], "peak": sizes["VmHWM:"], "share": share}
    return {"cpu": time.process_time(), **memory}


def cores() -> int:
    return len(os.sched_getaffinity(0))
