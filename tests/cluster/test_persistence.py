"""Persistence: rows out, rows in, with clocks that were set meanwhile and damaged files."""

from __future__ import annotations

from typing import Any

import pytest

from shield.cluster.persistence import changes, restore
from shield.cluster.replicated import ReplicatedMap
from tests.cluster.test_store import STAMP, WALL, audit

DAY = 86400


def new(secret: bytes = b"secret") -> ReplicatedMap:
    return ReplicatedMap("test", "me", secret, journaled=True)


def filled() -> ReplicatedMap:
    table = new()
    table.put(b"mine", b"v", 3600, 0, WALL)
    table.put(b"removed", b"v", 3600, 0, WALL)
    table.remove(b"removed", 0, WALL)
    table.merge("x", (b"theirs", STAMP, 3_600_000, b"w", 7), 0, WALL)
    table.merge("x", (b"short", STAMP, 60_000, b"w", 8), 0, WALL)
    return table


def test_a_map_comes_back_as_it_was_less_what_has_ended() -> None:
    """On another node time, ten minutes later."""
    table = filled()
    rows, gone = changes(table, 0, WALL)
    assert (len(rows), gone) == (4, [])
    again = new()
    assert restore(again, rows, 5000, WALL + 600) == 3
    audit(again)
    table.expire(600, 100)
    assert again.digest(5000) == table.digest(600)
    entry = again.get(b"theirs")
    assert entry is not None
    assert entry.until == pytest.approx(5000 + 3000)
    assert again.dirty == set(), "what was read needs no storing"
    for key, _, stamp, *_ in rows:
        if again.get(key) is not None:
            answer = again.put(key, b"", 60, 5000, WALL - DAY / 2)
            assert answer is not None
            assert answer.stamp > stamp, "also with a clock that was set back"


def test_changes_are_told_once() -> None:
    """New and changed entries as rows, removed ones as keys."""
    table = filled()
    changes(table, 0, WALL)
    assert changes(table, 0, WALL) == ([], [])
    table.put(b"mine", b"new", 60, 0, WALL)
    table.expire(62, 100)
    table.put(b"other", b"v", 60, 62, WALL)
    rows, gone = changes(table, 62, WALL)
    assert [row[0] for row in rows] == [b"other"]
    assert sorted(gone) == [b"mine", b"short"]
    assert changes(ReplicatedMap("test", "me", b""), 0, WALL) == ([], [])


def test_a_node_with_a_new_secret_writes_its_records_anew() -> None:
    """Others could not tell them from forged ones, and would be answered with tombstones."""
    rows, _ = changes(filled(), 0, WALL)
    again = new(b"another secret")
    assert restore(again, rows, 0, WALL) == 3
    entry = again.get(b"mine")
    assert entry is not None
    assert entry.seal == again.seal(b"mine", entry.stamp, b"v")
    assert again.dirty == {b"mine"}
    assert again.counters == {}


def test_records_written_while_the_clock_was_wrong_are_written_anew() -> None:
    """Stamps from another year are refused by everybody."""
    table = new()
    table.put(b"mine", b"v", 3600, 0, WALL + 900 * DAY)
    rows, _ = changes(table, 0, WALL + 900 * DAY)
    again = new()
    restore(again, rows, 0, WALL)
    entry = again.get(b"mine")
    assert entry is not None
    assert entry.stamp <= again.clock.horizon(WALL)
    assert entry.until == pytest.approx(3600, abs=1)


def test_a_clock_that_was_not_set_yet_makes_nothing_live_longer() -> None:
    """A machine without a battery starts in 1970, until NTP tells it the time."""
    rows, _ = changes(filled(), 0, WALL)
    again = new()
    assert restore(again, rows, 0, 60.0) == 3
    entry = again.get(b"theirs")
    assert entry is not None
    assert entry.until == pytest.approx(3600, abs=1)


@pytest.mark.parametrize(
    "row",
    [
        None, (), (b"k",), ("k", "x", STAMP, WALL + 9, b"", 1), (b"", "x", STAMP, WALL + 9, b"", 1),
        (b"k", b"x", STAMP, WALL + 9, b"", 1), (b"k", "x", "s", WALL + 9, b"", 1),
        (b"k", "x", -1, WALL + 9, b"", 1), (b"k", "x", STAMP, "soon", b"", 1),
        (b"k", "x", STAMP, float("nan"), b"", 1), (b"k", "x", STAMP, float("inf"), b"", 1),
        (b"k", "x", STAMP, WALL + 9, "v", 1), (b"k", "me", 2**63, WALL + 9, b"", 1),
        (b"k", "x", STAMP, 10**400, b"", 1),
    ],
)  # fmt: skip
def test_rows_that_make_no_sense_are_counted(row: Any) -> None:
    """The others are taken."""
    again = new()
    assert restore(again, [row, (b"good", "x", STAMP, WALL + 9, b"", 1)], 0, WALL) == 1
    assert again.counters == {"bad_row": 1}
