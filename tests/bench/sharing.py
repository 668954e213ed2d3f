"""``scripts/bench sharing``: what a decision of another node costs, merged, judged, banned, queued.

    ./scripts/bench sharing            200,000 decisions
    ./scripts/bench sharing 1000000    as many as a joiner of a large cluster gets

One process, no network: messages are made before. Times are seconds of one core.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from shield.blocklist.decision import Decision
from shield.blocklist.shared_record import ban_key, ban_value
from shield.blocklist.sharing_settings import SharingSettings
from shield.cluster.capability import Incoming
from shield.cluster.entry import Limits
from shield.cluster.messages import Kind
from shield.cluster.replicated import ReplicatedMap
from shield.detect.alert import Proof
from shield.net import Network
from shield.wire import pack_value, unpack_value
from tests.node_parts import WALL
from tests.sharing_parts import OTHER, SharingBench

NOW = 100.0
REASON = "Password guessing on REGISTER (12 counted, proven by nonce, user agent friendly-scanner)"


def messages(count: int, limits: Limits) -> list[bytes]:
    """What another node would send, packed."""
    other = ReplicatedMap("blocklist", OTHER, b"b" * 32, limits)
    bodies, records = [], []
    for number in range(count):
        network = Network.host((0x0A000000 + number).to_bytes(4, "big"))
        left = 600.0 + number % 50_000
        made = Decision(
            network, "register-bruteforce", OTHER, Proof.PROVEN, WALL + number / 100, NOW + left, left,
            f"{OTHER}-{int(WALL * 1000) + number:x}-{number:x}", REASON,
        )  # fmt: skip
        key = ban_key(network)
        other.put(key, ban_value(made), left, NOW, WALL + NOW)
        records.append(other.record(key, NOW))
        if len(records) == 500 or number == count - 1:
            bodies.append(pack_value(("put", records, ())))
            records = []
    return bodies


def resident() -> int:
    """Octets of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(arguments: list[str]) -> None:
    """Measure and print."""
    count = int(arguments[0]) if arguments else 200_000
    limits = Limits(per_origin=count * 2, bytes_per_origin=1 << 31, total=count * 2)
    bodies = messages(count, limits)
    settings = SharingSettings(max_bans=count * 2, burst=count * 2, rate=1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        bench: Any = SharingBench(Path(folder), settings, limits=limits, max_decisions=count * 2)
        gc.collect()
        gc.freeze()
        before, start, used = resident(), time.perf_counter(), time.process_time()
        for body in bodies:
            incoming = Incoming(OTHER, Kind.MESSAGE, 0, unpack_value(body))
            bench.shared.receive(incoming, bench.now)
        took, used = time.perf_counter() - start, time.process_time() - used
        memory = (resident() - before) / count
        if len(bench.pipeline.blocklist) != count:
            sys.exit(f"only {len(bench.pipeline.blocklist)} are banned")
        each, octets = used / count * 1e6, sum(map(len, bodies)) / count
        print(f"{count:,} decisions in {took:.2f} s; of a core {used:.2f} s, {each:.1f} us each")
        print(f"memory: {memory:.0f} bytes a decision; a message has {octets:.0f} octets for it")
        start, portions = time.perf_counter(), 0
        while bench.shared.store.waiting > count // 2 and portions < 50:
            bench.hub.save(bench.now, WALL + bench.now)
            portions += 1
        took = (time.perf_counter() - start) / portions
        print(f"journal: {took * 1000:.1f} ms for a portion of 1,000 records and 1,000 lines of history")
        rows, _ = bench.shared.store.take(count, bench.now, WALL + bench.now)
        bench.journal.close()
    with tempfile.TemporaryDirectory() as folder:
        bench = SharingBench(Path(folder), settings, limits=limits, max_decisions=count * 2)
        gc.disable()  # as a node does while it starts
        used = time.process_time()
        bench.shared.restore(rows, bench.now)
        used = time.process_time() - used
        print(f"restart: {used / len(rows) * 1e6:.1f} us of a core for a record read from the journal")
        bench.journal.close()
