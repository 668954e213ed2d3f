"""cluster tag: who is active, and who shall be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shield.errors import InputError

ROWS = [
    {"name": "cdr", "state": "active", "node": "a", "reachable": True, "since": 1.7e9,
     "reason": "by hand", "configured": True, "candidates": ["a", "b"]},
    {"name": "vip", "state": "backup", "node": "b", "reachable": False, "since": None, "reason": "",
     "configured": False, "candidates": []},
]  # fmt: skip


def test_the_list_tells_who_is_active_and_why(shield: Any, daemon: Any) -> None:
    """One line for each tag; scripts get all keys."""
    daemon.answers["cluster.tag.list"] = ROWS
    shown = shield("cluster", "tag", "list").stdout.splitlines()
    assert shown[0].split() == ["TAG", "HERE", "ACTIVE", "NODE", "SINCE", "REASON"]
    assert shown[1].split()[:3] == ["cdr", "active", "a"]
    assert shown[1].endswith("by hand")
    assert shown[2].split()[:3] == ["vip", "backup", "b"]
    assert shown[3] == "2 tags"
    assert json.loads(shield("cluster", "tag", "list", "-o", "json").stdout) == ROWS
    plain = shield("cluster", "tag", "list", "-o", "plain").stdout.splitlines()[0]
    assert plain.split("\t")[:3] == ["cdr", "active", "a"]
    daemon.answers["cluster.tag.list"] = []
    assert shield("cluster", "tag", "list").stdout.endswith("no tags are known\n")


def test_setting_and_releasing(shield: Any, daemon: Any) -> None:
    """The daemon gets tag, state and reason; the answer is a sentence."""
    daemon.answers["cluster.tag.set"] = {"tag": "cdr", "state": "active", "node": "a", "reason": "x"}
    result = shield("cluster", "tag", "set", "cdr", "active", "--reason", "x")
    assert (result.exit_code, result.stdout) == (0, "a is active for cdr; the others are backup\n")
    assert daemon.calls == [("cluster.tag.set", {"tag": "cdr", "state": "active", "reason": "x"})]
    released = shield("cluster", "tag", "release", "cdr")
    assert released.stdout == "a is backup for cdr; nobody is active\n"
    assert daemon.calls[1] == ("cluster.tag.set", {"tag": "cdr", "state": "backup"})
    assert shield("cluster", "tag", "set", "cdr", "backup", "-o", "plain").stdout == "backup\n"
    assert json.loads(shield("cluster", "tag", "release", "cdr", "-o", "json").stdout)["node"] == "a"


def test_the_history_has_the_reasons(shield: Any, daemon: Any) -> None:
    """The latest last."""
    row = {"time": 1.7e9, "state": "backup", "node": "b", "reason": "claimed by b at T: maintenance"}
    daemon.answers["cluster.tag.history"] = [row]
    shown = shield("cluster", "tag", "history", "cdr", env={"COLUMNS": "120"}).stdout
    assert "claimed by b at T: maintenance" in shown
    assert daemon.calls == [("cluster.tag.history", {"tag": "cdr"})]
    assert json.loads(shield("cluster", "tag", "history", "cdr", "-o", "json").stdout) == [row]


@pytest.mark.parametrize(
    "arguments",
    [
        ("set", "no tag!", "active"),
        ("set", "cdr", "passive"),
        ("set", "cdr"),
        ("release",),
        ("list", "x"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line(shield: Any, daemon: Any, arguments: tuple[str, ...]) -> None:
    """Exit code 2, and nobody is asked."""
    result = shield("cluster", "tag", *arguments)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert daemon.calls == []


def test_what_the_daemon_refuses_is_one_line(shield: Any, daemon: Any) -> None:
    """As when this node is not the active one."""
    daemon.answers["cluster.tag.set"] = InputError("this node is not active for cdr, b is")
    result = shield("cluster", "tag", "release", "cdr")
    assert (result.exit_code, result.stderr) == (1, "shield: this node is not active for cdr, b is\n")
