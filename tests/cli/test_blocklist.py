"""list, ban and unban against a daemon."""

from __future__ import annotations

import json
from typing import Any

import pytest


def test_list_shows_a_table_and_counts(shield: Any, daemon: Any, decision: Any) -> None:
    """Each ban is a line, the last line counts."""
    daemon.answers["list"] = [decision, {**decision, "value": "2001:db8::5", "proof": "unproven"}]
    result = shield("list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("VALUE")
    assert [line.split()[0] for line in lines[1:3]] == ["203.0.113.5", "2001:db8::5"]
    assert lines[-1] == "2 bans, 1 unproven"


def test_list_passes_the_filter(shield: Any, daemon: Any) -> None:
    """Terms reach the daemon as one filter."""
    daemon.answers["list"] = []
    result = shield("list", "scenario=x*", "proof=proven")
    assert daemon.calls == [("list", {"filter": "scenario=x* proof=proven"})]
    assert result.stdout == "no bans match 'scenario=x* proof=proven'\n"


def test_list_as_json_and_plain(shield: Any, daemon: Any, decision: Any) -> None:
    """Scripts get every key as JSON, and tab separated values without a heading."""
    daemon.answers["list"] = [decision]
    assert json.loads(shield("list", "-o", "json").stdout) == [decision]
    plain = shield("list", "-o", "plain").stdout
    assert plain.split("\t")[:4] == ["203.0.113.5", "ip", "ban", "register-brute-force"]


def test_list_fits_a_narrow_terminal(shield: Any, daemon: Any, decision: Any) -> None:
    """At 60 columns no line is longer, and the address is never dropped."""
    daemon.answers["list"] = [{**decision, "reason": "x" * 200}]
    lines = shield("list", env={"COLUMNS": "60"}).stdout.splitlines()
    assert max(len(line) for line in lines) <= 60
    assert "203.0.113.5" in lines[1]


def test_list_limit_says_that_there_are_more(shield: Any, daemon: Any, decision: Any) -> None:
    """--limit shows so many and tells that it is not all."""
    daemon.answers["list"] = lambda arguments: [decision] * arguments["limit"]
    lines = shield("list", "-n", "2").stdout.splitlines()
    assert len(lines) == 4
    assert lines[-1] == "first 2 bans, there are more"


def test_a_wrong_filter_is_told_with_its_term(shield: Any, daemon: Any) -> None:
    """The field that does not exist is named, in every command that takes filters, asking nobody."""
    for command in (("list",), ("export",), ("watch",), ("allow", "list"), ("unban", "--filter")):
        result = shield(*command, "scenaro=x")
        assert result.exit_code == 2
        assert "unknown field 'scenaro'; did you mean 'scenario'?" in result.stderr
    assert daemon.calls == []


def test_control_characters_of_attackers_are_harmless(shield: Any, daemon: Any, decision: Any) -> None:
    """A reason with escape sequences cannot move the cursor."""
    daemon.answers["list"] = [{**decision, "reason": "a\x1b[2Jb"}]
    assert "\x1b" not in shield("list").stdout
    assert "\x1b" not in shield("list", "-o", "plain").stdout


def test_without_daemon_and_journal_it_says_so(shield: Any) -> None:
    """One line that names what is missing and what to do."""
    result = shield("list")
    assert result.exit_code == 1
    assert "shield is not running" in result.stderr
    assert "shield run" in result.stderr


def test_ban_sends_seconds_and_normal_addresses(shield: Any, daemon: Any, decision: Any) -> None:
    """Durations become seconds, addresses their usual spelling."""
    daemon.answers["ban"] = {"results": [{"value": "2001:db8::5", "ok": True, "decision": decision}]}
    result = shield("ban", "2001:DB8:0::5", "--time", "1h30m", "-r", "why")
    assert daemon.calls == [("ban", {"values": ["2001:db8::5"], "duration": 5400.0, "reason": "why"})]
    assert result.stdout == "banned 2001:db8::5 for 10m\n"


def test_a_refused_ban_fails(shield: Any, daemon: Any) -> None:
    """What the daemon refuses is named on standard error; the rest is done."""
    daemon.answers["ban"] = {
        "results": [
            {"value": "192.0.2.1", "ok": False, "message": "on the allowlist"},
            {"value": "192.0.2.2", "ok": True, "message": ""},
        ]
    }
    result = shield("ban", "192.0.2.1", "192.0.2.2")
    assert result.exit_code == 1
    assert result.stdout == "banned 192.0.2.2\n"
    assert result.stderr == "shield: 192.0.2.1: on the allowlist\n"


@pytest.mark.parametrize("arguments", [("300.0.0.1",), ("192.0.2.1/24",), ("192.0.2.1", "-t", "soon")])
def test_a_wrong_ban_is_wrong_usage(arguments: tuple[str, ...], shield: Any, daemon: Any) -> None:
    """The daemon is not even asked."""
    assert shield("ban", *arguments).exit_code == 2
    assert daemon.calls == []


def test_unban_takes_exactly_one_way(shield: Any, daemon: Any) -> None:
    """Values, filter and --all exclude each other."""
    assert shield("unban").exit_code == 2
    assert shield("unban", "192.0.2.1", "--all").exit_code == 2
    assert daemon.calls == []


def test_unban_by_filter(shield: Any, daemon: Any) -> None:
    """A filter is passed on, what ended is printed."""
    daemon.answers["unban"] = {"results": [{"value": "192.0.2.1", "ok": True, "message": ""}]}
    result = shield("unban", "--filter", "origin=node-b", "-o", "plain")
    assert daemon.calls == [("unban", {"filter": "origin=node-b"})]
    assert result.stdout == "192.0.2.1\n"
