"""Two real servers, each with a room for one conference: all calls meet at the one that began."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netlab import Lab
from tests.requires import need
from tests.system.proxies import Proxies

MORE = """
[conference]
numbers = ["3xxx"]
"""


@pytest.fixture
def proxies(tmp_path: Path) -> Iterator[Proxies]:
    """Two servers with a node and a conference room beside each."""
    need("ip", "nft", "kamailio")
    with Lab() as lab:
        made = Proxies(lab, tmp_path, "p1", "p2", more=MORE)
        made.open()
        for name in ("p1", "p2"):
            made[name].room("3001")
        rooms = ("room3001-p1", "room3001-p2")
        made.until(lambda: all(made.printed(room, "register") == [200] for room in rooms), 10)
        yield made
        made.close()


def answered(proxies: Proxies) -> tuple[int, int]:
    """Calls that the rooms of p1 and p2 answered."""
    first, second = (len(proxies.printed(f"room3001-{n}", "answered")) for n in ("p1", "p2"))
    return first, second


def hosts(proxies: Proxies, name: str) -> list[tuple[str, str]]:
    """Conferences and their hosts, as a node knows them."""
    return [(row["number"], row["node"]) for row in proxies[name].call("conference.list")]


@pytest.mark.system
def test_calls_meet_at_the_first_host_and_at_another_when_it_dies(proxies: Proxies) -> None:
    """Through p2 to the room of p1; after kill -9 of p1's node the next one is hosted at p2."""
    proxies["p1"].phone("1001", "call", "3001", "60", "60")
    proxies.until(lambda: hosts(proxies, "p2") == [("3001", "p1")], 10)
    proxies["p2"].phone("1002", "call", "3001", "60", "60")
    proxies.until(lambda: answered(proxies) == (2, 0), 10)
    proxies.until(lambda: proxies["p2"].call("conference.show", number="3001")["calls"] == 2, 10)
    shown = json.loads(proxies["p2"].cli("conference", "show", "3001", "--output", "json").stdout)
    assert (shown["node"], shown["server"], shown["apart"]) == ("p1", "192.0.2.1:5060", 0)
    proxies["p1"].end_node(signal.SIGKILL)
    proxies.until(lambda: hosts(proxies, "p2") == [], 20)
    proxies["p2"].phone("1003", "call", "3001", "60", "60")
    proxies.until(lambda: hosts(proxies, "p2") == [("3001", "p2")], 10)
    assert answered(proxies) == (2, 1)
    proxies["p1"].start_node()
    proxies.until(proxies["p1"].answers, 20)
    proxies.until(lambda: hosts(proxies, "p1") == [("3001", "p2")], 30)


@pytest.mark.system
def test_a_conference_ends_with_its_last_call_or_by_its_operator(proxies: Proxies) -> None:
    """Then the next answered call decides anew where it is."""
    proxies["p1"].phone("1001", "call", "3001", "60", "0.5")
    proxies.until(lambda: hosts(proxies, "p2") == [("3001", "p1")], 10)
    proxies.until(lambda: 200 in proxies.results("1001", "bye"), 10)
    proxies.until(lambda: hosts(proxies, "p2") == hosts(proxies, "p1") == [], 5)
    proxies["p2"].phone("1002", "call", "3001", "60", "60")
    proxies.until(lambda: hosts(proxies, "p1") == [("3001", "p2")], 10)
    assert answered(proxies) == (1, 1)
    proxies["p1"].cli("conference", "release", "3001")
    proxies.until(lambda: hosts(proxies, "p2") == hosts(proxies, "p1") == [], 5)
    proxies["p1"].phone("1003", "call", "3001", "60", "60")
    proxies.until(lambda: hosts(proxies, "p2") == [("3001", "p1")], 10)
    assert answered(proxies) == (2, 1)
    result = proxies["p2"].cli("conference", "show", "3002", check=False)
    assert (result.returncode, "no conference '3002' is on" in result.stderr) == (1, True)
