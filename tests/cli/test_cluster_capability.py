"""cluster capability: who takes part in what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shield.errors import InputError

ROWS = [
    {"node": "a", "name": "blocklist", "enabled": True, "state": "in progress", "percent": 42,
     "source": "b", "since": 3.0},
    {"node": "b", "name": "blocklist", "enabled": True, "state": "synced", "percent": 100, "source": "",
     "since": 600.0},
    {"node": "b", "name": "script", "enabled": False, "state": "", "percent": None, "source": "",
     "since": 60.0},
]  # fmt: skip


def test_the_list_has_all_nodes(shield: Any, daemon: Any) -> None:
    """State with percents and source; what is disabled is called so."""
    daemon.answers["cluster.capability.list"] = ROWS
    lines = shield("cluster", "capability", "list").stdout.splitlines()
    assert lines[0].split() == ["NODE", "CAPABILITY", "STATE", "SINCE", "FROM"]
    assert lines[1].split() == ["a", "blocklist", "in", "progress", "42", "%", "3s", "b"]
    assert lines[2].split() == ["b", "blocklist", "synced", "10m", "-"]
    assert lines[3].split()[:3] == ["b", "script", "disabled"]
    assert json.loads(shield("cluster", "capability", "list", "-o", "json").stdout) == ROWS
    shield("cluster", "capability", "list", "--node", "b")
    assert daemon.calls[-1] == ("cluster.capability.list", {"node": "b"})


@pytest.mark.parametrize("verb", ["enable", "disable"])
def test_switching(shield: Any, daemon: Any, verb: str) -> None:
    """A sentence for people, a word for scripts."""
    answer = {"capability": "script", "enabled": verb == "enable", "changed": True}
    daemon.answers[f"cluster.capability.{verb}"] = answer
    result = shield("cluster", "capability", verb, "script")
    assert result.stdout == f"script is {verb}d on this node\n"
    assert daemon.calls == [(f"cluster.capability.{verb}", {"capability": "script"})]
    assert shield("cluster", "capability", verb, "script", "-o", "plain").stdout == f"{verb}d\n"
    daemon.answers[f"cluster.capability.{verb}"] = {**answer, "changed": False}
    assert shield("cluster", "capability", verb, "script").stdout.endswith("node, as it was\n")
    daemon.answers[f"cluster.capability.{verb}"] = InputError("no capability 'x'; there are script")
    result = shield("cluster", "capability", verb, "x")
    assert (result.exit_code, result.stderr) == (1, "shield: no capability 'x'; there are script\n")
