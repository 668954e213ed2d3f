"""The simulation beside real processes on this machine: the same nodes, the same figures, the ratio."""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

from tests.bench.site import Site
from tests.bench.worker import Worker, Workers, cores, until
from tests.simulation.measure import MANY, SINGLE, Figures, measure
from tests.simulation.mesh import Mesh
from tests.simulation.world import PLACES, World

__all__ = ["check"]

FIELDS = ("form_s", "idle_out", "idle_cpu", "one_ms", "one_out", "many_s", "many_out")
REST = 10.0


def check(count: int, seed: int, loop: str = "asyncio") -> dict[str, Any]:
    """Measure ``count`` real processes with TLS on loopback, and simulate them on as many cores."""
    load = os.getloadavg()[0]
    real = _real(count, loop)
    simulated = measure(Mesh(World(seed), count, PLACES["loopback"], cores()), count - 1)
    pairs = {name: (getattr(real, name), getattr(simulated, name)) for name in FIELDS}
    return {
        "nodes": count,
        "loop": loop,
        "cores": cores(),
        "load_before": round(load, 1),
        "real": real.as_json(),
        "simulated": simulated.as_json(),
        "ratio": {
            name: round(ours / theirs, 2) if theirs else None for name, (theirs, ours) in pairs.items()
        },
    }


def _real(count: int, loop: str) -> Figures:
    names = [f"n{number}" for number in range(count)]
    with Site(loop, names) as site:
        first = site.worker("simulated", names[0], seeds=[])
        port = first.ask("go")
        seeds = [f"127.0.0.1:{port}"]
        others = [site.worker("simulated", name, seeds=seeds) for name in names[1:]]
        nodes = Workers([first, *others])
        nodes.ask("expect", records=1)  # all have started now
        begin = time.monotonic()
        Workers(others).ask("go")
        formed = max(nodes.ask("formed", others=count - 1)) - begin
        until(
            lambda: all(one["links"] == count - 1 for one in nodes.ask("sent")), "a full mesh", pause=0.3
        )
        time.sleep(5.0)
        before = nodes.ask("sent")
        time.sleep(REST)
        after = nodes.ask("sent")
        idle = {
            what: sum(b[what] - a[what] for a, b in zip(before, after, strict=True)) / count / REST
            for what in ("octets", "frames", "cpu")
        }
        singles = [_decide(nodes, nodes[number * 7 % count], 1, number) for number in range(SINGLE)]
        many_s, many_out = _decide(nodes, nodes[count // 2], MANY, SINGLE)
    return Figures(
        count, count - 1, round(formed, 3), round(idle["octets"], 1), 0.0, round(idle["frames"], 2),
        round(100 * idle["cpu"], 3),
        round(1000 * statistics.median(took for took, _ in singles), 2),
        round(statistics.median(sent for _, sent in singles), 1),
        round(many_s, 3), round(many_out / MANY, 1),
    )  # fmt: skip


def _decide(nodes: Workers, decider: Worker, count: int, first: int) -> tuple[float, float]:
    """Seconds until all have it, and octets that were sent for it by each node on the average."""
    others = Workers(node for node in nodes if node is not decider)
    nodes.ask("expect", records=first + count)
    before = sum(one["octets"] for one in nodes.ask("sent"))
    begin = decider.ask("decide", count=count, first=first)
    until(lambda: all(others.ask("reached")), "all have the decisions", pause=0.02)
    sent = (sum(one["octets"] for one in nodes.ask("sent")) - before) / len(nodes)
    return max(others.ask("reached")) - begin, sent
