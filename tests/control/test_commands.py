"""The table of commands."""

from __future__ import annotations

from typing import Any

import pytest

from shield.control.commands import COMMANDS, TEXT_LENGTH, TEXTS, Actor, Answer, check
from shield.errors import InputError


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("status", {}),
        ("list", {"filter": "scenario=flood", "limit": 10}),
        ("ban", {"values": ["192.0.2.1", "2001:db8::/64"], "duration": 60.5, "reason": "manual"}),
        ("unban", {"all": True}),
        ("allow.add", {"values": ["pbx.example.net"]}),
        ("import", {"decisions": [{"value": "192.0.2.1"}], "dry_run": True}),
        ("watch", {"kinds": ["alert"]}),
    ],
)
def test_good_requests_pass_unchanged(command: str, arguments: dict[str, Any]) -> None:
    """A request that fits its table row keeps its arguments as they are."""
    request = check(command, arguments)
    assert (request.command.name, request.arguments) == (command, arguments)


def test_none_means_absent() -> None:
    """An argument that is None is as if it had not been given."""
    assert check("list", {"filter": None}).arguments == {}


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("explode", {}, "unknown command: 'explode'"),
        ("status", {"x": 1}, "status: unknown argument 'x'"),
        ("ban", {}, "'values' is missing"),
        ("ban", {"values": None}, "'values' is missing"),
        ("ban", {"values": "192.0.2.1"}, "must be a list of texts"),
        ("ban", {"values": [1]}, "must be a list of texts"),
        ("ban", {"values": ["x"], "duration": -1}, "must be a number"),
        ("ban", {"values": ["x"], "duration": float("nan")}, "must be a number"),
        ("ban", {"values": ["x"], "duration": float("inf")}, "must be a number"),
        ("ban", {"values": ["x"], "duration": True}, "must be a number"),
        ("list", {"limit": 1.5}, "must be a whole number"),
        ("unban", {"all": 1}, "must be true or false"),
        ("show", {"value": "1" * (TEXT_LENGTH + 1)}, "longer than"),
        ("ban", {"values": ["x"] * (TEXTS + 1)}, "too many entries"),
        ("watch", {"kinds": ["weather"]}, "must be one of alert, change"),
        ("import", {"decisions": ["192.0.2.1"]}, "must be a list of objects"),
    ],
)
def test_each_mistake_says_what_was_expected(
    command: str, arguments: dict[str, Any], words: str
) -> None:
    """A wrong request names the command, the argument and what belongs there."""
    with pytest.raises(InputError) as caught:
        check(command, arguments)
    assert words in str(caught.value)


def test_reading_commands_change_nothing() -> None:
    """The table says which commands change something; only those are logged with their actor."""
    changing = {name for name, command in COMMANDS.items() if command.changes}
    here = {name for name in changing if not name.startswith("cluster.")}
    orders = {"ban", "unban", "allow.add", "allow.remove", "import", "reload", "inject"}
    assert here == orders | {"compromised.clear", "conference.release", "hooks.test"}
    assert {name.removeprefix("cluster.") for name in changing - here} == {
        *("start", "leave", "enable", "disable", "remove", "invite", "revoke", "release", "drop"),
        *("run", "tag.set", "capability.enable", "capability.disable"),
    }
    endless = [name for name, command in COMMANDS.items() if command.answer is Answer.EVENTS]
    assert endless == ["watch", "cdr.watch", "cluster.listen"]


def test_actor_reads_as_one_phrase() -> None:
    """The log line names user and process."""
    assert str(Actor("root", 0, 42)) == "root (uid 0, pid 42)"
