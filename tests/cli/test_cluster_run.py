"""cluster run and audit: commands on other nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest


def answered(**values: Any) -> dict[str, Any]:
    return {"result": "sent", "code": 1, "results": {}, "failures": {}, "missing": [], **values}


def test_each_answer_is_shown(shield: Any, daemon: Any) -> None:
    """Words become an order and its arguments; a node that did not do it is told beside, exit code 1."""
    daemon.answers["cluster.run"] = answered(
        results={"b": {"ok": 1}}, failures={"c": "refused: no"}, missing=["d"]
    )
    result = shield("cluster", "run", "all", "ban", "192.0.2.1", "duration=1h", "--timeout", "3s")
    assert result.exit_code == 1
    assert result.stdout == 'b:\n  {\n    "ok": 1\n  }\n'
    assert result.stderr == "shield: c: refused: no\nshield: d: no answer within 3s\n"
    ((command, arguments),) = daemon.calls
    assert (command, arguments["node"], arguments["order"]) == ("cluster.run", "all", "ban")
    assert json.loads(arguments["arguments"]) == {"values": ["192.0.2.1"], "duration": 3600.0}
    daemon.answers["cluster.run"] = answered(results={"b": {"ok": 1}})
    assert shield("cluster", "run", "b", "status").exit_code == 0
    assert shield("cluster", "run", "b", "status", "-o", "plain").stdout == 'b\t{"ok": 1}\n'
    assert json.loads(shield("cluster", "run", "b", "status", "-o", "json").stdout)["code"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("run", "b"),
        ("run", "A B", "status"),
        ("run", "b", "inject", "x"),
        ("run", "b", "status", "--timeout", "1h"),
        ("audit", "--limit", "0"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line(shield: Any, daemon: Any, arguments: tuple[str, ...]) -> None:
    """Exit code 2, and nobody is asked."""
    result = shield("cluster", *arguments)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert daemon.calls == []


def test_the_audit_tells_who_wanted_what(shield: Any, daemon: Any) -> None:
    """The latest last."""
    row = {"time": 1.7e9, "what": "run", "node": "b", "who": "root@a", "command": "ban",
           "arguments": "{}", "outcome": "done"}  # fmt: skip
    daemon.answers["cluster.audit"] = [row]
    shown = shield("cluster", "audit", env={"COLUMNS": "120"}).stdout
    assert "root@a" in shown
    assert json.loads(shield("cluster", "audit", "-o", "json").stdout) == [row]
    assert daemon.calls[0] == ("cluster.audit", {"limit": 50})
    daemon.answers["cluster.audit"] = []
    assert "no command was run" in shield("cluster", "audit").stdout
