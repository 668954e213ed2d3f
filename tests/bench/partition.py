"""Two nodes that do not hear each other for a while, and how soon they are equal again."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from tests.bench.site import LOOPBACK, Site, together
from tests.bench.worker import Workers, until

GOAL = 3.0
NAMES = ("n0", "n1")
BANS, UNBANS = 800, 200


def partition(loop: str, seconds: float, carrier: str = "peer") -> dict[str, Any]:
    """Cut the line for ``seconds``; meanwhile a thousand changes on both sides."""
    with Site(loop, NAMES, carrier=carrier) as site:
        if site.server is not None:
            return _measure(site.nodes(NAMES), site.server.kill, site.server.start, seconds)
        proxy = site.worker("proxy", "n0")
        ports = [_free() for _ in NAMES]
        doors = [proxy.ask("add", target=port) for port in ports]
        nodes = [
            site.node(
                name,
                port=port,
                advertise=f"{LOOPBACK}:{door}",
                seeds=[f"{LOOPBACK}:{other}" for other in doors if other != door],
            )
            for name, port, door in zip(NAMES, ports, doors, strict=True)
        ]
        both = Workers(nodes)
        until(lambda: together(both), "both see each other", pause=0.2)
        return _measure(both, lambda: proxy.ask("cut"), lambda: proxy.ask("heal"), seconds)


def _measure(
    both: Workers, cut: Callable[[], object], heal: Callable[[], object], seconds: float
) -> dict[str, Any]:
    both.ask("spread", count=UNBANS)
    until(lambda: all(s["banned"] == 2 * UNBANS for s in both.ask("state")), "bans on both")
    begin = time.monotonic()
    cut()
    both.ask("spread", count=BANS)
    both.ask("take_back", count=UNBANS)
    time.sleep(max(0.0, begin + seconds - time.monotonic()))
    apart = both.ask("state")
    if apart[0]["digest"] == apart[1]["digest"]:
        raise RuntimeError("the line was not cut")
    begin = time.monotonic()
    heal()
    until(lambda: _equal(both.ask("state")), "equal", pause=0.01)
    took = time.monotonic() - begin
    return {
        "cut_seconds": seconds,
        "changes_each_side": BANS + UNBANS,
        "seconds_to_equal": round(took, 2),
        "goal_seconds": GOAL,
        "banned": [state["banned"] for state in both.ask("state")],
    }


def _equal(states: list[dict[str, Any]]) -> bool:
    return states[0]["digest"] == states[1]["digest"]


def _free() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
