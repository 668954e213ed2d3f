"""The tables of the journal: laid out, brought up to date step by step, never half."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from shield.blocklist import journal_schema
from shield.blocklist.journal_schema import (
    SALVAGED,
    SCHEMA_VERSION,
    STEPS,
    ForeignFileError,
    check_version,
    migrate,
)
from shield.errors import SystemFailure

NEXT = """
CREATE TABLE more (value TEXT PRIMARY KEY);
ALTER TABLE history ADD COLUMN node TEXT NOT NULL DEFAULT '';
"""
"""A step as a later shield may add it."""


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    yield connection
    connection.close()


def version(db: sqlite3.Connection) -> int:
    found: int = db.execute("PRAGMA user_version").fetchone()[0]
    return found


def tables(db: sqlite3.Connection) -> dict[str, str]:
    return dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())


def test_an_empty_file_gets_every_table(db: sqlite3.Connection) -> None:
    """All steps run on a fresh file, and what is saved from a damaged one are tables of it."""
    assert migrate(db) == 0
    assert version(db) == SCHEMA_VERSION == len(STEPS)
    assert {"decisions", "history", "alerts", "allowed"} <= tables(db).keys()
    for table, key in SALVAGED.items():
        db.execute(f"SELECT {key} FROM {table}")
    check_version(db)


def test_an_older_file_goes_through_the_missing_steps_and_keeps_its_rows(db: sqlite3.Connection) -> None:
    """Version N becomes N + 2 by two steps; a row from before is there after."""
    migrate(db)
    db.execute(
        "INSERT INTO history VALUES (1,'added','','192.0.2.1','proven','i','s','o','ban',1,2,1,0,'','')"
    )
    later = (*STEPS, NEXT, "CREATE TABLE last (it);")
    assert migrate(db, later) == SCHEMA_VERSION
    assert version(db) == SCHEMA_VERSION + 2
    assert db.execute("SELECT value, node FROM history").fetchall() == [("192.0.2.1", "")]
    assert {"more", "last"} <= tables(db).keys()
    assert migrate(db, later) == SCHEMA_VERSION + 2


def test_the_file_of_version_1_is_brought_up_to_date(db: sqlite3.Connection) -> None:
    """What the first release laid out ends with the same tables as a fresh file."""
    migrate(db, STEPS[:1])
    migrate(db)
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    migrate(fresh)
    assert tables(db) == tables(fresh)
    fresh.close()


def test_a_step_that_fails_changes_nothing(db: sqlite3.Connection) -> None:
    """The second statement is refused: the first is undone and the version stays, to be tried again."""
    migrate(db)
    before = tables(db)
    with pytest.raises(sqlite3.OperationalError):
        migrate(db, (*STEPS, "CREATE TABLE more (it); CREATE TABLE alerts (it);"))
    assert not db.in_transaction
    assert (tables(db), version(db)) == (before, SCHEMA_VERSION)


def test_a_newer_file_is_refused_by_name_and_left_alone(db: sqlite3.Connection) -> None:
    """Neither the daemon nor a reader guesses at tables that a later shield made."""
    migrate(db, (*STEPS, NEXT))
    wanted = f"version is {SCHEMA_VERSION + 1}, a newer shield wrote it; .* up to {SCHEMA_VERSION}"
    with pytest.raises(SystemFailure, match=wanted):
        migrate(db)
    with pytest.raises(SystemFailure, match=wanted):
        check_version(db)
    assert not db.in_transaction
    assert version(db) == SCHEMA_VERSION + 1


@pytest.mark.parametrize("number", [0, -1])
def test_tables_of_somebody_else_are_not_touched(db: sqlite3.Connection, number: int) -> None:
    """A database without a version that shield gives is none of ours."""
    db.execute("CREATE TABLE theirs (it)")
    db.execute(f"PRAGMA user_version={number}")
    with pytest.raises(ForeignFileError):
        migrate(db)
    assert tables(db).keys() == {"theirs"}


def test_a_reader_of_an_older_file_is_told_what_to_do(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may not write, so the start of a daemon has to bring the file up to date."""
    migrate(db)
    monkeypatch.setattr(journal_schema, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with pytest.raises(SystemFailure, match="a start of shield brings it up to date"):
        check_version(db)
