"""conference: which conferences are on, for people and scripts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shield.errors import InputError

ROW = {
    "number": "3001", "node": "pbx-1", "server": "192.0.2.1:5060", "transport": "udp",
    "since": 1_700_000_000.0, "calls": 3, "apart": 0,
}  # fmt: skip
PLAIN = "3001\tpbx-1\t192.0.2.1:5060\tudp\t1700000000.0\t3\t0\n"


def test_list(shield: Any, daemon: Any) -> None:
    """A table with a sum, one line each, or JSON."""
    daemon.answers["conference.list"] = [ROW]
    table = shield("conference", "list").stdout
    assert "pbx-1" in table
    assert table.endswith("1 conference\n")
    assert shield("conference", "list", "--output", "plain").stdout == PLAIN
    assert json.loads(shield("conference", "list", "--output", "json").stdout) == [ROW]
    daemon.answers["conference.list"] = []
    assert shield("conference", "list").stdout.endswith("no conferences\n")


def test_show(shield: Any, daemon: Any) -> None:
    """One conference, in the same three forms."""
    daemon.answers["conference.show"] = ROW
    assert "node      pbx-1\n" in shield("conference", "show", "3001").stdout
    assert shield("conference", "show", "3001", "--output", "plain").stdout == PLAIN
    assert json.loads(shield("conference", "show", "3001", "--output", "json").stdout) == ROW
    assert daemon.calls[0] == ("conference.show", {"number": "3001"})


def test_release(shield: Any, daemon: Any) -> None:
    """It says from whom."""
    daemon.answers["conference.release"] = {"released": ROW}
    assert shield("conference", "release", "3001").stdout == "3001 was taken from pbx-1 (3 calls)\n"
    assert shield("conference", "release", "3001", "--output", "plain").stdout == PLAIN
    answer = shield("conference", "release", "3001", "--output", "json").stdout
    assert json.loads(answer) == {"released": ROW}


@pytest.mark.parametrize("word", ["show", "release"])
def test_one_that_is_not_on_is_an_error(shield: Any, daemon: Any, word: str) -> None:
    """With an exit code for scripts."""
    daemon.answers[f"conference.{word}"] = InputError("no conference '3009' is on")
    result = shield("conference", word, "3009")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no conference '3009' is on" in result.stderr
