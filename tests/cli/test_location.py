"""whereis: where a user is registered, for people and scripts."""

from __future__ import annotations

import json
from typing import Any

import pytest

PLACE = {
    "user": "alice@example.com",
    "node": "pbx-2",
    "server": "192.0.2.2:5060",
    "transport": "udp",
    "registered": 1_700_000_000.0,
    "remaining": 3000.0,
    "contacts": [
        {"contact": "sip:alice@198.51.100.7:5062", "remaining": 3000.0},
        {"contact": "sip:alice@198.51.100.8", "remaining": 60.0},
    ],
    "node_gone": None,
}


def test_people_see_node_server_and_contacts(shield: Any, daemon: Any) -> None:
    """And how long each contact is good for."""
    daemon.answers["whereis"] = {"places": [PLACE]}
    result = shield("whereis", "alice")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "alice@example.com at pbx-2 (192.0.2.2:5060 udp)"
    assert lines[2:] == ["  sip:alice@198.51.100.7:5062, 50m left", "  sip:alice@198.51.100.8, 1m left"]
    assert daemon.calls == [("whereis", {"user": "alice"})]


def test_scripts_get_one_line_for_each_contact(shield: Any, daemon: Any) -> None:
    """Or the whole answer as JSON."""
    daemon.answers["whereis"] = {"places": [PLACE]}
    plain = shield("whereis", "alice", "--output", "plain").stdout.splitlines()
    assert plain[1].split("\t") == [
        "alice@example.com", "pbx-2", "192.0.2.2:5060", "sip:alice@198.51.100.8", "60.0",
    ]  # fmt: skip
    assert json.loads(shield("whereis", "alice", "--output", "json").stdout) == {"places": [PLACE]}


def test_asking_waits_and_tells_who_was_silent(shield: Any, daemon: Any) -> None:
    """The answer may come from some of the nodes only."""
    daemon.answers["whereis"] = {
        "places": [PLACE | {"node_gone": 30.0}], "failures": {"gw": "body"}, "missing": ["old"],
    }  # fmt: skip
    result = shield("whereis", "--ask", "--timeout", "500ms", "alice")
    assert result.exit_code == 0
    assert "which went 30s ago" in result.stdout
    assert result.stderr == "shield: gw: body\nshield: old: no reply\n"
    assert daemon.calls == [("whereis", {"user": "alice", "ask": True, "timeout": 0.5})]


def test_nobody_is_an_exit_code(shield: Any, daemon: Any) -> None:
    """For `if shield whereis ...`."""
    daemon.answers["whereis"] = {"places": []}
    result = shield("whereis", "bob")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "shield: bob is not registered\n"


def test_everybody(shield: Any, daemon: Any) -> None:
    """All users of all nodes."""
    daemon.answers["users"] = [PLACE]
    assert shield("whereis", "--all").stdout.startswith("alice@example.com at pbx-2")
    assert json.loads(shield("whereis", "--all", "--output", "json").stdout) == [PLACE]


@pytest.mark.parametrize("words", [(), ("alice", "--all"), ("alice", "--ask", "--timeout", "1h")])
def test_wrong_usage(shield: Any, daemon: Any, words: tuple[str, ...]) -> None:
    """Neither nobody nor both, and no patience without end."""
    assert shield("whereis", *words).exit_code == 2
    assert daemon.calls == []
