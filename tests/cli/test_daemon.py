"""Asking the daemon and reporting what a change did."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import typer

from shield.cli.daemon import ask, finish, follow
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


def test_events_may_be_far_apart(daemon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who follows events waits for the first one longer than a command for its answer."""

    async def later() -> AsyncIterator[dict[str, Any]]:
        await asyncio.sleep(0.3)
        yield {"event": "alert"}

    daemon.answers["watch"] = lambda _arguments: later()
    monkeypatch.setattr("shield.cli.daemon.TIMEOUT", 0.1)
    assert list(follow(daemon.socket, "watch")) == [{"event": "alert"}]


def test_an_answer_may_take_the_time_that_was_asked_for(
    daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question to other nodes takes longer than one to the daemon."""

    def slowly(_arguments: Any) -> dict[str, Any]:
        time.sleep(0.3)
        return {}

    daemon.answers["cluster.ask"] = slowly
    monkeypatch.setattr("shield.cli.daemon.TIMEOUT", 0.1)
    with pytest.raises(SystemFailure, match="did not answer"):
        ask(daemon.socket, "cluster.ask", text="x")
    assert ask(daemon.socket, "cluster.ask", text="x", wait=5.0) == {}


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


def test_finish_names_a_value_once(capsys: Any) -> None:
    """A refusal that begins with its value is not led by it again."""
    results = [{"value": "192.0.2.4", "ok": False, "message": "192.0.2.4 is allowlisted (office)"}]
    with pytest.raises(typer.Exit):
        finish({"results": results}, Output.TABLE, done="banned")
    shown = capsys.readouterr()
    assert shown.err == "shield: 192.0.2.4 is allowlisted (office)\n"
    assert shown.out == ""


def test_finish_tells_people_some_and_scripts_all(capsys: Any) -> None:
    """A terminal is not flooded by a thousand lines; a script gets them."""
    answer = {"results": [{"value": f"192.0.2.{i}", "ok": True} for i in range(100)]}
    finish(answer, Output.TABLE, done="unbanned")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 50
    assert lines[-1] == "... 100 unbanned in all"
    finish(answer, Output.PLAIN, done="unbanned")
    assert len(capsys.readouterr().out.splitlines()) == 100


def test_finish_says_for_how_long(capsys: Any) -> None:
    """Of a ban and of an entry of the allowlist."""
    results = [
        {"value": "a", "decision": {"remaining": 3600}},
        {"value": "b", "entry": {"remaining": 60}},
    ]
    finish({"results": results}, Output.TABLE, done="done")
    assert capsys.readouterr().out == "done a for 1h\ndone b for 1m\n"
