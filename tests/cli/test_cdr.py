"""cdr and calls: the journal for people, scripts and spreadsheets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shield.cdr.merge import merge
from shield.cdr.rows import COLUMNS, call_json
from tests.cdr.calls import failed, stop


def call(number: int = 1, **more: Any) -> dict[str, Any]:
    made = merge(None, (failed if number % 2 == 0 else stop)(number), "a", 0.0)
    assert made is not None
    return call_json(number, made) | more


LIVE = {
    "state": "answered", "caller": "alice", "called": "1002", "account": "alice", "source": "192.0.2.9",
    "started": 1.0, "answered": 2.0, "duration": 30.0, "call_id": "c", "incomplete": False,
}  # fmt: skip


def test_list_is_a_table_with_the_newest_first(shield: Any, daemon: Any) -> None:
    """With filters for a user, a state and a time."""
    daemon.answers["cdr.list"] = [call(2), call(1)]
    result = shield("cdr", "list", "--user", "alice", "--state", "failed", "--since", "1h", "-n", "5")
    assert result.exit_code == 0
    assert "1m" in result.stdout
    assert "2 calls" in result.stdout
    ((name, arguments),) = daemon.calls
    assert (name, arguments["user"], arguments["state"], arguments["limit"]) == (
        "cdr.list", "alice", "failed", 5,
    )  # fmt: skip
    assert arguments["since"] > 1_700_000_000


def test_list_for_scripts(shield: Any, daemon: Any) -> None:
    """All columns, in the order of the export."""
    daemon.answers["cdr.list"] = [call(1)]
    plain = shield("cdr", "list", "--output", "plain").stdout.rstrip("\n").split("\t")
    assert len(plain) == len(COLUMNS)
    assert json.loads(shield("cdr", "list", "--output", "json").stdout) == [call(1)]


def test_show_tells_everything(shield: Any, daemon: Any) -> None:
    """One line for each column."""
    daemon.answers["cdr.show"] = [call(1)]
    lines = shield("cdr", "show", "1").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(COLUMNS)
    assert daemon.calls == [("cdr.show", {"call": "1"})]


def test_export_is_csv_or_json_lines_the_oldest_first(shield: Any, daemon: Any, tmp_path: Path) -> None:
    """To a file or to the next program."""
    daemon.answers["cdr.list"] = [call(2), call(1)]
    lines = shield("cdr", "export").stdout.splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2"]
    target = tmp_path / "calls.jsonl"
    result = shield("cdr", "export", "--format", "jsonl", "--to", str(target))
    assert result.stdout == f"2 calls written to {target}\n"
    assert [json.loads(line)["number"] for line in target.read_text().splitlines()] == [1, 2]
    assert shield("cdr", "export", "--format", "xml").exit_code == 2


def test_tail_shows_the_last_calls_and_each_new_one(shield: Any, daemon: Any) -> None:
    """A line each."""
    daemon.answers["cdr.list"] = [call(1)]
    daemon.answers["cdr.watch"] = [call(2), call(3, marks=["moved"])]
    lines = shield("cdr", "tail").stdout.splitlines()
    assert "answered 1m alice -> 1001" in lines[0]
    assert "failed 486 alice -> 1002" in lines[1]
    assert lines[2].endswith("(moved)")


def test_stats_and_live_calls(shield: Any, daemon: Any) -> None:
    """What waits for whom, and who talks now."""
    daemon.answers["cdr.stats"] = {"live": 1, "calls": {"answered": 3}}
    assert "answered" in shield("cdr", "stats").stdout
    daemon.answers["calls"] = [LIVE]
    shown = shield("calls").stdout
    assert "alice" in shown
    assert "1 call" in shown
    daemon.answers["calls"] = []
    assert shield("calls").stdout == "no calls\n"


@pytest.mark.parametrize("words", [("list", "--since", "yesterday"), ("list", "-n", "0"), ("show",)])
def test_wrong_usage(shield: Any, daemon: Any, words: tuple[str, ...]) -> None:
    """Nothing is asked."""
    assert shield("cdr", *words).exit_code == 2
    assert daemon.calls == []
