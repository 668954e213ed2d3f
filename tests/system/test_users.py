"""Two real servers of one cluster: a user is known at both, and a call finds him through either."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netlab import Lab
from tests.requires import need
from tests.system.proxies import Proxies


@pytest.fixture
def proxies(tmp_path: Path) -> Iterator[Proxies]:
    """Two servers with a node beside each."""
    need("ip", "nft", "kamailio")
    with Lab() as lab:
        made = Proxies(lab, tmp_path, "p1", "p2")
        made.open()
        yield made
        made.close()


@pytest.mark.system
def test_a_call_finds_a_user_of_another_server(proxies: Proxies) -> None:
    """He is at p2; the caller's server p1 asks its node, is redirected, and the call is answered."""
    proxies["p2"].phone("1002", "answer")
    proxies.until(lambda: proxies["p1"].whereis("1002") == ["p2"], 5)
    found = json.loads(proxies["p1"].cli("whereis", "1002@192.0.2.2", "--output", "json").stdout)
    (place,) = found["places"]
    assert (place["node"], place["server"]) == ("p2", "192.0.2.2:5060")
    assert place["contacts"][0]["contact"].startswith("sip:1002@192.0.2.22:5060")
    asked = json.loads(proxies["p1"].cli("whereis", "--ask", "1002", "--output", "json").stdout)
    assert [one["node"] for one in asked["places"]] == ["p2"]
    said = proxies["p1"].cli("cluster", "ask", "WHEREIS:1002:192.0.2.1").stdout.split()
    assert said == ["p2", "HEREIS:1002:192.0.2.2"]
    proxies["p1"].phone("1001", "call", "1002", "0.2")
    proxies.until(lambda: 200 in proxies.results("1001", "bye"), 10)
    assert proxies.results("1002", "answered")[:1] == [200]
    stats = proxies["p1"].call("stats")
    assert stats["redirect"]["answers"]["302"] >= 1
    assert stats["location"]["users"] == 2


@pytest.mark.system
def test_nobody_is_found_where_nobody_is(proxies: Proxies) -> None:
    """The caller hears 480, and the command has an exit code of its own."""
    proxies["p1"].phone("1001", "call", "1005", "0.2")
    proxies.until(lambda: 480 in proxies.results("1001", "call"), 10)
    result = proxies["p2"].cli("whereis", "1005", check=False)
    assert result.returncode == 1
    assert "1005 is not registered" in result.stderr


@pytest.mark.system
def test_users_of_a_node_that_died_are_forgotten_after_the_grace_time_and_back_with_it(
    proxies: Proxies,
) -> None:
    """kill -9 of the node: hidden after three seconds; the phone's next REGISTER brings him back."""
    proxies["p2"].phone("1002", "answer")
    proxies.until(lambda: proxies["p1"].whereis("1002") == ["p2"], 5)
    proxies["p2"].end_node(signal.SIGKILL)
    proxies.until(lambda: proxies["p1"].whereis("1002") == [], 20)
    proxies["p2"].start_node()
    proxies.until(proxies["p2"].answers, 20)
    proxies.until(lambda: proxies["p1"].whereis("1002") == ["p2"], 30)
    proxies.until(lambda: proxies["p2"].whereis("1002") == ["p2"], 5)


@pytest.mark.system
def test_a_user_that_moves_is_at_the_new_server(proxies: Proxies) -> None:
    """The newest registration counts on both nodes, and the next call goes there."""
    phone = proxies["p1"].phone("1002", "answer")
    proxies.until(lambda: proxies["p2"].whereis("1002@192.0.2.1") == ["p1"], 5)
    phone.terminate()
    phone.wait(10)
    proxies["p2"].phone("1002", "answer")
    proxies.until(lambda: proxies["p1"].whereis("1002")[:1] == ["p2"], 5)
    proxies["p2"].phone("1001", "call", "1002", "0.2")
    proxies.until(lambda: 200 in proxies.results("1001", "bye"), 10)
