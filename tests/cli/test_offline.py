"""What the journal tells while no daemon runs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from shield.blocklist.decision import Change, ChangeKind, Decision
from shield.blocklist.journal import Journal, JournalSettings
from shield.cli import offline
from shield.detect.alert import Proof
from shield.net import Network

READ_PATH = offline.journal_path
"""The real function; the fixtures replace it for everything else."""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal with one live ban and one that has ended."""
    path = tmp_path / "journal.db"
    book = Journal(JournalSettings(path=str(path)))
    wall = time.time()
    for value, duration in (("203.0.113.5", 3600.0), ("203.0.113.6", 0.001)):
        ban = Decision(
            Network.parse(value), "scan", "node-a", Proof.PROVEN, wall, 10.0 + duration, duration, value
        )
        book.record([Change(ChangeKind.ADDED, ban)], 10.0, wall)
    book.close()
    time.sleep(0.01)
    return path


@pytest.mark.usefixtures("journal")
def test_list_falls_back_to_the_journal(shield: Any) -> None:
    """Bans that have not ended are listed, and it says whose word that is."""
    result = shield("list", "-o", "json")
    assert result.exit_code == 0
    assert [row["value"] for row in json.loads(result.stdout)] == ["203.0.113.5"]
    assert "journal.db says" in result.stderr


@pytest.mark.usefixtures("journal")
def test_the_filter_works_there_too(shield: Any) -> None:
    """The same grammar picks rows of the journal."""
    assert json.loads(shield("list", "scenario=flood", "-o", "json").stdout) == []
    assert len(json.loads(shield("list", "remaining>50m", "-o", "json").stdout)) == 1


@pytest.mark.usefixtures("journal")
def test_show_falls_back_to_the_journal(shield: Any) -> None:
    """State, decision and history of one address."""
    answer = json.loads(shield("show", "203.0.113.5", "-o", "json").stdout)
    assert answer["state"] == "banned"
    assert [row["value"] for row in answer["decisions"]] == ["203.0.113.5"]
    assert [(row["kind"], row["scenario"]) for row in answer["history"]] == [("added", "scan")]
    assert json.loads(shield("show", "192.0.2.1", "-o", "json").stdout)["state"] == "unknown"


def test_looking_makes_no_file(shield: Any, tmp_path: Path) -> None:
    """Without a journal the daemon's absence is the error, and no database appears."""
    result = shield("show", "192.0.2.1")
    assert result.exit_code == 1
    assert "shield is not running" in result.stderr
    assert not (tmp_path / "journal.db").exists()


def test_the_path_is_the_configured_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """[journal] path of the configuration, else the default; a broken file is not our business."""
    file = tmp_path / "shield.toml"
    monkeypatch.setattr("shield.cli.options.DEFAULT_CONFIG", file)
    assert Path(JournalSettings().path) == READ_PATH()
    file.write_text('[journal]\npath = "/srv/j.db"\n')
    assert Path("/srv/j.db") == READ_PATH()
    file.write_text("[journal\n")
    assert Path(JournalSettings().path) == READ_PATH()
