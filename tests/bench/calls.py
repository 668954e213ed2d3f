"""``scripts/bench calls``: following calls, and records through a collector that is killed.

    ./scripts/bench calls              2,000 calls followed, 100,000 records delivered
    ./scripts/bench calls --records 20000

Frames of whole calls (INVITE, challenge, credentials, ringing, answer, BYE) go through a pipeline that
reports them, beside the same pipeline that does not. Then records go from one node to a collector with
files on disk; in the middle the collector is closed as it stands and opened again. Counted is whether
each call is there once, by count and by key.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

from shield.capture.source import Frame
from shield.cdr.delivery import Delivery
from shield.cdr.ledger import Ledger
from shield.cdr.observer import Observer
from shield.cdr.report import Report
from shield.cdr.settings import CdrSettings, Failed
from shield.cdr.spool import Spool
from shield.cluster.capability import Incoming, SendResult
from shield.cluster.messages import Kind
from shield.wire import pack_value, unpack_value
from tests.cdr.calls import START, start, stop
from tests.rules.test_slow import pipeline
from tests.town import Line, Town
from tests.traffic import START as BEGIN

ROUNDS = 5


class Bus:
    """Brings messages from one to the other."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[str, str, bytes]] = deque()
        self.nodes: dict[str, Delivery] = {}

    def run(self, now: float) -> None:
        while self.waiting:
            sender, node, packed = self.waiting.popleft()
            if node in self.nodes:
                self.nodes[node].receive(Incoming(sender, Kind.MESSAGE, 0, unpack_value(packed)), now)


class Way:
    """A node's outlet on the bus."""

    def __init__(self, bus: Bus, name: str) -> None:
        self.bus, self.name = bus, name

    def send(self, node: str, body: Any, now: float) -> SendResult:
        self.bus.waiting.append((self.name, node, pack_value(body)))
        return SendResult.SENT

    def broadcast(self, body: Any, now: float) -> SendResult:
        for node in self.bus.nodes:
            if node != self.name:
                self.send(node, body, now)
        return SendResult.SENT

    def reachable(self, node: str) -> bool:
        return node in self.bus.nodes


def frames(calls: int) -> list[Frame]:
    """All packets of so many calls, ten a second."""
    town = Town(miss=0.0, repeat=0.0)
    for number in range(calls):
        line = Line(town, town.address(number % 200), f"user{number % 200}", f"callee{number}")
        line.call_out(BEGIN + number / 10, "200 OK")
    return sorted(town.frames, key=lambda frame: frame.time)


def follow(calls: int) -> dict[str, float]:
    """Calls a second on one core, with and without reports; medians."""
    packets, took = frames(calls), dict[str, list[float]](alone=[], reported=[])
    for _ in range(ROUNDS):
        for kind in took:
            node, found = pipeline(), list[Report]()
            if kind == "reported":
                observer = Observer(Failed.KNOWN, found.append)
                node.tracker.dialogs.followers = (observer.changed,)
            begun = time.process_time()
            for at in range(0, len(packets), 256):
                node.feed(packets[at : at + 256])
            took[kind].append(time.process_time() - begun)
    return {kind: calls / sorted(times)[ROUNDS // 2] for kind, times in took.items()}


def deliver(records: int, folder: Path) -> dict[str, Any]:
    """Records through a collector that is killed in the middle."""
    bus, now = Bus(), 0.0
    settings = CdrSettings(collectors=("c",))
    spool = Spool(str(folder / "spool.db"), 10_000_000, b"epoch")
    node = Delivery(settings, "n", spool=spool, ledger=None, wall=lambda: START)
    node.connect(Way(bus, "n"))  # type: ignore[arg-type]
    bus.nodes["n"] = node

    def collector() -> Delivery:
        made = Delivery(
            settings, "c", spool=None, ledger=Ledger(str(folder / "c.db")), wall=lambda: START
        )
        made.connect(Way(bus, "c"))  # type: ignore[arg-type]
        bus.nodes["c"] = made
        return made

    begun = time.perf_counter()
    collecting, made, killed = collector(), 0, False
    while made < records or len(spool):
        for number in range(made, min(made + 1000, records)):
            node.put(start(number))
            node.put(stop(number))
        made = min(made + 1000, records)
        now += 0.5
        node.tick(now)
        if not killed and made >= records // 2:
            killed = True
            assert collecting.ledger is not None
            collecting.ledger.close()
            del bus.nodes["c"]
            bus.waiting.clear()
            collecting = collector()
            now += 10
        bus.run(now)
    seconds = time.perf_counter() - begun
    assert collecting.ledger is not None
    rows = collecting.ledger.store.rows("SELECT count(*), count(DISTINCT key), max(number) FROM call")[0]
    size = (folder / "c.db").stat().st_size
    spool.close()
    collecting.ledger.close()
    return {"records": records, "calls": rows[0], "keys": rows[1], "numbered": rows[2],
            "a_second": records / seconds, "octets_a_call": size / records}  # fmt: skip


def main(arguments: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench calls", description=__doc__)
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    followed = follow(options.calls)
    with tempfile.TemporaryDirectory() as folder:
        delivered = deliver(options.records, Path(folder))
    if options.json:
        print(json.dumps({"followed": followed, "delivered": delivered}))
        return
    print(f"followed          {followed['alone']:,.0f} calls/s of a core without reports")
    print(f"                  {followed['reported']:,.0f} calls/s with them")
    print(f"delivered         {delivered['records']:,} calls, collector killed in the middle")
    print(f"                  {delivered['calls']:,} written, {delivered['keys']:,} different keys")
    print(f"                  {delivered['a_second']:,.0f} calls/s, spool and journal on disk")
    print(f"journal           {delivered['octets_a_call']:,.0f} octets a call")
