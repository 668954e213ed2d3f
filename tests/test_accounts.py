"""Taken over accounts on a node: told to watchers and log, kept, listed, shown, cleared, counted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shield import accounts as module
from shield.errors import InputError
from tests.detect.test_compromises import THIEF, Scene
from tests.node_parts import WALL, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.journal.close()


def take_over(bench: Bench, calls: int = 1) -> None:
    """A thief guesses, logs in and calls."""
    scene = Scene()
    scene.guesses(THIEF, 6)
    scene.login(THIEF, ok=True)
    for _ in range(calls):
        scene.dial(THIEF)
        scene.wait(20.0)
    found = bench.pipeline.feed(sorted(scene.frames, key=lambda one: one.time), bench.now)
    bench.hub.take(found, bench.now, WALL + bench.now)


def test_a_take_over_reaches_everybody(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Watchers hear of it and of its calls, the log warns, the journal keeps the last state."""
    caplog.set_level(logging.WARNING, "shield")
    watch = bench.ask("watch", kinds=["compromised"])
    take_over(bench)
    seen = [watch.queue.get_nowait() for _ in range(watch.queue.qsize())]
    assert [(event["event"], event["kind"]) for event in seen][:2] == [
        ("compromised", "found"), ("compromised", "call"),
    ]  # fmt: skip
    assert "account 100@example.com: 6 guesses from 1 source" in caplog.messages[0]
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    (row,) = bench.ask("compromised")
    assert (row["account"], row["calls_total"], row["calls"][0]["state"]) == ("100", 1, "ended")
    assert bench.journal.accounts(-1) == [row]
    assert bench.ask("status")["compromised"] == {"reported": 1, "followed": 1}


def test_watch_shows_take_overs_without_being_asked(bench: Bench) -> None:
    """What matters most is among the default events."""
    watch = bench.ask("watch")
    take_over(bench)
    assert watch.queue.get_nowait()["event"] == "compromised"


@pytest.mark.parametrize("about", ["100", "100@example.com", "203.0.113.66"])
def test_show_takes_account_or_address(bench: Bench, about: str) -> None:
    """Whatever an operator has at hand; what nobody knows is an error."""
    take_over(bench)
    assert [row["account"] for row in bench.ask("compromised", about=about)] == ["100"]
    with pytest.raises(InputError, match="no report about '999'"):
        bench.ask("compromised", about="999")


def test_clear_forgets_reports(bench: Bench) -> None:
    """By id or all; an unknown id is told and costs the others nothing."""
    take_over(bench)
    (row,) = bench.ask("compromised")
    with pytest.raises(InputError, match="either"):
        bench.ask("compromised.clear")
    answer = bench.ask("compromised.clear", values=["nonsense", row["id"]])
    assert [result["ok"] for result in answer["results"]] == [False, True]
    assert bench.ask("compromised") == []
    take_over(bench)
    assert bench.ask("compromised.clear", all=True)["count"] == 0, "it is followed, not reported again"


def test_what_other_nodes_found_names_them(bench: Bench) -> None:
    """It is told and kept like one's own, and not shared again."""
    shared: list[Any] = []
    bench.hub.accounts.share = shared.append
    take_over(bench)
    assert shared
    count = len(shared)
    watch = bench.ask("watch")
    bench.hub.accounts.take_shared({**shared[-1], "id": "b-1"}, "node-b")
    assert watch.queue.get_nowait()["node"] == "node-b"
    assert len(shared) == count
    assert {row.get("node") for row in bench.ask("compromised")} == {None, "node-b"}


def test_reports_that_wait_for_the_journal_are_bounded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of reports is saved early."""
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    take_over(bench)
    (row,) = bench.ask("compromised")
    for number in range(5):
        bench.hub.accounts.take({**row, "id": f"x{number}"})
        assert len(bench.hub.accounts) <= 2
    assert len(bench.ask("compromised")) == 6
