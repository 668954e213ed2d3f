"""From a confirmed decision on one node to the blocklists of all others, and to their kernels."""

from __future__ import annotations

import base64
import statistics
import time
from typing import Any

from tests.bench.site import Site, percentiles
from tests.bench.worker import Worker, Workers
from tests.netlab import Lab

GAP = 0.02
"""Seconds between two decisions: a node that is being attacked."""

GOALS = {2: (2.0, 15.0), 8: (4.0, 15.0)}
"""Milliseconds until the blocklist of the last receiver: median, 99th percentile."""


def latency(
    loop: str, receivers: int, rounds: int, each: int, *, kernel: bool, carrier: str = "peer"
) -> dict[str, Any]:
    """Decisions and bare frames of their size in turns; with ``kernel`` in namespaces, mode enforce."""
    names = [f"n{number}" for number in range(receivers + 1)]
    if not kernel:
        with Site(loop, names, carrier=carrier) as site:
            return _measure(site, names, rounds, each)
    with Lab() as lab:
        for number, name in enumerate(names):
            lab.host(name, f"192.0.2.{1 + number}/24")
        with Site(loop, names, lab) as site:
            return _measure(site, names, rounds, each, table="shield")


def _measure(site: Site, names: list[str], rounds: int, each: int, **config: Any) -> dict[str, Any]:
    nodes = site.nodes(names, sharing={"rate": 100_000}, **config)
    decider, others = nodes[0], Workers(nodes[1:])
    sender, receivers = site.bare(names[0], names[1:])
    decider.ask("decide", count=each, gap=GAP)  # the first of everything takes longer
    others.ask("times")
    frame = decider.ask("frame")
    found: dict[str, list[dict[str, float]]] = {}
    ratios: dict[str, list[float]] = {}
    for _ in range(rounds):
        times = {"bare": _bare(sender, receivers, frame, each), **_shield(decider, others, each)}
        for name, samples in times.items():
            found.setdefault(name, []).extend(samples)
            middle = statistics.median(sample["last"] for sample in samples)
            ratios.setdefault(name, []).append(
                middle / statistics.median(sample["last"] for sample in times["bare"])
            )
    goal = GOALS.get(len(others), (None, None))
    return {
        "receivers": len(others),
        "frame_bytes": len(base64.b64decode(frame)),
        "goal_p50_ms": goal[0],
        "goal_p99_ms": goal[1],
        **{
            name: {
                "last": percentiles(sample["last"] for sample in samples),
                "each": percentiles(v for sample in samples for k, v in sample.items() if k != "last"),
                "times_bare": round(statistics.median(ratios[name]), 2),
            }
            for name, samples in found.items()
        },
    }  # fmt: skip


def _shield(decider: Worker, others: Workers, each: int) -> dict[str, list[dict[str, float]]]:
    made = decider.ask("decide", count=each, gap=GAP)
    time.sleep(0.3)
    there = others.ask("times")
    found = {}
    for place in ("blocklist", "kernel"):
        if not there[0][place]:
            continue
        lost = [key for key in made if any(key not in times[place] for times in there)]
        if lost:
            raise RuntimeError(f"{len(lost)} of {each} decisions are not in every {place}")
        found[place] = [_spans(at, [times[place][key] for times in there]) for key, at in made.items()]
    return found


def _bare(sender: Worker, receivers: Workers, frame: str, each: int) -> list[dict[str, float]]:
    receivers.ask("expect", size=len(base64.b64decode(frame)))
    sent = sender.ask("send", frame=frame, count=each, gap=GAP)
    time.sleep(0.3)
    times = [answer["times"] for answer in receivers.ask("received")]
    return [_spans(at, [one[number] for one in times]) for number, at in enumerate(sent)]


def _spans(begin: float, ends: list[float]) -> dict[str, float]:
    return {"last": max(ends) - begin, **{str(n): end - begin for n, end in enumerate(ends)}}
