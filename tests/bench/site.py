"""Where a benchmark runs: a folder with identities, the processes in it, and how they find together."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.bench.worker import Worker, Workers, until
from tests.cluster.nats_server import NatsServer
from tests.cluster.real import prepare
from tests.netlab import Lab

LOOPBACK = "127.0.0.1"
HEARTBEAT = 2.0
"""Of nodes over NATS: the default."""
BARE = "bare"


class Site:
    """A context manager. ``lab``: each process is in a network namespace of its own.

    ``carrier``: what carries the messages of nodes, ``peer`` or ``nats``; for that a server is started.
    """

    def __init__(
        self, loop: str, names: Sequence[str], lab: Lab | None = None, carrier: str = "peer"
    ) -> None:
        self.loop, self.names = loop, names
        self._lab = lab
        self.server: NatsServer | None = None
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self.workers = Workers()
        prepare(self.folder, *names)
        if carrier == "nats":
            self.server = NatsServer(self.folder / "server")
            self.server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.workers.__exit__(kind, error, trace)
        if self.server is not None:
            self.server.kill()
        self._temporary.cleanup()

    def worker(self, module: str, name: str, **config: Any) -> Worker:
        """Start a process; its identity is that of the node ``name``."""
        prefix: tuple[str, ...] = ()
        if self._lab is not None:
            config["host"] = self._address(name)
            prefix = ("ip", "netns", "exec", self._lab.hosts[name].space)
        config = {"name": name, "loop": self.loop, "host": LOOPBACK, "number": 0, **config}
        config.setdefault("directory", str(self.folder / name))
        if self.server is not None:
            config["nats"] = asdict(self.server.settings(heartbeat=HEARTBEAT))
        log = self.folder / f"{name}.log"
        made = Worker(f"tests.bench.{module}_worker", config, log=log, prefix=prefix)
        self.workers.append(made)
        return made

    def node(self, name: str, **config: Any) -> Worker:
        """Start a node."""
        folder = self.folder / f"{name}-files"
        folder.mkdir()
        number = list(self.names).index(name)
        return self.worker("node", name, number=number, folder=str(folder), **config)

    def nodes(self, names: Sequence[str], **config: Any) -> Workers:
        """Start nodes, one of which knows no other, and wait until all are equal."""
        first = self.node(names[0], **config)
        seed = f"{self._address(names[0])}:{first.ask('port')}"
        found = Workers([first, *(self.node(name, seeds=[seed], **config) for name in names[1:])])
        until(lambda: together(found), "all nodes see each other", pause=0.3)
        return found

    def bare(self, sender: str, receivers: Sequence[str]) -> tuple[Worker, Workers]:
        """Connect a bare sender with as many receivers."""
        sending = self.worker("bare", sender)
        found = Workers(self.worker("bare", name) for name in receivers)
        ports = found.ask("listen")
        hosts = [self._address(name) for name in receivers]
        sending.ask("connect", places=list(zip(hosts, ports, strict=True)))
        return sending, found

    def _address(self, name: str) -> str:
        return LOOPBACK if self._lab is None else f"192.0.2.{1 + list(self.names).index(name)}"


def together(nodes: Workers) -> bool:
    """Whether all see all, and hold the same."""
    states = nodes.ask("state")
    alike = len({state["digest"] for state in states}) == 1
    return alike and all(len(state["members"]) == len(nodes) - 1 for state in states)


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """Milliseconds: median and the 99th of a hundred."""
    ordered = sorted(1000 * value for value in values)
    return {
        "p50_ms": round(statistics.median(ordered), 3),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 3),
        "samples": len(ordered),
    }
