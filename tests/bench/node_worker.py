"""A real node as a process of a benchmark: all of ``shield run`` but packets and signals.

What is noted: when a decision of another node is in the blocklist, and when in the kernel's set.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from shield.background import calm_collector, run_loop
from shield.blocklist.decision import Change
from shield.blocklist.journal import JournalSettings
from shield.blocklist.sharing_settings import SharingSettings
from shield.capture.settings import CaptureSettings
from shield.cluster.messages import Data, encode_message
from shield.cluster.nats_settings import NatsSettings
from shield.cluster.settings import ClusterSettings
from shield.config import Mode, NodeSettings, Settings
from shield.control.settings import ControlSettings
from shield.firewall.settings import FirewallSettings
from shield.net import Network
from shield.node import Node
from shield.pipeline import Verdict
from tests.bench.findings import address, alert, decision
from tests.bench.worker import choose_loop, dialogue, usage

PORTION = 500
"""Changes handed over at once, as many as fit one message."""

WAITING = 1 << 20
"""Octets on their way above which the sender of many changes waits."""


def nats_of(config: dict[str, Any]) -> dict[str, Any]:
    """Settings of the cluster for a site whose messages go over a NATS server."""
    if "nats" not in config:
        return {}
    nats = {**config["nats"], "servers": tuple(config["nats"]["servers"])}
    return {"carrier": "nats", "nats": NatsSettings(**nats)}


def settings_of(config: dict[str, Any]) -> Settings:
    folder = config["folder"]
    return Settings(
        node=NodeSettings(
            config["name"], Mode.ENFORCE if config.get("table") else Mode.OBSERVE, "warning"
        ),
        capture=CaptureSettings(interfaces=()),
        journal=JournalSettings(path=f"{folder}/journal.db"),
        control=ControlSettings(socket=f"{folder}/control.sock"),
        cluster=ClusterSettings(
            directory=config["directory"],
            listen=f"{config['host']}:{config.get('port', 0)}",
            advertise=config.get("advertise", ""),
            seeds=tuple(config.get("seeds", ())),
            **nats_of(config),
        ),
        sharing=SharingSettings(**config.get("sharing", {})),
        firewall=FirewallSettings(table=config.get("table", "shield")),
    )


class Bench:
    """What can be asked of the node."""

    def __init__(self, node: Node, place: int) -> None:
        self.node, self.hub, self._place = node, node.hub, place
        self.banned: dict[bytes, float] = {}
        self.kernel: dict[bytes, float] = {}
        self.first = self.last = 0.0, 0.0
        self.noting = True
        """Off where the notes would be a part of what is measured."""
        self._frame = b""
        self._number = 0
        self._take_shared, self.hub.take_shared = self.hub.take_shared, self._shared  # type: ignore[method-assign]
        if self.hub.feed is not None:
            self._backend = self.hub.feed.backend
            self._commit, self._backend.commit = self._backend.commit, self._committed  # type: ignore[method-assign]

    @property
    def cluster(self) -> Any:
        return self.node.clustering.joined()

    # --- noting -----------------------------------------------------------------------------

    def _shared(self, changes: Sequence[Change], now: float) -> None:
        """The blocklist has changed; everything that follows it has not yet."""
        at = time.monotonic()
        if not self.banned:
            self.first = at, time.process_time()
        if self.noting:
            self.banned |= {change.decision.network.address: at for change in changes}
        self._take_shared(changes, now)
        self.last = time.monotonic(), time.process_time()

    def _committed(self, add: Sequence[Any], delete: Sequence[Network]) -> None:
        self._commit(add, delete)
        at = time.monotonic()
        for element in add:
            self.kernel[element.key.address] = at

    # --- commands ---------------------------------------------------------------------------

    async def port(self) -> int:
        """Where it listens, as soon as it does."""
        while self.node.clustering.cluster is None:
            await asyncio.sleep(0.05)
        return int(self.cluster.carrier.port)

    def state(self) -> dict[str, Any]:
        """Whom it sees, and what it holds."""
        if self.node.clustering.cluster is None:
            return {"members": [], "digest": 0, "records": 0, "banned": 0}
        records = self.node.clustering.sharing.records
        return {
            "members": self.cluster.members(),
            "digest": records.digest(time.monotonic()),
            "records": len(records),
            "banned": len(self.hub.pipeline.blocklist),
        }

    async def decide(self, count: int, gap: float) -> dict[str, float]:
        """Confirm decisions one after the other, as the pipeline does; gives when each was made."""
        times, post = {}, self.cluster.core.post
        broadcast = post.broadcast

        def noting(message: Data, now: float, **more: Any) -> Any:
            self._frame = encode_message(message)
            return broadcast(message, now, **more)

        post.broadcast = noting
        for _ in range(count):
            await asyncio.sleep(gap * (0.5 + self._number * 0.618 % 1))
            made = self._next()(now := time.monotonic())
            source = made.network.address
            found = alert(source, self._number, time.time())
            times[source.hex()] = now = time.monotonic()
            changes = tuple(self.hub.pipeline.blocklist.add(made, now))
            self.hub.take([Verdict(found, made, changes, "banned", 5)], now, time.time())
        post.broadcast = broadcast
        return times

    async def spread(self, count: int) -> None:
        """Hand over many decisions as an import does."""
        for begin in range(0, count, PORTION):
            now, changes = time.monotonic(), list[Change]()
            for _ in range(min(PORTION, count - begin)):
                changes += self.hub.pipeline.blocklist.add(self._next()(now), now)
            self.hub.take_changes(changes, now)
            while any(row["waiting"] > WAITING for row in self._connections()):
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)

    def take_back(self, count: int) -> None:
        """Unban the first ones."""
        for number in range(1, count + 1):
            now, network = time.monotonic(), Network.host(address(self._place, number))
            self.hub.take_changes(self.hub.unban(network, now, "unban"), now)

    def links(self) -> int:
        """How many connections work."""
        return 0 if self.node.clustering.cluster is None else len(self.cluster.core.links.up)

    def sent(self) -> int:
        """Octets of all connections that work."""
        return sum(row["bytes_out"] for row in self._connections())

    def _connections(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.cluster.carrier.connections(time.monotonic())
        return found

    def times(self) -> dict[str, dict[str, float]]:
        """When each decision was in the blocklist, and in the kernel; and forget."""
        found = {
            name: {key.hex(): at for key, at in noted.items()}
            for name, noted in (("blocklist", self.banned), ("kernel", self.kernel))
        }
        self.banned, self.kernel = {}, {}
        return found

    def received(self) -> dict[str, float]:
        wall, cpu = (end - begin for begin, end in zip(self.first, self.last, strict=True))
        return {"count": len(self.banned), "wall": wall, "cpu": cpu}

    def frame(self) -> str:
        """The last frame that was broadcast."""
        return base64.b64encode(self._frame).decode()

    async def equal(self, digest: int, records: int) -> dict[str, float]:
        """Wait until it holds what is said; gives what that took since the event loop began."""
        while (held := self.state())["digest"] != digest or held["records"] != records:
            await asyncio.sleep(0.02)
        at = time.monotonic()
        took = {"seconds": at - self.began[0], "cpu_seconds": usage()["cpu"] - self.began[1]}
        return {"banned": held["banned"], **took, **usage()}

    async def rest(self, seconds: float) -> dict[str, float]:
        """Do nothing but what the node does; gives what that costs."""
        before = usage()["cpu"]
        await asyncio.sleep(seconds)
        return {**usage(), "percent": 100 * (usage()["cpu"] - before) / seconds}

    def commands(self) -> dict[str, Callable[..., Any]]:
        names = (
            "decide", "equal", "frame", "links", "port", "received", "rest", "sent", "spread", "state",
            "take_back", "times",
        )  # fmt: skip
        return {"usage": usage, **{name: getattr(self, name) for name in names}}

    async def run(self) -> None:
        self.began = time.monotonic(), time.process_time()
        running = asyncio.ensure_future(self.node.run())
        talking = asyncio.ensure_future(dialogue(self.commands()))
        await asyncio.wait([running, talking], return_when=asyncio.FIRST_COMPLETED)
        self.node._stop.set()
        await running

    def _next(self) -> Callable[[float], Any]:
        self._number += 1
        network = Network.host(address(self._place, self._number))
        origin = self.hub.pipeline.policy.origin
        return lambda now: decision(network, origin, self._number, now, time.time())


def main() -> None:
    config = json.loads(sys.argv[1])
    choose_loop(config["loop"])
    settings = settings_of(config)
    gc.disable()  # as run_node does
    node = Node(settings, lambda: settings)
    calm_collector()
    gc.enable()
    bench = Bench(node, config["number"])
    bench.noting = config.get("noting", True)
    run_loop(bench.run())


if __name__ == "__main__":
    main()
