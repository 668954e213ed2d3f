"""Every command of the control socket does what it says: to the blocklist, the kernel, the journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shield.control.commands import COMMANDS
from shield.errors import InputError, SystemFailure
from tests.node_parts import ATTACKER, CARRIER, WALL, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.journal.close()


ELSEWHERE = {"inject", "hooks.test", "whereis", "users", "calls"}
HERE = sorted(
    n for n in COMMANDS if n not in ELSEWHERE and not n.startswith(("cluster.", "cdr.", "conference."))
)
"""The node adds the others, see test_lab.py, test_clustering.py and test_features.py."""


@pytest.mark.parametrize("name", HERE)
def test_every_command_is_answered(bench: Bench, name: str) -> None:
    """The whole table of commands is implemented, and each works with what it requires only."""
    arguments: dict[str, Any] = {
        argument.name: {"values": ["192.0.2.1"], "value": "192.0.2.1", "decisions": []}[argument.name]
        for argument in COMMANDS[name].arguments
        if argument.required
    }
    if name in {"unban", "compromised.clear"}:
        arguments = {"all": True}
    assert bench.ask(name, **arguments) is not None


def test_unknown_command(bench: Bench) -> None:
    """A command that is not in the table is the client's fault."""
    with pytest.raises(InputError, match="unknown command"):
        bench.ask("explode")


def test_list_filters_and_limits(bench: Bench) -> None:
    """The filter grammar and the limit hold; a wrong filter names its term."""
    bench.ask("ban", values=["192.0.2.1", "192.0.2.2", "203.0.113.9"])
    assert len(bench.ask("list", filter="192.0.2.0/24")) == 2
    assert len(bench.ask("list", limit=2)) == 2
    assert len(bench.ask("list", limit=0)) == 3
    with pytest.raises(InputError, match="unknown field"):
        bench.ask("list", filter="scenarium=x")


def test_show(bench: Bench) -> None:
    """Show says in one word how it stands, and gives decisions, allowlist and history."""
    bench.ask("ban", values=[ATTACKER, "198.51.100.128/25"])
    shown = bench.ask("show", value=ATTACKER)
    assert shown["state"] == "banned"
    assert [d["value"] for d in shown["decisions"]] == [ATTACKER]
    assert [(row["kind"], row["time"]) for row in shown["history"]] == [("added", WALL + bench.now)]
    inside = bench.ask("show", value="198.51.100.130")
    assert [d["value"] for d in inside["decisions"]] == ["198.51.100.128/25"]
    assert bench.ask("show", value="198.51.100.128/25")["state"] == "banned"
    assert bench.ask("show", value=CARRIER)["state"] == "allowed"
    assert bench.ask("show", value="192.0.2.250")["state"] == "unknown"
    with pytest.raises(InputError):
        bench.ask("show", value="x")


def test_watch_filters(bench: Bench) -> None:
    """A watcher gets the events that his filter and kinds pick."""
    only = bench.ask("watch", filter="203.0.113.0/24")
    alerts = bench.ask("watch", kinds=["alert"])
    bench.ask("ban", values=[ATTACKER, "203.0.113.9"])
    assert only.queue.qsize() == 1
    assert alerts.queue.qsize() == 0


def test_firewall_status(bench: Bench, tmp_path: Path) -> None:
    """In enforce the state of the kernel is told, in observe that there is no firewall."""
    bench.ask("ban", values=[ATTACKER])
    state = bench.ask("firewall.status")
    assert (state["backend"], state["elements"], state["dropped_packets"]) == ("fake", 1, 0)
    (tmp_path / "b").mkdir()
    observing = Bench(tmp_path / "b", enforce=False)
    observing.ask("ban", values=[ATTACKER])
    assert observing.banned() == {ATTACKER}
    assert observing.ask("firewall.status") == {"mode": "observe", "backend": None}
    observing.journal.close()


def test_firewall_status_of_a_broken_kernel(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the table is missing the status is still told, with the problem."""

    def dropped() -> int:
        raise SystemFailure("table is missing")

    monkeypatch.setattr(bench.backend, "dropped", dropped)
    state = bench.ask("firewall.status")
    assert (state["backend"], state["problem"]) == ("fake", "table is missing")


def test_rules_and_reload(bench: Bench) -> None:
    """Rules are listed with what they look for; reload does what the node gave it."""
    rule = next(row for row in bench.ask("rules") if row["name"] == "test-scanner")
    assert (rule["max_retry"], rule["ban_time"], rule["matched"]) == (3, 600, 0)
    assert bench.ask("reload") == {"rules": 1}
    assert bench.reloads == 1
