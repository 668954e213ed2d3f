"""What the journal forgets. A million rows are gone through in portions, with packets between them.

Whatever a portion deletes is committed when ``forget`` yields, so it may end anywhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from shield.blocklist.journal_accounts import FORGET_ACCOUNTS, MAX_REPORTS
from shield.blocklist.journal_file import JournalFile

__all__ = ["forget", "trim_alerts"]

LOOKED_AT = 20_000
"""Rows gone through in one portion: some 4 ms."""

DELETED = 500
"""Rows deleted in one portion: 2 to 4 ms, for each stands in two indexes too."""

DELETED_ALERTS = 400
"""The same for alerts, half a page each. More than come between two calls of ``trim_alerts``."""

Bounds = tuple[int, int]


def forget(
    file: JournalFile, wall: float, oldest: float, *, max_history: int, max_alerts: int
) -> Iterator[None]:
    """Delete what has ended at ``wall``, what is from before ``oldest``, and what is too much."""
    _delete(file, "DELETE FROM allowed WHERE until <= ?", wall)
    yield from _forget_decisions(file, wall)
    yield from _forget_shared(file, wall)
    aged = "DELETE FROM history WHERE rowid IN (SELECT rowid FROM history WHERE at < ? LIMIT ?)"
    while _delete(file, aged, oldest, DELETED) == DELETED:
        yield
    yield from _forget_alerts(file, oldest)
    _delete(file, FORGET_ACCOUNTS, oldest, MAX_REPORTS)
    yield from _trim_history(file, _count(file, "history") - max_history)
    while _count(file, "alerts") > max_alerts:
        deleted: list[int] = []
        file.write(0, lambda db: deleted.append(trim_alerts(db, max_alerts)))  # noqa: B023 - runs now or never
        if not deleted:
            break
        yield


def trim_alerts(db: sqlite3.Connection, keep: int) -> int:
    """Delete a portion of what is more than ``keep`` alerts, unproven ones first; returns how many."""
    surplus = db.execute("SELECT count(*) FROM alerts").fetchone()[0] - keep
    if surplus <= 0:
        return 0
    return db.execute(
        "DELETE FROM alerts WHERE rowid IN (SELECT rowid FROM alerts ORDER BY proven, rowid LIMIT ?)",
        (min(surplus, DELETED_ALERTS),),
    ).rowcount


def _forget_decisions(file: JournalFile, wall: float) -> Iterator[None]:
    low: tuple[str, str] | None = ("", "")
    after = "SELECT value, proof FROM decisions WHERE (value, proof) > (?, ?) ORDER BY value, proof"
    ended = "DELETE FROM decisions WHERE (value, proof) > (?, ?) AND until <= ?"
    while low is not None:
        high = next(iter(file.rows(f"{after} LIMIT 1 OFFSET {LOOKED_AT}", low)), None)
        if high is None:
            _delete(file, ended, *low, wall)
        else:
            _delete(file, f"{ended} AND (value, proof) <= (?, ?)", *low, wall, *high)
        low = high
        yield


def _forget_shared(file: JournalFile, wall: float) -> Iterator[None]:
    """Delete records that ended while this node did not run; the others it has taken out itself."""
    low: bytes | None = b""
    ended = "DELETE FROM shared WHERE key > ? AND until <= ?"
    after = "SELECT key FROM shared WHERE key > ? ORDER BY key LIMIT 1 OFFSET ?"
    while low is not None:
        high: bytes | None = next(iter(file.rows(after, (low, LOOKED_AT))), (None,))[0]
        if high is None:
            _delete(file, ended, low, wall)
        else:
            _delete(file, f"{ended} AND key <= ?", low, wall, high)
        low = high
        yield


def _forget_alerts(file: JournalFile, oldest: float) -> Iterator[None]:
    aged = "DELETE FROM alerts WHERE rowid > ? AND rowid <= ? AND at < ?"
    for low, high in _slices(file, "alerts", DELETED_ALERTS):
        # They stand in order of time, but for a clock set back: newer ones need no look.
        if not _delete(file, aged, low, high, oldest):
            break
        yield


def _trim_history(file: JournalFile, surplus: int) -> Iterator[None]:
    """Delete the oldest unproven rows, and when that is not enough the oldest of all."""
    chosen = "SELECT rowid FROM history WHERE rowid > ? AND rowid <= ?"
    for rank in ("AND proof <> 'proven'", ""):
        query = f"DELETE FROM history WHERE rowid IN ({chosen} {rank} LIMIT ?)"  # noqa: S608
        for low, high in _slices(file, "history", LOOKED_AT) if surplus > 0 else ():
            deleted = limit = min(DELETED, surplus)
            while surplus > 0 and deleted == limit:
                limit = min(DELETED, surplus)
                deleted = _delete(file, query, low, high, limit)
                surplus -= deleted
                yield
            if surplus <= 0:
                return


def _slices(file: JournalFile, table: str, size: int) -> Iterator[Bounds]:
    """Bounds of rowids from the oldest row to the newest: above the one, not above the other."""
    # Not min and max in one query: SQLite reads the whole table for that.
    first = next(iter(file.rows(f"SELECT min(rowid) FROM {table}")), (None,))[0]  # noqa: S608
    last = next(iter(file.rows(f"SELECT max(rowid) FROM {table}")), (None,))[0]  # noqa: S608
    if first is not None and last is not None:
        for low in range(first - 1, last, size):
            yield low, low + size


def _count(file: JournalFile, table: str) -> int:
    """Rows of a table: 5 ms for a million."""
    return int(next(iter(file.rows(f"SELECT count(*) FROM {table}")), (0,))[0])  # noqa: S608


def _delete(file: JournalFile, query: str, *values: object) -> int:
    """Run one deletion in a transaction; 0 when the disk refuses, then it waits like all else."""
    deleted: list[int] = []
    if file.flush():
        file.write(0, lambda db: deleted.append(db.execute(query, values).rowcount))
    return deleted[0] if deleted else 0
