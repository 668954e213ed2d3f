"""How many decisions of another node a node takes in a second of one core, pushed as an import does."""

from __future__ import annotations

import statistics
from typing import Any

from tests.bench.node_worker import PORTION
from tests.bench.site import Site
from tests.bench.worker import until

GOAL = 30_000
NAMES = ("n0", "n1")
ROOM = {"rate": 1_000_000, "burst": 1_000_000, "max_bans": 1_000_000}


def bulk(loop: str, count: int, rounds: int, carrier: str = "peer") -> dict[str, Any]:
    """Rounds with ``count`` decisions in all; CPU time of the receiver, its journal included."""
    with Site(loop, NAMES, carrier=carrier) as site:
        sender, receiver = site.nodes(NAMES, sharing=ROOM)
        bare, (bare_receiver,) = site.bare(NAMES[0], NAMES[1:])
        each, ours, theirs, walls = count // rounds, [], [], []
        total = octets = 0
        for _ in range(rounds):
            receiver.ask("times")
            octets = sender.ask("sent")
            sender.ask("spread", count=each)
            total += each
            until(lambda wanted=total: receiver.ask("state")["banned"] == wanted, "all are banned")
            took = receiver.ask("received")
            octets = (sender.ask("sent") - octets) // each
            ours.append(took["cpu"] / each)
            walls.append(took["wall"] / each)
            messages = each // PORTION
            bare_receiver.ask("expect", size=octets * PORTION)
            bare.ask("stream", size=octets * PORTION, count=messages)
            until(lambda n=messages: len(bare_receiver.ask("received")["times"]) == n, "all bytes")
            theirs.append(bare_receiver.ask("received")["cpu"] / each)
    return {
        "decisions": total,
        "bytes_each": octets,
        "per_core_second": round(1 / statistics.median(ours)),
        "goal": GOAL,
        "wall_per_second": round(1 / statistics.median(walls)),
        "microseconds": round(1e6 * statistics.median(ours), 2),
        "bare_microseconds": round(1e6 * statistics.median(theirs), 2),
        "times_bare": round(statistics.median(o / t for o, t in zip(ours, theirs, strict=True)), 1),
    }
