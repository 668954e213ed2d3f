"""Ten members in one process that share one full map and serve it, each in its own name.

What a joiner meets in a cluster that has run for long: everybody has everything, and says of its own
records what they are. The members are real ones; only what they take from each other is nothing.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

from shield.background import run_loop
from shield.blocklist.shared_record import ban_key, ban_value
from shield.cluster.capability import Incoming, Outlet
from shield.cluster.chunks import report
from shield.cluster.cluster import Cluster
from shield.cluster.entry import SEAL_LIMIT
from shield.cluster.member import Member
from shield.cluster.replicated import ReplicatedMap
from shield.cluster.serving import Server
from shield.cluster.settings import ClusterSettings
from shield.net import Network
from tests.bench.findings import address, decision
from tests.bench.node_worker import nats_of
from tests.bench.worker import choose_loop, dialogue, usage


class Donor:
    """A capability that serves a map."""

    name = "blocklist"

    def __init__(self, table: ReplicatedMap) -> None:
        self._table = table
        self.server: Server

    def join(self, outlet: Outlet) -> None:
        self.server = Server(self._table, outlet)

    def receive(self, incoming: Incoming, now: float) -> None:
        if incoming.body[0] in ("ask", "digests", "pull"):
            self.server.answer(incoming.sender, incoming.body, now)

    def member_changed(self, member: Member, now: float) -> None:
        pass

    def report(self, now: float) -> bytes:
        return report(self._table.digest(now), len(self._table))

    def reported(self, sender: str, report: bytes, now: float) -> None:
        pass

    def tick(self, now: float) -> None:
        pass


def fill(table: ReplicatedMap, origin: str, place: int, count: int) -> None:
    """Enter what a node has decided."""
    now, wall = time.monotonic(), time.time()
    chance = random.Random(place)
    records = []
    for number in range(count):
        network = Network.host(address(place, number))
        made = decision(network, origin, number, now, wall - number / 100)
        stamp = int((wall - number / 100) * 1000) << 16
        left = int(made.duration * 1000)
        records.append((ban_key(network), stamp, left, ban_value(made), chance.randrange(SEAL_LIMIT)))
    table.merge_many(origin, records, now, wall)


class Donors:
    """All of them."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._table = ReplicatedMap("blocklist", "donors", b"donors")
        self.members: list[Cluster] = []

    async def start(self) -> list[int]:
        """Fill the map and let all come; gives their ports."""
        names, seeds = self._config["members"], tuple[str, ...]()
        for place, name in enumerate(names):
            fill(self._table, name, place, self._config["records"] // len(names))
        gc.collect()
        gc.freeze()
        for name in names:
            directory = f"{self._config['directory']}/{name}"
            settings = ClusterSettings(listen="127.0.0.1:0", seeds=seeds, **nats_of(self._config))
            cluster = Cluster(directory, settings)
            donor = Donor(self._table)
            donor.join(cluster.add(donor))
            await cluster.start()
            self.members.append(cluster)
            seeds = seeds or (f"127.0.0.1:{cluster.carrier.port}",)
        while any(len(cluster.members()) < len(names) - 1 for cluster in self.members):
            await asyncio.sleep(0.1)
        return [cluster.carrier.port for cluster in self.members]

    def state(self) -> dict[str, Any]:
        return {"digest": self._table.digest(time.monotonic()), "records": len(self._table)}

    def sent(self, peer: str) -> int:
        """Octets that a node has got; over a server, all that the donors have published."""
        rows = [row for one in self.members for row in one.carrier.connections(time.monotonic())]
        return sum(row["bytes_out"] for row in rows if row["peer"] == peer or "nats" in self._config)

    def commands(self) -> dict[str, Callable[..., Any]]:
        return {"start": self.start, "state": self.state, "sent": self.sent, "usage": usage}


def main() -> None:
    config = json.loads(sys.argv[1])
    choose_loop(config["loop"])
    run_loop(dialogue(Donors(config).commands()))


if __name__ == "__main__":
    main()
