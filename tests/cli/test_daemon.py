"""Asking the daemon and reporting what a change did."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from shield.cli.daemon import ask, finish
from shield.cli.options import Output
from shield.errors import SystemFailure


def test_ask_gives_the_answer(daemon: Any) -> None:
    """Arguments that are None are not sent."""
    daemon.answers["status"] = {"mode": "observe"}
    assert ask(daemon.socket, "status") == {"mode": "observe"}


def test_ask_without_daemon() -> None:
    """SystemFailure that says so."""
    with pytest.raises(SystemFailure, match="not running"):
        ask("/nonexistent/s.sock", "status")


def test_finish_says_when_nothing_happened(capsys: Any) -> None:
    """No result is told, not passed over."""
    finish({"results": []}, Output.TABLE, done="unbanned")
    assert capsys.readouterr().out == "nothing unbanned\n"


def test_finish_counts_what_is_not_named(capsys: Any) -> None:
    """A mass unban names some and counts all."""
    finish({"results": [{"value": "a", "ok": True}], "count": 20000}, Output.TABLE, done="unbanned")
    assert capsys.readouterr().out == "unbanned a\n... 20,000 unbanned in all\n"


def test_finish_fails_after_everything_was_told(capsys: Any) -> None:
    """One refusal makes the command fail, the others are still reported."""
    results = [{"value": "a", "ok": False, "message": "no"}, {"value": "b", "ok": True}]
    with pytest.raises(typer.Exit):
        finish({"results": results}, Output.PLAIN, done="banned")
    shown = capsys.readouterr()
    assert shown.out == "b\n"
    assert shown.err == "shield: a: no\n"
