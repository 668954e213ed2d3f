"""cluster start, leave, enable, disable, remove, release and drop."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shield.errors import InputError

MEMBERS = [{"name": "pbx-1"}, {"name": "pbx-2"}]
JOINED = {"cluster": "voip", "node": "pbx-1"}


@pytest.fixture(autouse=True)
def answers(daemon: Any) -> None:
    """A daemon that does what it is told."""
    daemon.answers |= {
        "cluster.members": MEMBERS,
        "cluster.start": JOINED,
        "cluster.leave": JOINED,
        "cluster.enable": {"enabled": True},
        "cluster.disable": {"enabled": False},
        "cluster.remove": lambda arguments: {"node": arguments["node"]},
        "cluster.release": lambda arguments: {"node": arguments["node"], "records": 1200},
        "cluster.drop": lambda arguments: {"node": arguments["node"], "records": 1},
    }


@pytest.mark.parametrize(
    ("typed", "asked", "told", "plain"),
    [
        ("start", {}, "takes part in cluster voip as pbx-1", "started"),
        ("leave --yes", {}, "pbx-1 has left cluster voip; `shield cluster start`", "pbx-1"),
        ("enable", {}, "enabled: this node sends and takes everything again", "enabled"),
        ("disable", {}, "disabled: this node stays connected", "disabled"),
        ("remove pbx-2", {"node": "pbx-2"}, "removed pbx-2", "pbx-2"),
        ("release pbx-2", {"node": "pbx-2"}, "released 1,200 records of pbx-2", "1200"),
        ("drop pbx-2 -y", {"node": "pbx-2"}, "dropped 1 record of pbx-2", "1"),
    ],
)
def test_orders_say_what_was_done(
    shield: Any, daemon: Any, typed: str, asked: dict[str, Any], told: str, plain: str
) -> None:
    """In words, as one word for scripts, and as the daemon's answer."""
    result = shield("cluster", *typed.split())
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(told)
    command = f"cluster.{typed.split(maxsplit=1)[0]}"
    assert daemon.calls == [(command, asked)]
    assert shield("cluster", *typed.split(), "-o", "plain").stdout == f"{plain}\n"
    shown = json.loads(shield("cluster", *typed.split(), "--output", "json").stdout)
    answer = daemon.answers[command]
    assert shown == (answer(asked) if callable(answer) else answer)


@pytest.mark.parametrize(
    "typed", ["start", "leave -y", "enable", "disable", "remove pbx-2", "release pbx-2", "drop pbx-2 -y"]
)
def test_orders_fit_a_narrow_terminal(shield: Any, typed: str) -> None:
    """No line is wider than 60 columns."""
    lines = shield("cluster", *typed.split(), env={"COLUMNS": "60"}).stdout.splitlines()
    assert max(map(len, lines)) <= 60


def test_a_daemon_with_another_name_must_be_restarted(shield: Any, daemon: Any) -> None:
    """That is no failure: the daemon has said what to do."""
    why = "restart `shield run`: until now this node is pbx-9"
    daemon.answers["cluster.start"] = {"restart": why}
    result = shield("cluster", "start")
    assert (result.exit_code, result.stdout) == (0, f"{why}\n")
    assert shield("cluster", "start", "-o", "plain").stdout == "restart needed\n"


@pytest.mark.parametrize("typed", ["leave", "drop pbx-2"])
@pytest.mark.parametrize(("said", "code", "asked"), [("y\n", 0, 1), ("n\n", 1, 0), ("", 130, 0)])
def test_what_cannot_be_taken_back_asks_first(
    shield: Any,
    daemon: Any,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    said: str,
    code: int,
    asked: int,
) -> None:
    """Only a yes goes on; without a terminal it is --yes."""
    monkeypatch.setattr("shield.cli.cluster_daemon._at_terminal", lambda: True)
    result = shield("cluster", *typed.split(), stdin=said)
    assert result.exit_code == code
    assert len(daemon.calls) == asked


@pytest.mark.parametrize(
    "typed",
    ["leave", "drop pbx-2", "drop A_B -y", "release A_B", "remove A_B", "remove", "drop", "enable x"],
)
def test_wrong_usage_is_one_line(shield: Any, daemon: Any, typed: str) -> None:
    """Exit code 2, and nothing is done: no name, a name that can be none, no yes in a script."""
    result = shield("cluster", *typed.split())
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert daemon.calls == []


@pytest.mark.parametrize("typed", ["release pbx2", "drop pbx2 -y"])
def test_a_slip_in_a_name_is_found_when_nothing_was_held(shield: Any, daemon: Any, typed: str) -> None:
    """A node that is not a member any more may still have held records, so the daemon is asked first."""
    for command in ("cluster.release", "cluster.drop"):
        daemon.answers[command] = {"node": "pbx2", "records": 0}
    result = shield("cluster", *typed.split())
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "shield: nothing is held of pbx2: no member 'pbx2', did you mean 'pbx-2'?\n"
    )


def test_nothing_held_of_a_member_is_no_failure(shield: Any, daemon: Any) -> None:
    """It is what the operator wanted."""
    daemon.answers["cluster.release"] = {"node": "pbx-2", "records": 0}
    result = shield("cluster", "release", "pbx-2")
    assert (result.exit_code, result.stdout) == (0, "nothing is held of pbx-2\n")


def test_remove_tells_why_not(shield: Any, daemon: Any) -> None:
    """A slip names the nearest member; a member that is there is told in the daemon's words."""
    daemon.answers["cluster.remove"] = InputError("no member 'pbx2'")
    result = shield("cluster", "remove", "pbx2")
    assert result.exit_code == 1
    assert result.stderr == "shield: no member 'pbx2', did you mean 'pbx-2'?\n"
    why = "pbx-2 can be reached: it is removed when it has left"
    daemon.answers["cluster.remove"] = InputError(why)
    assert shield("cluster", "remove", "pbx-2").stderr == f"shield: {why}\n"
