"""shield.cdr.delivery: every report in every ledger, once, whatever breaks on the way."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shield.cdr.delivery import AGAIN, CAPABILITY, Delivery
from shield.cdr.ledger import Ledger
from shield.cdr.merge import CallState
from shield.cdr.settings import CdrSettings
from shield.cdr.spool import Spool
from shield.cluster.capability import Incoming
from shield.cluster.messages import Kind
from shield.errors import RemoteError
from tests.cdr.calls import failed, start, stop
from tests.cluster.fakenet import WALL, FakeNet


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where that can be had: thousands of transactions wait for a disk otherwise."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


class Office:
    """Nodes that report, and collectors; each with files of its own that outlive it."""

    def __init__(
        self, folder: Path, names: str, collecting: str, seed: int = 1, **settings: Any
    ) -> None:
        self.net = FakeNet(*names, seed=seed)
        self.folder, self.collecting, self.settings = folder, collecting, settings
        self.parts: dict[str, Delivery] = {}
        for name in names:
            self.open(name)

    def open(self, name: str) -> None:
        """Begin, or begin anew with the files that are there."""
        node = self.net[name]
        epoch = bytes([self.net.random.randrange(256) for _ in range(8)])
        self.parts[name] = made = Delivery(
            CdrSettings(**self.settings),
            name,
            spool=Spool(str(self.folder / f"{name}-spool.db"), 10_000, epoch),
            ledger=Ledger(str(self.folder / f"{name}.db")) if name in self.collecting else None,
            wall=lambda: WALL + self.net.now + node.clock,
        )
        made.connect(node.core.add(made))

    def kill(self, name: str) -> None:
        """Stop a node where it stands: what was not written is gone."""
        self.net[name].stop()
        made = self.parts[name]
        if made.spool is not None:
            made.spool._store.close()
        if made.ledger is not None:
            made.ledger.close()

    def revive(self, name: str) -> None:
        self.net[name].start()
        self.open(name)

    def calls(self, name: str) -> dict[str, str]:
        """Called number to state, of one ledger."""
        ledger = self.parts[name].ledger
        assert ledger is not None
        found = ledger.calls(limit=100_000)
        assert len({row.key for _, row in found}) == len(found)
        return {row.called.decode(): row.state.value for _, row in found}

    def waiting(self, name: str) -> int:
        spool = self.parts[name].spool
        return 0 if spool is None else len(spool)

    def close(self) -> None:
        for name, made in self.parts.items():
            if not self.net[name].stopped:
                assert made.spool is not None
                made.spool.close()
                if made.ledger is not None:
                    made.ledger.close()


def expected(numbers: range) -> dict[str, str]:
    return {str(1000 + n): ("failed" if n % 3 == 0 else "answered") for n in numbers}


def whole_call(made: Delivery, number: int) -> None:
    """One call from its begin to its end: each third is not answered."""
    if number % 3 == 0:
        made.put(failed(number))
    else:
        made.put(start(number))
        made.put(stop(number))


def test_calls_of_all_nodes_are_in_one_journal(tmp_path: Path) -> None:
    """Those of the collector too; what it has confirmed is gone from the spools."""
    office = Office(tmp_path, "abc", "c")
    office.net.settle()
    for number in range(30):
        whole_call(office.parts["abc"[number % 3]], number)
    office.net.run(3.0)
    assert office.calls("c") == expected(range(30))
    assert [office.waiting(name) for name in "abc"] == [0, 0, 0]
    assert office.parts["a"].collectors() == ("c",)
    office.close()


def test_two_collectors_have_all_calls_each(tmp_path: Path) -> None:
    """Whoever of them is away catches up, and the spool waits for both."""
    office = Office(tmp_path, "abc", "bc")
    office.net.settle()
    office.net.run(1.0)
    office.kill("c")
    for number in range(20):
        whole_call(office.parts["a"], number)
    office.net.run(5.0)
    assert office.calls("b") == expected(range(20))
    assert office.waiting("a") > 0
    office.revive("c")
    office.net.run(30.0)
    assert office.calls("c") == expected(range(20))
    assert office.waiting("a") == 0
    office.close()


def test_reports_from_before_there_was_a_collector_are_delivered(tmp_path: Path) -> None:
    """They wait in the spool, through a restart of the node."""
    office = Office(tmp_path, "ab", "")
    office.net.settle()
    for number in range(10):
        whole_call(office.parts["a"], number)
    office.net.run(1.0)
    office.kill("a")
    office.revive("a")
    office.kill("b")
    office.collecting = "b"
    office.revive("b")
    office.net.run(30.0)
    assert office.calls("b") == expected(range(10))
    office.close()


def test_a_collector_whose_disk_is_full_loses_nothing(tmp_path: Path) -> None:
    """It says so, the spool goes on, and when there is room again everything is written."""
    office = Office(tmp_path, "ab", "b")
    office.net.settle()
    office.net.run(1.0)
    ledger = office.parts["b"].ledger
    assert ledger is not None
    ledger.store._db.execute("PRAGMA query_only = 1")
    for number in range(10):
        whole_call(office.parts["a"], number)
    office.net.run(3.0)
    assert "cannot be written" in office.parts["b"].warnings()[0]
    assert "b cannot write" in office.parts["a"].warnings()[0]
    assert office.waiting("a") > 0
    ledger.store._db.execute("PRAGMA query_only = 0")
    office.net.run(2 * AGAIN)
    assert office.calls("b") == expected(range(10))
    assert (office.parts["a"].warnings(), office.parts["b"].warnings()) == ([], [])
    assert office.parts["a"].as_json()["collectors"] == {"b": {"behind": 0, "problem": ""}}
    office.close()


def test_a_clock_that_is_off_is_noticed(tmp_path: Path) -> None:
    """Durations stay, times are those of the collector, and the calls are marked."""
    office = Office(tmp_path, "ab", "b")
    office.kill("a")
    office.net["a"].clock = 3600.0
    office.revive("a")
    office.net.settle()
    office.parts["a"].put(stop(1))
    office.net.run(3.0)
    ledger = office.parts["b"].ledger
    assert ledger is not None
    ((_, row),) = ledger.calls()
    assert "clock" in row.marks
    assert row.duration == 60.0
    assert row.ended == pytest.approx(stop(1).ended - 3600.0, abs=2.0)
    office.close()


def test_only_nodes_that_may_collect_are_told(tmp_path: Path) -> None:
    """Who called whom is not for everybody."""
    office = Office(tmp_path, "abc", "bc", collectors=("c",))
    office.net.settle()
    whole_call(office.parts["a"], 1)
    office.net.run(3.0)
    assert office.parts["a"].collectors() == ("c",)
    assert office.calls("b") == {}
    office.close()


def test_a_collector_that_was_put_out_is_waited_for_no_more(tmp_path: Path) -> None:
    """Its share of the spool goes."""
    office = Office(tmp_path, "abc", "bc")
    office.net.settle()
    office.net.run(1.0)
    office.kill("c")
    whole_call(office.parts["a"], 1)
    office.net.run(2.0)
    office.parts["a"].forget("c")
    assert office.waiting("a") == 0
    office.close()


@pytest.mark.parametrize(
    "body",
    [None, (), ("put",), ("put", b"e", 1.0, ()), ("put", b"", 1.0, ((1, b""),)),
     ("put", b"e", "1", ((1, b""),)), ("put", b"e", 1.0, ((1, b"x"), (1, b"x"))),
     ("put", b"e", 1.0, ((0, b"x"),)), ("put", b"e", 1.0, (("1", b"x"),)), ("full", 7), ("what",)],
)  # fmt: skip
def test_what_cannot_be_read_is_an_error_of_its_sender(tmp_path: Path, body: Any) -> None:
    """And changes nothing."""
    office = Office(tmp_path, "a", "a")
    with pytest.raises(RemoteError):
        office.parts["a"].receive(Incoming("x", Kind.MESSAGE, 0, body), 0.0)
    assert office.calls("a") == {}
    office.close()


def test_a_report_that_cannot_be_read_costs_only_itself(tmp_path: Path) -> None:
    """It is counted by its sender and confirmed with the rest: it would never be read."""
    office = Office(tmp_path, "ab", "b")
    office.net.settle()
    spool = office.parts["a"].spool
    assert spool is not None
    spool.put(b"garbage")
    whole_call(office.parts["a"], 1)
    office.net.run(3.0)
    assert office.calls("b") == expected(range(1, 2))
    assert office.parts["b"].errors == {"a": 1}
    assert office.waiting("a") == 0
    office.close()


@pytest.mark.parametrize("seed", range(100))
def test_whatever_breaks_every_call_is_written_once(tmp_path: Path, seed: int) -> None:
    """Cuts, partitions, broken connections, kills of nodes and collectors, at random moments.

    A node that is killed loses what it had not written: those calls are reported by the test only after
    its next tick, as the packets of a call that goes on would be.
    """
    chance = random.Random(seed)
    office = Office(tmp_path, "abcd", "cd", seed=seed, collectors=("c", "d"))
    office.net.settle()
    number = 0
    reported: set[int] = set()
    for _ in range(12):
        names = [name for name in "abcd" if not office.net[name].stopped]
        for name in names:
            for _ in range(chance.randrange(8)):
                whole_call(office.parts[name], number)
                reported.add(number)
                number += 1
            spool = office.parts[name].spool
            assert spool is not None
            spool.flush()
        _break_something(office, chance)
        office.net.run(chance.uniform(0.1, 4.0))
    office.net.heal()
    for name in "abcd":
        if office.net[name].stopped:
            office.revive(name)
    for _ in range(30):
        office.net.run(2.0)
        if not any(office.waiting(name) for name in "abcd"):
            break
    wanted = {str(1000 + n): ("failed" if n % 3 == 0 else "answered") for n in reported}
    assert office.calls("c") == wanted
    assert office.calls("d") == wanted
    assert [office.waiting(name) for name in "abcd"] == [0, 0, 0, 0]
    ledger = office.parts["c"].ledger
    assert ledger is not None
    numbers = [n for n, _ in ledger.calls("number IS NOT NULL", order="number", limit=100_000)]
    assert numbers == list(range(1, len(wanted) + 1))
    assert all(row.state is not CallState.TALKING for _, row in ledger.calls(limit=100_000))
    office.close()


def _break_something(office: Office, chance: random.Random) -> None:
    kind, name, other = chance.randrange(6), *chance.sample("abcd", 2)
    if kind == 0:
        office.net.cut_link(name, other)
    elif kind == 1:
        office.net.sever((name, other), tuple(set("abcd") - {name, other}))
    elif kind == 2:
        office.net.break_pipes(lambda pipe: chance.random() < 0.5)
    elif kind == 3 and not office.net[name].stopped:
        office.kill(name)
    elif kind == 4 and office.net[name].stopped:
        office.revive(name)
    else:
        office.net.heal()


def test_the_capability_has_its_name() -> None:
    """Part of the protocol."""
    assert CAPABILITY == "cdr"
