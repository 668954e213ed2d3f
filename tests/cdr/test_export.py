"""shield.cdr.export: each call once in each kind of file, through crashes and rotation."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from shield.cdr import export as module
from shield.cdr.export import SETTLE, Exporter
from shield.cdr.ledger import Ledger
from shield.cdr.settings import CdrSettings
from tests.cdr.calls import START, start, stop

NOW = START + 1000.0
LATER = NOW + SETTLE + 1


class Desk:
    """A ledger and its exporter."""

    def __init__(self, folder: Path, **settings: int) -> None:
        self.folder = folder / "out"
        self.ledger = Ledger(":memory:")
        self.settings = CdrSettings(export=str(self.folder), **settings)  # type: ignore[arg-type]
        self.exporter = Exporter(self.settings, self.ledger)
        self.last = 0

    def over(self, *numbers: int, wall: float = NOW, node: str = "a") -> None:
        """These calls are over."""
        reports = [(self.last + n, stop(number)) for n, number in enumerate(numbers, start=1)]
        self.last += len(numbers)
        self.ledger.write(node, b"e", reports, 0.0, wall, self.last)

    def files(self, kind: str = "jsonl") -> list[Path]:
        return sorted(self.folder.glob(f"*.{kind}"))

    def calls(self) -> list[str]:
        """Called numbers in all files; those of CSV are the same."""
        lines = [line for path in self.files() for line in path.read_text().splitlines()]
        found = [json.loads(line)["called"] for line in lines]
        texts = [path.read_text().splitlines() for path in self.files("csv")]
        rows = [row for text in texts for row in csv.DictReader(text)]
        assert [row["called"] for row in rows] == found
        return found


def test_finished_calls_are_written_in_their_order_once(tmp_path: Path) -> None:
    """After a moment in which other nodes may add their names; running again writes nothing."""
    desk = Desk(tmp_path)
    desk.over(1, 2, 3)
    assert not desk.exporter.run(NOW + 1)
    assert desk.files() == []
    desk.exporter.run(LATER)
    desk.exporter.run(LATER)
    assert desk.calls() == ["1001", "1002", "1003"]
    desk.over(4, wall=LATER)
    desk.exporter.run(LATER + SETTLE + 1)
    assert desk.calls() == ["1001", "1002", "1003", "1004"]
    assert len(desk.files()) == 1
    assert desk.exporter.written == 8


def test_calls_that_go_on_are_not_written(tmp_path: Path) -> None:
    """They have no end yet."""
    desk = Desk(tmp_path)
    desk.ledger.write("a", b"e", [(1, start(1))], 0.0, NOW, 1)
    desk.exporter.run(LATER)
    assert desk.files() == []


def test_a_call_that_has_just_changed_holds_up_those_behind_it(tmp_path: Path) -> None:
    """Order is kept: it is written with them a moment later."""
    desk = Desk(tmp_path)
    desk.over(1, 2, 3)
    desk.ledger.write("b", b"e", [(1, stop(2))], 0.0, NOW + 8, 1)
    desk.exporter.run(LATER)
    assert desk.calls() == ["1001"]
    desk.exporter.run(LATER + SETTLE)
    assert desk.calls() == ["1001", "1002", "1003"]
    assert '"nodes": ["a", "b"]' in desk.files()[0].read_text()


def test_after_a_crash_between_file_and_note_no_call_comes_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is cut back to what was noted."""
    desk = Desk(tmp_path)
    desk.over(1)
    desk.exporter.run(LATER)
    desk.over(2, 3, wall=LATER)

    class Crash(BaseException):
        """The power goes."""

    def crash(_name: str) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(desk.ledger.store, "transaction", lambda: crash(""))
        with pytest.raises(Crash):
            desk.exporter.run(LATER + SETTLE + 1)
    assert "1003" in desk.files("csv")[0].read_text()
    Exporter(desk.settings, desk.ledger).run(LATER + SETTLE + 1)
    assert desk.calls() == ["1001", "1002", "1003"]


def test_a_large_file_and_a_new_day_begin_a_new_file(tmp_path: Path) -> None:
    """Each CSV has its heading; the oldest files go where that is wanted."""
    desk = Desk(tmp_path, rotate_size=4096, keep_files=3)
    for number in range(0, 120, 40):
        desk.over(*range(number, number + 40), wall=NOW + number)
        desk.exporter.run(NOW + number + SETTLE + 1)
    assert len(desk.calls()) == 120
    assert len(desk.files()) == 3
    desk.over(150, wall=NOW + 86_400)
    desk.exporter.run(NOW + 86_400 + SETTLE + 1)
    assert len(desk.files()) == 3
    assert desk.calls()[-1] == "1150"


def test_portions_follow_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """True as long as there may be more."""
    monkeypatch.setattr(module, "PORTION", 2)
    desk = Desk(tmp_path)
    desk.over(1, 2, 3)
    assert desk.exporter.run(LATER)
    assert not desk.exporter.run(LATER)
    assert len(desk.calls()) == 3


def test_a_directory_that_cannot_be_written_is_told_and_tried_again(tmp_path: Path) -> None:
    """Nothing is lost meanwhile."""
    desk = Desk(tmp_path)
    desk.over(1)
    desk.folder.write_text("a file in its place")
    assert not desk.exporter.run(LATER)
    assert str(desk.folder) in desk.exporter.problem
    desk.folder.unlink()
    desk.exporter.run(LATER)
    assert (desk.calls(), desk.exporter.problem) == (["1001"], "")
