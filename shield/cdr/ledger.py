"""Ledger: the journal of a collector, one row for each call of the whole cluster.

Reports of one message and how far the sender's spool is confirmed are written in one transaction, so a
report counts once, however often it is sent and wherever the collector stops.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, fields
from typing import Any

from shield.cdr.merge import CallRow, CallState, hang_up, lose, merge
from shield.cdr.report import Kind, Report
from shield.cdr.store import Store

__all__ = ["Ledger"]

LAYOUT = (
    """
    CREATE TABLE call (
        key BLOB PRIMARY KEY, call_id BLOB, from_tag BLOB, to_tag BLOB, caller BLOB, called BLOB,
        account BLOB, source BLOB, server BLOB, started REAL, rang REAL, answered REAL, ended REAL,
        duration REAL, status INTEGER, state TEXT, node TEXT, nodes TEXT, marks TEXT, number INTEGER,
        written REAL
    ) WITHOUT ROWID;
    CREATE INDEX call_by_id ON call (call_id);
    CREATE INDEX call_by_start ON call (started);
    CREATE UNIQUE INDEX call_by_number ON call (number) WHERE number IS NOT NULL;
    CREATE INDEX call_open ON call (written) WHERE state = 'talking';
    CREATE TABLE source (node TEXT, epoch BLOB, upto INTEGER, PRIMARY KEY (node, epoch)) WITHOUT ROWID;
    CREATE TABLE export (kind TEXT PRIMARY KEY, file TEXT, size INTEGER, number INTEGER) WITHOUT ROWID
    """,
)
_NAMES = tuple(field.name for field in fields(CallRow))
COLUMNS = ", ".join(_NAMES)
_UPSERT = (
    f"INSERT OR REPLACE INTO call ({COLUMNS}, number, written) VALUES "  # noqa: S608 - own names
    f"({', '.join('?' * (len(_NAMES) + 2))})"
)
PORTION = 2_000
"""Rows that one look at old ones takes."""


class Ledger:
    """See the module's docstring. ``wall`` times are seconds since the epoch."""

    def __init__(self, path: str) -> None:
        self.store = Store(path, LAYOUT, safe=True)
        found = self.store.rows("SELECT max(number) FROM call")[0][0]
        export = self.store.rows("SELECT max(number) FROM export")[0][0]
        self.last = max(found or 0, export or 0)
        """Number of the call that was over last; finished calls are numbered without gaps."""

    def upto(self, node: str, epoch: bytes) -> int:
        """Number of the last report of a spool that is written."""
        rows = self.store.rows("SELECT upto FROM source WHERE node = ? AND epoch = ?", (node, epoch))
        return int(rows[0][0]) if rows else 0

    def write(  # noqa: PLR0917 - one of each
        self,
        node: str,
        epoch: bytes,
        reports: Sequence[tuple[int, Report]],
        offset: float,
        wall: float,
        last: int,
    ) -> list[CallRow]:
        """Write reports in the order of their numbers; gives the calls that changed.

        Those written already are passed over. ``offset``: our clock minus the node's. ``last``: number
        up to which the spool is confirmed then. Raises SystemFailure when the disk refuses; then nothing
        of it counts.
        """
        changed: dict[bytes, CallRow] = {}
        number = self.last
        with self.store.transaction() as db:
            upto = self.upto(node, epoch)
            for one, report in reports:
                if one > upto:
                    row = _apply(db, report, node, offset)
                    if row is not None:
                        number = _put(db, row, number, wall)
                        changed[row.key] = row
            if last > upto:
                db.execute("INSERT OR REPLACE INTO source VALUES (?, ?, ?)", (node, epoch, last))
        self.last = number
        return list(changed.values())

    def lose(self, before: float, wall: float) -> int:
        """Give up calls of which nothing was heard since ``before``; gives how many."""
        rows = self.store.rows(
            f"SELECT {COLUMNS} FROM call WHERE state = 'talking' AND written < ? LIMIT ?",  # noqa: S608
            (before, PORTION),
        )
        last = self.last
        if rows:
            with self.store.transaction() as db:
                for values in rows:
                    last = _put(db, lose(read_row(values)), last, wall)
        self.last = last
        return len(rows)

    def prune(self, before: float) -> int:
        """Delete calls that were over before this; gives how many."""
        with self.store.transaction() as db:
            return db.execute(
                "DELETE FROM call WHERE key IN"
                " (SELECT key FROM call WHERE number IS NOT NULL AND written < ? LIMIT ?)",
                (before, PORTION),
            ).rowcount

    def calls(
        self,
        where: str = "1",
        values: Sequence[Any] = (),
        *,
        order: str = "started DESC",
        limit: int = 100,
    ) -> list[tuple[int | None, CallRow]]:
        """Calls with their numbers; ``where`` is SQL of this package, never of a user."""
        rows = self.store.rows(
            f"SELECT number, {COLUMNS} FROM call WHERE {where} ORDER BY {order} LIMIT ?",  # noqa: S608
            (*values, limit),
        )
        return [(row[0], read_row(row[1:])) for row in rows]

    def counts(self) -> dict[str, int]:
        """Calls by state."""
        found = dict(self.store.rows("SELECT state, count(*) FROM call GROUP BY state"))
        return {state.value: found.get(state.value, 0) for state in CallState}

    def sources(self) -> Iterator[tuple[str, int]]:
        """Nodes, and up to which report each is written."""
        yield from self.store.rows("SELECT node, max(upto) FROM source GROUP BY node ORDER BY node")

    def close(self) -> None:
        """Close the file."""
        self.store.close()


def read_row(values: Sequence[Any]) -> CallRow:
    """A row as the file holds it."""
    found = dict(zip(_NAMES, values, strict=True))
    found["state"] = CallState(found["state"])
    found["nodes"] = tuple(filter(None, found["nodes"].split(",")))
    found["marks"] = frozenset(filter(None, found["marks"].split(",")))
    return CallRow(**found)


def _apply(db: sqlite3.Connection, report: Report, node: str, offset: float) -> CallRow | None:
    if report.kind is not Kind.BYE:
        return merge(_find(db, "key = ?", (report.key,)), report, node, offset)
    for row in _all(db, "call_id = ?", (report.call_id,)):
        found = hang_up(row, report, node, offset)
        if found is not None:
            return found
    return None


def _find(db: sqlite3.Connection, where: str, values: Sequence[Any]) -> CallRow | None:
    return next(iter(_all(db, where, values)), None)


def _all(db: sqlite3.Connection, where: str, values: Sequence[Any]) -> Iterable[CallRow]:
    return map(read_row, db.execute(f"SELECT {COLUMNS} FROM call WHERE {where}", values).fetchall())  # noqa: S608


def _put(db: sqlite3.Connection, row: CallRow, last: int, wall: float) -> int:
    """Write a call; one that is over for the first time gets the next number. Gives the last number."""
    known = db.execute("SELECT number FROM call WHERE key = ?", (row.key,)).fetchone()
    number = known[0] if known else None
    if number is None and row.final:
        number = last = last + 1
    *others, state, node, nodes, marks = astuple(row)
    values = (*others, str(state), node, ",".join(nodes), ",".join(sorted(marks)), number, wall)
    db.execute(_UPSERT, values)
    return last
