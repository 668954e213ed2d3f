"""shield.cdr.spool: nothing is forgotten before everybody has it, and nothing grows without end."""

from __future__ import annotations

from pathlib import Path

import pytest

from shield.cdr import spool as module
from shield.cdr.spool import Spool
from shield.errors import SystemFailure

EPOCH = b"epoch123"


def filled(path: str, count: int = 5, limit: int = 1000) -> Spool:
    made = Spool(path, limit, EPOCH)
    for number in range(count):
        made.put(b"%d" % number)
    made.flush()
    return made


def bodies(made: Spool, after: int = 0) -> list[bytes]:
    return [one.body for one in made.after(after, 1000)]


def test_reports_have_numbers_and_wait_for_all_collectors() -> None:
    """The slowest one decides what is deleted."""
    made = filled(":memory:")
    made.know("a")
    made.know("b")
    made.confirm("a", 3)
    assert len(bodies(made)) == 5
    made.confirm("b", 2)
    assert [one.id for one in made.after(0, 10)] == [3, 4, 5]
    made.confirm("b", 1)
    assert made.collectors == {"a": 3, "b": 2}
    made.forget("b")
    assert [one.id for one in made.after(0, 10)] == [4, 5]
    made.confirm("a", 99)
    assert (len(made), made.collectors) == (0, {"a": 5})


def test_it_is_the_same_after_a_restart(tmp_path: Path) -> None:
    """Reports, numbers, collectors and epoch; numbers go on also when nothing is left."""
    path = str(tmp_path / "deep" / "spool.db")
    made = filled(path)
    made.know("a")
    made.confirm("a", 5)
    made.put(b"late")
    made.close()
    again = Spool(path, 1000, b"another1")
    assert (again.epoch, bodies(again), again.last, again.collectors) == (EPOCH, [b"late"], 6, {"a": 5})
    again.confirm("a", 6)
    again.close()
    third = Spool(path, 1000, b"x")
    third.put(b"next")
    third.flush()
    assert [one.id for one in third.after(6, 10)] == [7]
    third.close()


def test_without_a_collector_everything_waits_up_to_the_limit() -> None:
    """Beyond it the oldest go, counted."""
    made = filled(":memory:", 30, limit=10)
    assert bodies(made) == [b"%d" % number for number in range(20, 30)]
    assert (made.stats.lost, len(made)) == (20, 10)
    made.know("late")
    assert made.collectors == {"late": 20}


def test_while_the_disk_refuses_reports_wait_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """And are written when it takes them again; beyond the limit the oldest are lost."""
    monkeypatch.setattr(module, "MAX_WAITING", 10)
    made = filled(":memory:", 0)
    made._store._db.execute("PRAGMA query_only = 1")
    for number in range(15):
        made.put(b"%d" % number)
    made.flush()
    assert (made.stats.failures, made.stats.lost, len(made)) == (1, 5, 10)
    assert made.stats.problem
    made._store._db.execute("PRAGMA query_only = 0")
    made.flush()
    assert (len(bodies(made)), made.stats.problem) == (10, "")


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A directory in its place, something else in it, or a later version of shield."""
    with pytest.raises(SystemFailure, match=str(tmp_path)):
        Spool(str(tmp_path), 1000, EPOCH)
    junk = tmp_path / "junk.db"
    junk.write_bytes(b"no database " * 100)
    with pytest.raises(SystemFailure, match=r"junk\.db"):
        Spool(str(junk), 1000, EPOCH)
    later = filled(str(tmp_path / "later.db"))
    later._store._db.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(SystemFailure, match="later version"):
        Spool(str(tmp_path / "later.db"), 1000, EPOCH)
