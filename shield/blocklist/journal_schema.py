"""The tables of the journal's file, and how a file of an earlier shield is brought up to date.

A change of the tables is one more entry at the end of ``STEPS``; nothing else knows the number.
Entries that were released are never edited: files out there went through them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing

from shield.errors import SystemFailure

__all__ = ["SALVAGED", "SCHEMA_VERSION", "ForeignFileError", "check_version", "migrate"]

_TABLES = """
CREATE TABLE decisions (
    value TEXT NOT NULL, proof TEXT NOT NULL, id TEXT NOT NULL, scenario TEXT NOT NULL,
    origin TEXT NOT NULL, type TEXT NOT NULL, time REAL NOT NULL, until REAL NOT NULL,
    duration REAL NOT NULL, repeats INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (value, proof)
) WITHOUT ROWID;
CREATE TABLE history (
    at REAL NOT NULL, change TEXT NOT NULL, why TEXT NOT NULL,
    value TEXT NOT NULL, proof TEXT NOT NULL, id TEXT NOT NULL, scenario TEXT NOT NULL,
    origin TEXT NOT NULL, type TEXT NOT NULL, time REAL NOT NULL, until REAL NOT NULL,
    duration REAL NOT NULL, repeats INTEGER NOT NULL, reason TEXT NOT NULL
);
CREATE INDEX history_value ON history (value);
CREATE INDEX history_at ON history (at);
CREATE TABLE alerts (
    at REAL NOT NULL, value TEXT NOT NULL, proven INTEGER NOT NULL, data TEXT NOT NULL
);
CREATE INDEX alerts_value ON alerts (value);
CREATE INDEX alerts_proven ON alerts (proven);
CREATE TABLE allowed (
    value TEXT PRIMARY KEY, kind TEXT NOT NULL, networks TEXT NOT NULL, reason TEXT NOT NULL,
    origin TEXT NOT NULL, time REAL NOT NULL, until REAL
) WITHOUT ROWID;
"""

_SHARED = """
CREATE TABLE shared (
    key BLOB PRIMARY KEY, origin TEXT NOT NULL, stamp INTEGER NOT NULL, until REAL NOT NULL,
    value BLOB, seal INTEGER NOT NULL, held INTEGER NOT NULL
) WITHOUT ROWID;
"""

_PORTS = """
ALTER TABLE decisions ADD COLUMN ports TEXT NOT NULL DEFAULT '';
ALTER TABLE history ADD COLUMN ports TEXT NOT NULL DEFAULT '';
"""
"""Ports of a limit."""

_COMPROMISED = """
CREATE TABLE compromised (id TEXT PRIMARY KEY, at REAL NOT NULL, data TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX compromised_at ON compromised (at);
"""

STEPS: tuple[str, ...] = (_TABLES, _SHARED, _PORTS, _COMPROMISED)
"""Step N makes version N + 1 of version N, in SQL statements that end with ``;``. 0 is an empty file."""

SCHEMA_VERSION = len(STEPS)
"""What this shield writes, kept in the file as ``user_version``."""

SALVAGED = {"decisions": "value", "allowed": "value", "shared": "key", "compromised": "id"}
"""Tables that are copied out of a damaged file as far as it can be read, and the key to read them by."""


class ForeignFileError(sqlite3.DatabaseError):
    """A database, but not one that shield made."""


def migrate(db: sqlite3.Connection, steps: Sequence[str] = STEPS) -> int:
    """Bring the tables up to date in one transaction; returns the version that was found.

    Raises SystemFailure for a file of a newer shield, ForeignFileError for one of somebody else. The
    transaction also proves that the file may be written to.
    """
    with closing(db.cursor()) as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        try:
            found: int = cursor.execute("PRAGMA user_version").fetchone()[0]
            tables = cursor.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if found < 0 or (tables and not found):
                raise ForeignFileError(f"it has tables, but version {found}")
            if found > len(steps):
                raise _newer(found, len(steps))
            for step in steps[found:]:
                for statement in step.split(";"):
                    if statement.strip():
                        cursor.execute(statement)
            if found != len(steps):
                cursor.execute(f"PRAGMA user_version={len(steps)}")
            cursor.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                cursor.execute("ROLLBACK")
            raise
    return found


def check_version(db: sqlite3.Connection) -> None:
    """Raise SystemFailure when the tables are not those of this shield: a reader cannot migrate."""
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found > SCHEMA_VERSION:
        raise _newer(found, SCHEMA_VERSION)
    if found < SCHEMA_VERSION:
        raise SystemFailure(
            f"its version is {found}, this shield reads {SCHEMA_VERSION}; "
            "a start of shield brings it up to date"
        )


def _newer(found: int, known: int) -> SystemFailure:
    return SystemFailure(
        f"its version is {found}, a newer shield wrote it; this one knows versions up to {known}"
    )
