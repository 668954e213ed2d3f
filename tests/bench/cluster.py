"""``scripts/bench cluster``: what nodes that share cost, beside bare asyncio with TLS in the same run.

    ./scripts/bench cluster                     everything, some minutes
    ./scripts/bench cluster latency partition   only these
    ./scripts/bench cluster --carriers peer     without those over a NATS server
    ./scripts/bench cluster --json              the same as JSON
    ./scripts/bench cluster --records 1000000   as many as a joiner of a large cluster gets

All nodes are processes of their own, with all of ``shield run`` but packets, joined by mutual TLS on
loopback, and then over a nats-server with TLS; ``kernel`` puts each into a network namespace of its own,
with nftables (needs root). Goals are meant for two cores with nothing else on them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable
from typing import Any

from tests.bench.bulk import bulk
from tests.bench.cluster_text import as_text
from tests.bench.idle import idle
from tests.bench.joining import join
from tests.bench.latency import latency
from tests.bench.meshing import mesh
from tests.bench.partition import partition
from tests.bench.worker import cores

CARRIERS = ("peer", "nats")
PARTS = ("latency", "kernel", "bulk", "join", "partition", "idle", "mesh")
RECEIVERS = (2, 8)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what was asked for; each part is a list with one result for each size."""
    result: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": cores(),
        "load_before": os.getloadavg()[0],
        "loops": {},
    }
    for loop in options.loops:
        result["loops"][loop] = found = {}
        for part in options.parts:
            found[part] = []
            for carrier in options.carriers:
                for call in _calls(part, loop, carrier, options):
                    found[part].append({"carrier": carrier, **call()})
                    print(f"{loop}, {carrier}: {part} measured", file=sys.stderr, flush=True)
    result["load_after"] = os.getloadavg()[0]
    return result


def _calls(
    part: str, loop: str, carrier: str, options: argparse.Namespace
) -> Iterable[Callable[[], dict[str, Any]]]:
    rounds = options.rounds
    if carrier == "nats" and (why := _no_nats(part)):
        return [lambda: {"skipped": why}]
    if part in ("latency", "kernel"):
        kernel = part == "kernel"
        if kernel and (why := _no_kernel()):
            return [lambda: {"skipped": why}]
        return [
            lambda count=count: latency(
                loop, count, rounds, options.decisions, kernel=kernel, carrier=carrier
            )
            for count in RECEIVERS
        ]
    if part == "bulk":
        return [lambda: bulk(loop, 200_000, rounds, carrier)]
    if part == "join":
        return [lambda count=count: join(loop, count, carrier) for count in options.records]
    if part == "partition":
        return [lambda: partition(loop, 10.0, carrier)]
    if part == "mesh":
        if carrier == "nats":
            return [lambda: {"skipped": "nodes have no connections with each other"}]
        return [lambda count=count: mesh(loop, count) for count in options.nodes or (64,)]
    return [
        lambda count=count: idle(loop, count, 10.0, carrier) for count in options.nodes or (3, 9, 32)
    ]


def _no_nats(part: str) -> str:
    """Why the NATS carrier cannot be measured."""
    if part == "kernel":
        return "the kernel's part is the same whatever carries messages"
    return "" if shutil.which("nats-server") else "needs nats-server"


def _no_kernel() -> str:
    """Why the kernel's sets cannot be measured."""
    if os.geteuid():
        return "needs root: network namespaces and nftables"
    missing = [name for name in ("ip", "nft") if shutil.which(name) is None]
    return f"needs {' and '.join(missing)}" if missing else ""


def main(arguments: list[str]) -> None:
    loops = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]
    parser = argparse.ArgumentParser(prog="bench cluster", description="Measure nodes that share.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)} (all)")
    parser.add_argument("--loops", nargs="+", choices=loops, default=loops, help="event loops (all)")
    parser.add_argument(
        "--carriers", nargs="+", choices=CARRIERS, default=CARRIERS, help="of messages (all)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    parser.add_argument("--decisions", type=int, default=100, help="in one round of latency (100)")
    parser.add_argument("--records", type=int, nargs="+", default=[100_000, 1_000_000], help="of a join")
    parser.add_argument("--nodes", type=int, nargs="+", help="of idle (3 9 32) and mesh (64)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"no part {unknown[0]!r}: there are {', '.join(PARTS)}")
    options.parts = options.parts or list(PARTS)
    result = run(options)
    print(json.dumps(result, indent=2) if options.json else as_text(result))
