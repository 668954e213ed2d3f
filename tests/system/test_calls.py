"""Calls through two real servers, in the journal of a collector: each once, also through its restart."""

from __future__ import annotations

import csv
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.netlab import Lab
from tests.requires import need
from tests.system.proxies import Proxies

MORE = """
[cdr]
report = true
collectors = ["p2"]
spool = "{folder}/spool.db"
"""
COLLECTOR = """
collect = true
ledger = "{folder}/cdr.db"
export = "{folder}/out"
"""


@pytest.fixture
def proxies(tmp_path: Path) -> Iterator[Proxies]:
    """Two servers with a node beside each; that of p2 collects."""
    need("ip", "nft", "kamailio")
    with Lab() as lab:
        made = Proxies(lab, tmp_path, "p1", "p2")
        for proxy in made.proxies.values():
            more = MORE + (COLLECTOR if proxy.name == "p2" else "")
            with (proxy.folder / "shield.toml").open("a") as file:
                file.write(more.format(folder=proxy.folder))
        made.open()
        yield made
        made.close()


def journal(proxies: Proxies, state: str = "answered") -> list[dict[str, Any]]:
    """Calls of the collector in this state."""
    rows: list[dict[str, Any]] = proxies["p2"].call("cdr.list", state=state, limit=1000)
    return rows


def waiting(proxies: Proxies, name: str = "p1") -> int:
    return int(proxies[name].call("cdr.stats")["waiting"])


@pytest.mark.system
def test_calls_through_both_servers_are_each_one_record(proxies: Proxies) -> None:
    """From phone to phone over p1 and p2: seen by both nodes, in the journal once, exported as CSV."""
    proxies["p2"].phone("1002", "answer")
    proxies.until(lambda: proxies["p1"].whereis("1002") == ["p2"], 5)
    caller = proxies["p1"].phone("1001", "call", "1002", "0.3")
    proxies.until(lambda: proxies.results("1001", "bye").count(200) >= 4, 20)
    caller.terminate()
    caller.wait(10)
    calls = proxies.results("1001", "bye").count(200)
    proxies.until(lambda: len(journal(proxies)) >= calls, 10)
    proxies.until(lambda: waiting(proxies) == 0, 10)
    rows = journal(proxies)
    assert len({row["call_id"] for row in rows}) == len(rows)
    assert calls <= len(rows) <= calls + 1  # the last one was cut off
    assert {(row["caller"], row["called"], row["account"]) for row in rows} == {("1001", "1002", "1001")}
    assert all(0 < row["duration"] < 5 for row in rows[1:])
    proxies.until(lambda: any(row["nodes"] == ["p1", "p2"] for row in journal(proxies)), 10)
    listed = json.loads(proxies["p1"].cli("cdr", "list", "--output", "json").stdout)
    assert {row["call_id"] for row in listed} >= {row["call_id"] for row in rows}
    out = proxies["p2"].folder / "out"
    proxies.until(lambda: _exported(out) >= calls, 40)


def _exported(folder: Path) -> int:
    return sum(len([*csv.DictReader(path.read_text().splitlines())]) for path in folder.glob("*.csv"))


@pytest.mark.system
def test_a_collector_that_is_killed_loses_no_call_and_doubles_none(proxies: Proxies) -> None:
    """Calls go on meanwhile; they wait in the spool of p1 and are there after the restart."""
    proxies["p1"].phone("1002", "answer")
    proxies.until(lambda: proxies["p1"].whereis("1002") == ["p1"], 5)
    caller = proxies["p1"].phone("1001", "call", "1002", "0.1")
    proxies.until(lambda: len(journal(proxies)) >= 2, 15)
    proxies["p2"].end_node(signal.SIGKILL)
    done = proxies.results("1001", "bye").count(200)
    proxies.until(lambda: proxies.results("1001", "bye").count(200) >= done + 4, 20)
    proxies.until(lambda: waiting(proxies) >= 4, 10)
    proxies["p2"].start_node()
    proxies.until(proxies["p2"].answers, 20)
    caller.terminate()
    caller.wait(10)
    calls = proxies.results("1001", "bye").count(200)
    proxies.until(lambda: len(journal(proxies)) >= calls, 30)
    proxies.until(lambda: waiting(proxies) == 0, 20)
    rows = journal(proxies)
    assert len({row["key"] for row in rows}) == len(rows)
    assert calls <= len(rows) <= calls + 1


@pytest.mark.system
def test_a_call_that_fails_and_one_that_talks(proxies: Proxies) -> None:
    """480 is in the journal with its status; a call that goes on is among the live ones."""
    proxies["p1"].phone("1001", "call", "1009", "0.2")
    proxies.until(lambda: any(row["status"] == 480 for row in journal(proxies, "failed")), 15)
    begun = time.time()
    assert journal(proxies, "failed")[0]["started"] <= begun
    assert proxies["p1"].call("cdr.stats")["reported"]["failed"] >= 1
