"""shield.cdr.ledger: each report counts once, and all of a message or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from shield.cdr.ledger import Ledger
from shield.cdr.merge import CallState
from shield.cdr.report import Report
from shield.errors import SystemFailure
from tests.cdr.calls import START, bye, failed, start, stop


def write(made: Ledger, *reports: Report, node: str = "a", first: int = 1, epoch: bytes = b"e") -> int:
    """Write reports with numbers from ``first``; how many calls changed."""
    numbered = list(enumerate(reports, start=first))
    return len(made.write(node, epoch, numbered, 0.0, START + 100, numbered[-1][0]))


def states(made: Ledger) -> dict[str, str]:
    return {row.called.decode(): row.state.value for _, row in made.calls()}


def test_reports_become_calls_and_finished_ones_are_numbered() -> None:
    """In the order in which they were over, without gaps."""
    made = Ledger(":memory:")
    write(made, start(1), start(2), failed(3), stop(2))
    assert states(made) == {"1001": "talking", "1002": "answered", "1003": "failed"}
    found = made.calls("number IS NOT NULL", order="number")
    assert [(number, row.called) for number, row in found] == [(1, b"1003"), (2, b"1002")]
    assert made.counts() == {"talking": 1, "answered": 1, "failed": 1, "lost": 0}


def test_the_same_message_again_changes_nothing() -> None:
    """Nor does a part of it; another spool of the same node begins anew."""
    made = Ledger(":memory:")
    assert write(made, start(1), stop(1)) == 1
    assert write(made, start(1), stop(1)) == 0
    assert write(made, stop(1), failed(4), first=2) == 1
    assert made.upto("a", b"e") == 3
    assert made.upto("a", b"other") == 0
    assert write(made, failed(5), epoch=b"other") == 1
    assert dict(made.sources()) == {"a": 3}


def test_what_is_over_keeps_its_number() -> None:
    """Also when another node adds its name, or a lost call is found."""
    made = Ledger(":memory:")
    write(made, start(1), stop(1))
    write(made, stop(1), node="b")
    ((number, row),) = made.calls()
    assert (number, row.nodes, made.last) == (1, ("a", "b"), 1)


def test_a_call_that_moved_is_found_by_its_call_id() -> None:
    """The BYE names no call key."""
    made = Ledger(":memory:")
    write(made, start(1), start(2))
    assert write(made, bye(2, callee=True), node="b") == 1
    assert states(made) == {"1001": "talking", "1002": "answered"}
    assert write(made, bye(77), node="b", first=2) == 0


def test_old_open_calls_are_given_up_and_old_finished_ones_deleted() -> None:
    """By the time at which something was last written of them."""
    made = Ledger(":memory:")
    write(made, start(1), stop(2))
    assert made.lose(START + 100, START + 200) == 0
    assert made.lose(START + 101, START + 200) == 1
    assert states(made) == {"1001": "lost", "1002": "answered"}
    assert made.prune(START + 150) == 1
    assert states(made) == {"1001": "lost"}


def test_a_disk_that_refuses_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """And the numbers go on where they were, after a restart too."""
    path = str(tmp_path / "cdr.db")
    made = Ledger(path)
    write(made, stop(1))
    made.store._db.execute("PRAGMA query_only = 1")
    with pytest.raises(SystemFailure, match=r"cdr\.db"):
        write(made, stop(2), first=2)
    made.store._db.execute("PRAGMA query_only = 0")
    assert (made.upto("a", b"e"), made.last) == (1, 1)
    made.close()
    again = Ledger(path)
    write(again, stop(2), first=2)
    assert [number for number, _ in again.calls(order="number")] == [1, 2]
    assert all(row.state is CallState.ANSWERED for _, row in again.calls())
    again.close()
