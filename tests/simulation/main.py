"""``scripts/simulate``: what a cluster costs at 10 to 10,000 nodes; see there."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.simulation.check import check
from tests.simulation.measure import Figures, measure, partition
from tests.simulation.mesh import Mesh
from tests.simulation.page import draw, replaced, table
from tests.simulation.projection import project, worth
from tests.simulation.star import Star
from tests.simulation.world import PLACES, Places, World

__all__ = ["main", "simulate"]

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "scale.md"
PLOT = ROOT / "docs" / "scale.svg"

SIZES = {"peer": (10, 30, 64), "nats": (10, 30, 64)}
FULL = {"peer": (10, 30, 64, 100), "nats": (10, 30, 64, 100)}
LARGE = (100, 1000, 10_000)
CHECKED = (10, 30)
APART = 10.0
"""Seconds that a cluster of 10 is cut in two."""


def simulate(
    carrier: str, sizes: tuple[int, ...], places: Places, seed: int, *, done: Any = lambda _size: None
) -> dict[str, Any]:
    """Simulate some sizes of one carrier and project the larger ones; ``done`` is called after each."""
    found: list[Figures] = []
    for size in sizes:
        found.append(_one(carrier, size, places, seed))
        done(size)
    split = partition_of(carrier, sizes[0], places, seed)
    large = [size for size in LARGE if size > max(sizes)] if len(sizes) > 2 else []
    return {
        "simulated": [one.as_json() for one in found],
        "projected": [project(found, size, _links(carrier, size)).as_json() for size in large],
        "worth": worth(found) if large else {},
        "partition": split,
    }


def partition_of(carrier: str, size: int, places: Places, seed: int) -> dict[str, float]:
    """Cut a cluster in two for a while."""
    net = _net(carrier, size, places, seed)
    measure(net, _links(carrier, size))
    return partition(net, APART, 100)


def _one(carrier: str, size: int, places: Places, seed: int) -> Figures:
    return measure(_net(carrier, size, places, seed), _links(carrier, size))


def _net(carrier: str, size: int, places: Places, seed: int) -> Any:
    return {"peer": Mesh, "nats": Star}[carrier](World(seed), size, places)


def _links(carrier: str, size: int) -> int:
    return size - 1 if carrier == "peer" else 1


def main(arguments: list[str]) -> None:
    """Read the command line, simulate, print."""
    parser = argparse.ArgumentParser(prog="simulate", description="Simulate clusters in memory.")
    parser.add_argument("--carrier", nargs="+", choices=SIZES, default=list(SIZES), help="which (both)")
    parser.add_argument("--places", choices=PLACES, default="rack", help="where nodes are (rack)")
    parser.add_argument("--loss", type=float, default=0.0, help="share of packets that are lost (0)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is left to chance (1)")
    parser.add_argument("--full", action="store_true", help="larger clusters too, some minutes")
    parser.add_argument("--check", action="store_true", help="beside 10 and 30 real processes instead")
    parser.add_argument("--write", action="store_true", help="write table and plot of docs/scale.md")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if not 0 <= options.loss < 0.5:
        parser.error("--loss: between 0 and 0.5")
    if options.check:
        checks = [check(count, options.seed) for count in CHECKED]
        print(json.dumps(checks, indent=2) if options.json else "\n\n".join(map(_beside, checks)))
        return
    results = _all(options)
    if options.write:
        draw(results, PLOT)
        PAGE.write_text(replaced(PAGE.read_text(), table(results)))
    print(json.dumps(results, indent=2) if options.json else table(results))
    if not options.json:
        for carrier, found in results["carriers"].items():
            print(f"\n{carrier}: cut in two for {APART:g} s: {found['partition']}")
            if found["worth"]:
                off = max(found["worth"].values())
                print(f"{carrier}: the projection misses the smallest size by {off:.0%} at most")


def _all(options: argparse.Namespace) -> dict[str, Any]:
    base = PLACES[options.places]
    places = Places(base.name, base.ways, base.jitter, options.loss)
    sizes = FULL if options.full else SIZES
    total = sum(size**2 for carrier in options.carrier for size in sizes[carrier])
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    results: dict[str, Any] = {"seed": options.seed, "places": options.places, "loss": options.loss}
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("simulating", total=total)
        results["carriers"] = {
            carrier: simulate(
                carrier, sizes[carrier], places, options.seed,
                done=lambda size: progress.advance(task, size**2),
            )
            for carrier in options.carrier
        }  # fmt: skip
    return results


def _beside(one: dict[str, Any]) -> str:
    head = f"{one['nodes']} nodes, {one['cores']} cores, {one['loop']}, load before {one['load_before']}"
    lines = [head, f"{'':10}{'real':>12}{'simulated':>12}{'ratio':>8}"]
    for name, ratio in one["ratio"].items():
        real, simulated = one["real"][name], one["simulated"][name]
        lines.append(f"{name:10}{real:>12}{simulated:>12}{ratio if ratio is not None else '':>8}")
    return "\n".join(lines)
