"""What a node costs in a cluster in which nothing happens."""

from __future__ import annotations

import statistics
from typing import Any

from tests.bench.site import Site


def idle(loop: str, count: int, seconds: float, carrier: str = "peer") -> dict[str, Any]:
    """CPU and memory of each of ``count`` nodes; memory of a bare process with TLS beside it."""
    names = [f"n{number}" for number in range(count)]
    with Site(loop, names, carrier=carrier) as site:
        nodes = site.nodes(names)
        nodes.ask("rest", seconds=1.0)
        found = nodes.ask("rest", seconds=seconds)
        sender, _ = site.bare(names[0], names[1:])
        bare = sender.ask("usage")["memory"]
    return {
        "nodes": count,
        "cpu_percent": round(statistics.median(one["percent"] for one in found), 2),
        "memory_mb": round(statistics.median(one["memory"] for one in found), 1),
        "share_mb": round(statistics.median(one["share"] for one in found), 1),
        "bare_memory_mb": round(bare, 1),
    }
