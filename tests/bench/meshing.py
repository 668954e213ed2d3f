"""How long nodes that start together need until each has a connection to each."""

from __future__ import annotations

import statistics
import time
from typing import Any

from tests.bench.site import LOOPBACK, Site
from tests.bench.worker import Workers, until

LIMIT = 600.0
"""Seconds: on a machine with few cores, processes that start take most of them."""


def mesh(loop: str, count: int) -> dict[str, Any]:
    """Start ``count`` nodes that know one of them; the start of a process is a part of it."""
    names = [f"n{number}" for number in range(count)]
    with Site(loop, names) as site:
        begin = time.monotonic()
        first = site.node(names[0])
        seed = f"{LOOPBACK}:{first.ask('port')}"
        nodes = Workers([first, *(site.node(name, seeds=[seed]) for name in names[1:])])
        nodes.ask("port")
        started = time.monotonic()
        until(
            lambda: all(one == count - 1 for one in nodes.ask("links")),
            "a full mesh",
            pause=2.0,
            limit=LIMIT,
        )
        full = time.monotonic()
        found = nodes.ask("usage")
    return {
        "nodes": count,
        "connections": count * (count - 1) // 2,
        "started_seconds": round(started - begin, 1),
        "mesh_seconds": round(full - started, 1),
        "cpu_seconds": round(statistics.median(one["cpu"] for one in found), 2),
        "memory_mb": round(statistics.median(one["memory"] for one in found), 1),
    }
