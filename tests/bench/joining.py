"""How long a new node takes to have everything, and how much memory meanwhile."""

from __future__ import annotations

import time
from typing import Any

from tests.bench.site import LOOPBACK, Site
from tests.bench.worker import until

ORIGINS = 10
GOAL_SECONDS, GOAL_PEAK = 15.0, 1.5
SETTLE = 3.0
"""Seconds until the memory at the end is read."""
PIECE = 65_536


def join(loop: str, records: int, carrier: str = "peer") -> dict[str, Any]:
    """A node without anything joins ten that hold ``records``; its own limits are the usual ones."""
    members = [f"n{number}" for number in range(ORIGINS)]
    with Site(loop, [*members, "joiner"], carrier=carrier) as site:
        donors = site.worker(
            "donor", members[0], members=members, records=records, directory=str(site.folder)
        )
        ports = donors.ask("start")
        full = donors.ask("state")
        joiner = site.node("joiner", seeds=[f"{LOOPBACK}:{ports[0]}"], noting=False)
        joiner.ask("port")
        took = joiner.ask("equal", **full)
        time.sleep(SETTLE)
        final = joiner.ask("usage")
        octets = donors.ask("sent", peer="joiner")
        bare, (receiver,) = site.bare(members[0], ["joiner"])
        pieces = max(1, octets // PIECE)
        receiver.ask("expect", size=PIECE)
        bare.ask("stream", size=PIECE, count=pieces)
        until(lambda: len(receiver.ask("received")["times"]) == pieces, "all bytes")
        return {
            "records": records,
            "origins": ORIGINS,
            "banned": took["banned"],
            "seconds": round(took["seconds"], 2),
            "goal_seconds": GOAL_SECONDS,
            "cpu_seconds": round(took["cpu_seconds"], 2),
            "bytes_each": round(octets / records, 1),
            "final_mb": round(final["memory"], 1),
            "peak_mb": round(took["peak"], 1),
            "peak_by_final": round(took["peak"] / final["memory"], 2),
            "goal_peak": GOAL_PEAK,
            "bare_seconds": round(receiver.ask("received")["wall"], 2),
        }
