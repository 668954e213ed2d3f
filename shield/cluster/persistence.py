"""Persistence: what a journal stores of a replicated map, and how it comes back after a restart.

Ends are stored as wall time. Storing is the caller's: rows out, rows in.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any

from shield.cluster.clock import COUNTER_BITS, MAX_AHEAD
from shield.cluster.entry import Record, Row
from shield.cluster.replicated import ReplicatedMap

__all__ = ["changes", "restore"]


def changes(table: ReplicatedMap, now: float, wall: float) -> tuple[list[Row], list[bytes]]:
    """Return the rows that are new or different since the last call, and the keys that are gone.

    For maps made with ``journaled``. Whoever cannot store them has to start over with all rows.
    """
    rows: list[Row] = []
    gone: list[bytes] = []
    for key in table.dirty or ():
        held = table.get(key)
        if held is None:
            gone.append(key)
        else:
            rows.append((key, held.origin, held.stamp, held.until - now + wall, held.value, held.seal))
    if table.dirty:
        table.dirty = set()
    return rows, gone


def restore(table: ReplicatedMap, rows: Iterable[Row], now: float, wall: float) -> int:
    """Take the rows of a journal; returns how many are in the map. Those that make no sense are counted.

    Our own rows are written anew, with new stamps, when others would refuse the old ones: the wall clock
    was wrong when they were written, or the node has another secret now.
    """
    before = len(table)
    dirty, table.dirty = table.dirty, None
    anew: list[Record] = []
    newest = wall
    for row in rows:
        record = _read(row, wall)
        if record is None:
            table.counters["bad_row"] += 1
            continue
        origin = row[1]
        if origin == table.node and not _ours(table, record, wall):
            anew.append(record)
            continue
        newest = max(newest, _written(record[1]))
        table.merge_many(origin, (record,), now, newest)
    table.dirty = dirty
    for key, _, remaining, value, _ in anew:
        if value is not None and remaining > 0:
            table.put(key, value, remaining / 1000, now, wall)
    return len(table) - before


def _written(stamp: int) -> float:
    """Return the wall time of a stamp."""
    return (stamp >> COUNTER_BITS) / 1000


def _ours(table: ReplicatedMap, record: Record, wall: float) -> bool:
    """Whether others still take a record as one of this node."""
    key, stamp, _, value, seal = record
    return stamp <= table.clock.horizon(wall) and table.seal(key, stamp, value) == seal


def _read(row: Any, wall: float) -> Record | None:
    """Return a row as a record, None if it makes no sense (somebody changed the file)."""
    try:
        key, origin, stamp, until, value, seal = row
        written = _written(stamp)
        # A clock that is days behind what is stored was not set yet: nothing must live longer for it.
        left = until - (written if written > wall + MAX_AHEAD else wall)
    except (TypeError, ValueError, OverflowError):
        return None
    readable = type(key) is bytes and len(key) > 0 and type(origin) is str and type(stamp) is int
    if (
        not readable
        or not isfinite(left)
        or not 0 < stamp < 1 << 63
        or not (value is None or type(value) is bytes)
    ):
        return None
    return key, stamp, round(left * 1000), value, seal
