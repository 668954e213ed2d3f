"""``scripts/bench evidence``: five nodes that count together, under a scan of a thousand sources.

    ./scripts/bench evidence             1,000 sources, 5 nodes
    ./scripts/bench evidence --sources 5000

All nodes in one process, over a bus in memory; time is a number that moves on. Told are: what each
node says to each other one, beside its budget; when the sum confirmed the last source that sent a fifth
of the limit to each node; and what counting together costs the processor, beside the same scan without.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

from shield.detect.settings import EvidenceSettings
from shield.sip.event import Kind, SipEvent
from tests.builders import request
from tests.detect.pooling_lab import TICK, Lab
from tests.detect.test_engine import event

NODES = "abcde"
LIMIT = 10
"""Two guesses at each node."""
RULE = f"[match]\nevent = 'refused'\n[count]\nmax_retry = {LIMIT}\nfind_time = '10m'\n"
SCAN_SECONDS = 20.0


def scan(sources: int) -> Iterator[tuple[float, str, SipEvent]]:
    """Guesses in the order of time: seconds since the start, node, event."""
    total = sources * LIMIT
    for number in range(total):
        source, turn = number % sources, number // sources
        at = number / total * SCAN_SECONDS
        address = f"198.18.{source // 250}.{source % 250 + 1}"
        sent = request(call_id=f"{source}-{turn}")
        yield (
            at,
            NODES[turn % len(NODES)],
            event(at, sent, Kind.REFUSED, source=address, status=403, user="100"),
        )


def run(sources: int, *, pooled: bool) -> dict[str, Any]:
    """One scan; what was told, found, and how long the processor took."""
    lab = Lab(NODES, RULE)
    if not pooled:
        for node in lab.nodes.values():
            node.engine.join(None)
    before, spent = dict(lab.octets), 0.0
    last: dict[bytes, float] = {}
    found: dict[bytes, float] = {}
    events = list(scan(sources))
    start = lab.now

    def settle(seconds: float) -> None:
        nonlocal spent
        begun = time.process_time()
        lab.settle(seconds)
        spent += time.process_time() - begun
        for node in lab.nodes.values():
            for alert in node.alerts:
                found.setdefault(alert.source, lab.now - start)

    for at, name, one in events:
        while lab.now - start + TICK <= at:
            settle(TICK)
        begun = time.process_time()
        lab[name].see(one)
        spent += time.process_time() - begun
        last[one.client] = at
    for _ in range(120):
        if not pooled or len(found) == sources:
            break
        settle(TICK)
    waits = [found[client] - last[client] for client in found]
    seconds = lab.now - start
    octets = [lab.octets.get(name, 0) - before.get(name, 0) for name in NODES]
    return {
        "found": len(found),
        "slowest_seconds": max(waits, default=0.0),
        "octets_a_second": max(octets) / seconds,
        "most_octets": max(octets),
        "cpu_us_an_event": spent / len(events) * 1e6,
    }


def main(arguments: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench evidence", description=__doc__)
    parser.add_argument("--sources", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    alone = run(options.sources, pooled=False)
    together = run(options.sources, pooled=True)
    budget = EvidenceSettings().rate
    if options.json:
        print(json.dumps({"alone": alone, "together": together, "budget": budget}))
        return
    rate, share = together["octets_a_second"], LIMIT // len(NODES)
    print(f"{options.sources:,} sources, {share} of {LIMIT} guesses at each of {len(NODES)} nodes")
    print(f"  found alone           {alone['found']:,}")
    print(f"  found together        {together['found']:,}")
    print(f"  after the last one    {together['slowest_seconds']:.1f} s, the slowest")
    print(f"  told by a node        {rate:,.0f} octets/s on average, budget {budget:,}")
    print(f"  processor, an event   {alone['cpu_us_an_event']:.0f} us alone")
    print(f"                        {together['cpu_us_an_event']:.0f} us together, all nodes in one")
