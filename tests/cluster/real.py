"""Members on loopback with real TLS, each with its own directory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from shield.cluster.authority import Authority, create
from shield.cluster.cluster import Cluster
from shield.cluster.identity_files import Directory
from shield.cluster.settings import ClusterSettings
from tests.cluster.identities import member

QUICK = ClusterSettings(listen="127.0.0.1:0", ping_interval=0.1, link_timeout=0.6, dead_after=0.3)


def prepare(folder: Path, *names: str) -> Authority:
    """Write the directories of several nodes; the first holds the authority."""
    authority, first = create("voice", names[0], time.time())
    Directory(folder / names[0]).create(first, authority)
    for name in names[1:]:
        Directory(folder / name).create(member(authority, name, time.time()))
    return authority


async def start(folder: Path, name: str, *seeds: Cluster, **changes: Any) -> Cluster:
    """Start a node that knows the addresses of others."""
    from dataclasses import replace

    places = tuple(f"127.0.0.1:{seed.carrier.port}" for seed in seeds)
    settings = replace(QUICK, seeds=places, **changes)
    cluster = Cluster(folder / name, settings)
    await cluster.start()
    return cluster


async def until(done: Callable[[], bool], limit: float = 5.0) -> float:
    """Wait until something is so; gives how long it took."""
    begin = time.monotonic()
    while not done():
        assert time.monotonic() - begin < limit, f"not within {limit} s"
        await asyncio.sleep(0.01)
    return time.monotonic() - begin


async def together(*clusters: Cluster) -> None:
    """Wait until everybody sees everybody."""
    names = {cluster.name for cluster in clusters}
    await until(lambda: all(set(c.members()) == names - {c.name} for c in clusters))


async def closing(*clusters: Cluster) -> AsyncExitStack:
    """Close them at the end of a block."""
    stack = AsyncExitStack()
    for cluster in clusters:
        stack.push_async_callback(cluster.close)
    return stack
