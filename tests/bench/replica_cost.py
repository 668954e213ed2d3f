"""What a replicated map costs: time and memory for each record, measured in this process.

``scripts/bench replica`` prints it; a wider benchmark can call the same functions.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
from random import Random
from typing import Any

from shield.cluster.chunks import CHUNK_RECORDS, pack_records, unpack_records
from shield.cluster.entry import SEAL_LIMIT, Limits
from shield.cluster.replicated import ReplicatedMap
from shield.cluster.sync import Sync
from shield.wire import pack_value, unpack_value
from tests.cluster.replica_net import Net, NodeOutlet

WALL = 1_700_000_000.0
VALUE = 90
"""Octets of a value: a decision with scenario, id and a short reason."""

ROOMY = Limits(per_origin=2_000_000, bytes_per_origin=1 << 30, total=2_000_000)


def chunks(count: int) -> list[bytes]:
    """Chunks as a joiner gets them: IPv4 bans, with values that compress by half."""
    random = Random(1)
    made = []
    for first in range(0, count, CHUNK_RECORDS):
        records = [
            (
                b"b\x20" + (number * 2654435761 % 2**32).to_bytes(4, "big"),
                (int(WALL * 1000) + number) << 16,
                random.randrange(10_000_000, 14_400_000),
                random.randbytes(VALUE // 2) + b"x" * (VALUE // 2),
                random.randrange(SEAL_LIMIT),
            )
            for number in range(first, min(first + CHUNK_RECORDS, count))
        ]
        made.append(pack_records(records))
    return made


def new() -> ReplicatedMap:
    return ReplicatedMap("bench", "me", b"secret", ROOMY)


def timed(call: Callable[[], Any]) -> float:
    gc.collect()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def bulk(count: int) -> dict[str, float]:
    """Microseconds a record to unpack and merge chunks; what the upkeep of a full map costs."""
    packed, table = chunks(count), new()
    turns = []

    def merge() -> None:
        for chunk in packed:
            start = time.perf_counter()
            table.merge_many("origin", unpack_records(chunk), 10.0, WALL)
            turns.append(time.perf_counter() - start)

    seconds = timed(merge)
    assert len(table) == count
    again = timed(merge)
    turns.sort()
    return {
        "records": count,
        "merge_us": 1e6 * seconds / count,
        "merge_again_us": 1e6 * again / count,
        "turn_ms_p50": 1e3 * turns[len(turns) // 2],
        "turn_ms_p99": 1e3 * turns[len(turns) * 99 // 100],
        "turn_ms_max": 1e3 * turns[-1],
        "digest_us": 1e6 * timed(lambda: [table.digest(10.0) for _ in range(1000)]) / 1000,
        "expire_us": 1e6 * timed(lambda: table.expire(1e9, count)) / count,
    }


def pushes(count: int) -> dict[str, float]:
    """Single pushes a second that are unpacked and merged by the sync of a node."""
    net = Net("ab", limits=ROOMY)
    node = net.nodes["b"]
    records = [record for chunk in chunks(count) for record in unpack_records(chunk)]
    bodies = [pack_value(("put", (record,), None)) for record in records]
    table = new()
    sync = Sync(table, NodeOutlet(node), lambda *_: None)

    def receive() -> None:
        for body in bodies:
            sync.receive("a", unpack_value(body), 10.0, WALL)

    seconds = timed(receive)
    assert len(table) == count
    return {"pushes_per_second": count / seconds}


def memory(count: int) -> dict[str, float]:
    """Bytes of a record in a map that was filled by chunks; the peak while it was, by the final size."""
    packed = chunks(count)
    gc.collect()
    tracemalloc.start()
    table = new()
    for chunk in packed:
        table.merge_many("origin", unpack_records(chunk), 10.0, WALL)
    gc.collect()
    size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(table) == count
    return {"bytes_per_record": size / count, "peak_by_final": peak / size}


def join(count: int) -> dict[str, float]:
    """Seconds until a node with an empty map has everything of another; both in this process."""
    net = Net("a", limits=ROOMY)
    source = net.nodes["a"].table
    now, wall = net.nodes["a"].now, net.nodes["a"].wall
    source.dirty = None
    for number in range(count):
        key = b"b\x20" + (number * 2654435761 % 2**32).to_bytes(4, "big")
        source.put(key, b"v" * VALUE, 14_400, now, wall)
    joiner = net.add("b", ROOMY)
    joiner.table.dirty = None
    joiner.on_applied = lambda *_: None  # type: ignore[method-assign]
    joiner.sync = Sync(joiner.table, NodeOutlet(joiner), joiner.on_applied)
    net.delay = 0.001
    seconds = timed(lambda: net.run_until_equal(3600))
    assert len(joiner.table) == count
    return {"join_seconds": seconds, "join_us": 1e6 * seconds / count}
