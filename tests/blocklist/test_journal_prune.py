"""The journal forgets in portions: what is old, ended or too much, and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shield.blocklist import journal_prune as module
from shield.blocklist.journal import TRIM_EVERY, Journal, JournalSettings
from shield.blocklist.journal_prune import DELETED_ALERTS

WALL = 1_800_000_000.0
DAY = 86_400.0


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many portions for a few rows as a million would take."""
    monkeypatch.setattr(module, "LOOKED_AT", 4)
    monkeypatch.setattr(module, "DELETED", 3)
    monkeypatch.setattr(module, "DELETED_ALERTS", 2)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Journal]:
    settings = JournalSettings(path=str(tmp_path / "j.db"), history_days=1, max_history=8, max_alerts=6)
    journal = Journal(settings)
    yield journal
    journal.close()


def put(journal: Journal, query: str, rows: list[tuple[Any, ...]]) -> None:
    journal._file.write(0, lambda db: db.executemany(query, rows))


def past(journal: Journal, *rows: tuple[str, float, str]) -> None:
    """Lines of history: value, how old, proof."""
    full = [
        (WALL - age, "added", "", value, proof, "", "", "", "ban", 0.0, WALL, 1.0, 0, "", "")
        for value, age, proof in rows
    ]
    put(journal, "INSERT INTO history VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", full)


def alerts(journal: Journal, *rows: tuple[str, float, int]) -> None:
    """Alerts: value, how old, proven."""
    full = [(WALL - age, value, proven, f'{{"value": "{value}"}}') for value, age, proven in rows]
    put(journal, "INSERT INTO alerts VALUES (?,?,?,?)", full)


def prune(journal: Journal, wall: float = WALL) -> int:
    """Run to the end; gives the number of portions."""
    return sum(1 for _ in journal.prune(wall))


def values(journal: Journal, table: str) -> list[str]:
    order = "rowid" if table in {"history", "alerts"} else "value"
    return [row[0] for row in journal._file.rows(f"SELECT value FROM {table} ORDER BY {order}")]


def test_old_history_and_alerts_go(opened: Journal) -> None:
    """All of before history_days, in several portions; what is younger stays."""
    past(opened, *((f"old{n}", 2 * DAY, "proven") for n in range(7)), ("young", 9.0, "unproven"))
    alerts(opened, *((f"old{n}", 2 * DAY, 1) for n in range(5)), ("young", 9.0, 0))
    assert prune(opened) > 4
    assert values(opened, "history") == ["young"]
    assert values(opened, "alerts") == ["young"]


def test_of_too_much_history_unproven_goes_first_and_the_oldest(opened: Journal) -> None:
    """12 rows where 8 may stay: three unproven and the oldest proven one go."""
    rows = [(f"u{n}" if n in {1, 6, 11} else f"p{n}", 60.0 - n) for n in range(12)]
    past(opened, *((value, age, "unproven" if value[0] == "u" else "proven") for value, age in rows))
    prune(opened)
    assert values(opened, "history") == ["p2", "p3", "p4", "p5", "p7", "p8", "p9", "p10"]


def test_no_more_unproven_history_goes_than_must(opened: Journal) -> None:
    """The newest of a flood stay, within the limit."""
    past(opened, *((f"u{n}", 60.0 - n, "unproven") for n in range(20)), ("p", 1.0, "proven"))
    prune(opened)
    assert values(opened, "history") == [*(f"u{n}" for n in range(13, 20)), "p"]


def test_too_many_alerts_go_unproven_first(opened: Journal) -> None:
    """As with history."""
    alerts(opened, ("p", 50.0, 1), *((f"u{n}", 40.0 - n, 0) for n in range(12)))
    prune(opened)
    assert values(opened, "alerts") == ["p", "u7", "u8", "u9", "u10", "u11"]


def test_ended_decisions_and_entries_go(opened: Journal) -> None:
    """What ends later or never stays, wherever it stands among the rest."""
    row = "node", "ban", 0.0
    put(
        opened,
        "INSERT INTO decisions VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        [
            (f"v{n:02}", proof, "i", "s", *row, WALL + (60 if n % 5 == 0 else -60), 1.0, 0, "", "")
            for n in range(11)
            for proof in ("proven", "unproven")
        ],
    )
    entries = [("gone", WALL - 1), ("later", WALL + 1), ("ever", None)]
    allowed = [(value, "name", "[]", "", "cli", 0.0, until) for value, until in entries]
    put(opened, "INSERT INTO allowed VALUES (?,?,?,?,?,?,?)", allowed)
    prune(opened)
    assert values(opened, "decisions") == ["v00", "v00", "v05", "v05", "v10", "v10"]
    assert sorted(values(opened, "allowed")) == ["ever", "later"]


def test_pruning_history_ends_no_ban(opened: Journal) -> None:
    """A live decision is not touched, however much its history is cut."""
    row = ("v", "proven", "i", "s", "node", "ban", 0.0, WALL + 60, 1.0, 0, "", "")
    put(opened, "INSERT INTO decisions VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", [row])
    past(opened, *(("v", 2 * DAY, "proven") for _ in range(30)))
    prune(opened)
    assert values(opened, "decisions") == ["v"]


def test_writing_goes_on_between_portions(opened: Journal) -> None:
    """New rows are neither lost nor in the way."""
    past(opened, *((f"old{n}", 2 * DAY, "proven") for n in range(7)))
    for _ in opened.prune(WALL):
        if len(values(opened, "history")) < 7:
            past(opened, ("new", 1.0, "proven"))
    assert set(values(opened, "history")) == {"new"}


def test_nothing_to_do_is_soon_done(opened: Journal) -> None:
    """An empty journal takes one or two portions."""
    assert prune(opened) <= 2


def test_a_disk_that_refuses_ends_it(opened: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not go round for ever; the next hour finds what is left."""
    past(opened, *((f"old{n}", 2 * DAY, "proven") for n in range(30)))
    alerts(opened, *((f"u{n}", 9.0, 0) for n in range(30)))
    refused = sqlite3.OperationalError("disk is full")

    def commit(_job: object) -> None:
        raise refused

    with monkeypatch.context() as patched:
        patched.setattr(opened._file, "_commit", commit)
        assert prune(opened) < 40
        assert opened.stats.write_failures
    prune(opened)
    assert values(opened, "history") == []
    assert len(values(opened, "alerts")) == 6


def test_alerts_do_not_pile_up_between_two_trims() -> None:
    """Each trim takes away more than has come since the last one."""
    assert DELETED_ALERTS > TRIM_EVERY
