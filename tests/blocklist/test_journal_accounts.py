"""Taken over accounts in the journal: kept over a restart, replaced by later states, pruned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shield.blocklist import journal_prune
from shield.blocklist.journal import Journal, JournalSettings
from shield.blocklist.journal_accounts import read_account
from shield.errors import InputError

WALL = 1_800_000_000.0


def report(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"node-{number}", "succeeded": WALL + number, "account": "\udcff1001", **more}


@pytest.fixture
def settings(tmp_path: Path) -> JournalSettings:
    return JournalSettings(path=str(tmp_path / "journal.db"), history_days=1)


def test_reports_survive_a_restart(settings: JournalSettings) -> None:
    """Newest first, each in its latest state, text of the network as it was."""
    journal = Journal(settings)
    journal.record_accounts([report(1), report(2)])
    journal.record_accounts([report(1, calls_total=3)])
    journal.close()
    journal = Journal(settings)
    assert journal.accounts(-1) == [report(2), report(1, calls_total=3)]
    assert journal.accounts(1) == [report(2)]
    journal.forget_account("node-2")
    assert journal.accounts(-1) == [report(1, calls_total=3)]
    journal.close()


def test_old_and_too_many_reports_are_forgotten(
    settings: JournalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By age as alerts are, and beyond MAX_REPORTS the oldest."""
    monkeypatch.setattr(journal_prune, "MAX_REPORTS", 3)
    journal = Journal(settings)
    journal.record_accounts([report(number) for number in range(6)] + [report(-90_000)])
    for _ in journal.prune(WALL):
        pass
    assert [row["id"] for row in journal.accounts(-1)] == ["node-5", "node-4", "node-3"]
    journal.close()


@pytest.mark.parametrize("data", ["[]", "{}", '{"id": "other"}'])
def test_a_row_that_makes_no_sense_is_skipped(data: str) -> None:
    """Somebody changed the file."""
    with pytest.raises(InputError):
        read_account(("node-1", WALL, data))
    with pytest.raises(json.JSONDecodeError):
        read_account(("node-1", WALL, "{"))
