"""One real member as a process, sharing what simulated nodes share: ``scripts/simulate --check``."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from shield.background import calm_collector, run_loop
from shield.cluster.cluster import Cluster
from shield.cluster.settings import ClusterSettings
from tests.bench.worker import choose_loop, dialogue, usage
from tests.simulation.feature import MapFeature


class Real:
    """What can be asked of it."""

    def __init__(self, config: dict[str, Any]) -> None:
        settings = ClusterSettings(listen="127.0.0.1:0", seeds=tuple(config["seeds"]))
        self.cluster = Cluster(config["directory"], settings)
        self.feature = MapFeature(self.cluster.core)
        self.feature.heard = self._heard
        self._wanted, self._reached = 0, 0.0

    def _heard(self, records: int) -> None:
        if records >= self._wanted and not self._reached:
            self._reached = time.monotonic()

    async def go(self) -> int:
        """Take part; gives the port."""
        await self.cluster.start()
        return self.cluster.carrier.port

    async def formed(self, others: int) -> float:
        """Wait until so many can be reached; gives when that was."""
        while len(self.cluster.members()) < others:
            await asyncio.sleep(0.005)
        return time.monotonic()

    def sent(self) -> dict[str, float]:
        """Octets and messages on all connections that work, and seconds of a core."""
        links = self.cluster.core.links.up.values()
        octets, frames = (
            sum(getattr(link.stats, f"{what}_out") for link in links) for what in ("bytes", "frames")
        )
        return {"octets": octets, "frames": frames, "links": len(links), **usage()}

    def expect(self, records: int) -> None:
        """Note when so many are there."""
        self._wanted, self._reached = records, 0.0

    def reached(self) -> float:
        """When they were; 0 for not yet."""
        return self._reached

    def decide(self, count: int, first: int) -> float:
        """Ban addresses; gives when it began."""
        now = time.monotonic()
        self.feature.decide(count, now, first)
        return now

    async def run(self) -> None:
        names = ("go", "formed", "sent", "expect", "reached", "decide")
        await dialogue({name: getattr(self, name) for name in names})
        await self.cluster.close(leave=False)


def main() -> None:
    config = json.loads(sys.argv[1])
    choose_loop(config["loop"])
    real = Real(config)
    calm_collector()
    run_loop(real.run())


if __name__ == "__main__":
    main()
