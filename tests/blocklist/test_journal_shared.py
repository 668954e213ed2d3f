"""Shared records in the journal: saved, read again, pruned, and copied out of a damaged file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from shield.blocklist import journal_prune
from shield.blocklist.decision import Change, ChangeKind
from shield.blocklist.journal import Journal, JournalSettings
from shield.blocklist.journal_shared import SharedRow, read_shared
from shield.detect.alert import Proof
from shield.errors import InputError
from tests.blocklist.sharing_lab import WALL, Lab

BAN = SharedRow((b"b\x20abcd", "a", 5 << 60, WALL + 60, b"value", (1 << 63) - 1), held=False)
HELD = SharedRow((b"b\x20abce", "b", 7, WALL + 90, b"other", 3), held=True)
GONE = SharedRow((b"b\x20abcf", "c", 8, WALL + 99, None, 4), held=False)


@pytest.fixture
def settings(tmp_path: Path) -> JournalSettings:
    return JournalSettings(path=str(tmp_path / "journal.db"))


def test_records_survive_a_restart(settings: JournalSettings) -> None:
    """Values, tombstones and what is held; a later state replaces the earlier, the forgotten is gone."""
    journal = Journal(settings)
    journal.record_shared([BAN, HELD, GONE], [])
    newer = BAN._replace(held=True)
    journal.record_shared([newer], [GONE.row[0]])
    journal.record_shared([], [])
    journal.close()
    journal = Journal(settings)
    assert sorted(journal.load_shared(WALL)) == [newer, HELD]
    assert journal.load_shared(WALL + 60) == [HELD]
    for _ in journal.prune(WALL + 95):
        pass
    assert journal.load_shared(WALL) == []
    journal.close()


def test_ended_records_are_forgotten_in_portions(
    settings: JournalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row is looked at once, whatever the portions are."""
    monkeypatch.setattr(journal_prune, "LOOKED_AT", 3)
    journal = Journal(settings)
    rows = [SharedRow((b"k%02d" % n, "a", n + 1, WALL + n % 2, b"v", n), held=False) for n in range(20)]
    journal.record_shared(rows, [])
    steps = sum(1 for _ in journal.prune(WALL))
    assert steps > 5
    assert len(journal.load_shared(0.0)) == 10
    journal.close()


def test_rows_that_make_no_sense_are_skipped(settings: JournalSettings) -> None:
    """Somebody edited the file: one row costs no other."""
    journal = Journal(settings)
    journal.record_shared([BAN, HELD], [])
    with sqlite3.connect(settings.path) as db:
        db.execute("UPDATE shared SET origin = x'ff' WHERE held = 1")
    db.close()
    assert journal.load_shared(WALL) == [BAN]
    assert journal.stats.rows_skipped == 1
    journal.close()


@pytest.mark.parametrize(
    "wrong",
    [(b"", 0), ("text", 0), (None, 1), (5.0, 2), ("x", 3), (float("inf"), 3), (9, 4), ("seal", 5)],
)
def test_each_column_is_checked(wrong: tuple[object, int]) -> None:
    """Type and size."""
    columns = [*BAN.row, 0]
    columns[wrong[1]] = wrong[0]  # type: ignore[call-overload]
    with pytest.raises(InputError):
        read_shared(tuple(columns))


def test_decisions_of_others_are_stored_once(settings: JournalSettings) -> None:
    """In the shared records; the history has them, and an own decision that they replace is gone."""
    lab = Lab("a")
    own, other = lab["a"].decision("192.0.2.1", 60), lab["a"].decision("192.0.2.1", 90, origin="b")
    journal = Journal(settings)
    journal.record([Change(ChangeKind.ADDED, own)], lab.now, WALL)
    journal.record([Change(ChangeKind.EXTENDED, other)], lab.now, WALL, shared=True)
    fresh = lab["a"].decision("192.0.2.2", 90, origin="b")
    journal.record([Change(ChangeKind.ADDED, fresh)], lab.now, WALL, shared=True)
    weak = fresh._replace(proof=Proof.UNPROVEN)
    journal.record([Change(ChangeKind.EXTENDED, weak)], lab.now, WALL, shared=True)
    assert journal.load(lab.now, WALL).decisions == []
    assert [row["origin"] for row in journal.history()] == ["b", "b", "b", "a"]
    journal.close()
