"""status, watch and reload."""

from __future__ import annotations

import json
from typing import Any

from shield.cli.status import event_line
from shield.errors import ConfigError

ANSWER = {
    "name": "node-a",
    "mode": "enforce",
    "uptime": 90061.0,
    "interfaces": ["eth0", "eth1"],
    "bans": {"total": 1234, "proven": 1200},
    "warnings": [],
}


def test_status_is_readable(shield: Any, daemon: Any) -> None:
    """Humane durations and numbers, one line for each part."""
    daemon.answers["status"] = ANSWER
    result = shield("status")
    assert result.exit_code == 0
    rows = dict(line.split(None, 1) for line in result.stdout.splitlines())
    assert rows["mode"] == "enforce"
    assert rows["uptime"].startswith("1d 1h")
    assert rows["interfaces"] == "eth0, eth1"
    assert rows["bans"] == "total 1,234, proven 1,200"


def test_warnings_fail(shield: Any, daemon: Any) -> None:
    """A monitoring script needs only the exit code."""
    daemon.answers["status"] = {**ANSWER, "warnings": ["kernel drops packets"]}
    result = shield("status")
    assert result.exit_code == 1
    assert "warning: kernel drops packets" in result.stdout


def test_status_for_scripts(shield: Any, daemon: Any) -> None:
    """JSON is the answer itself, plain has dotted keys."""
    daemon.answers["status"] = ANSWER
    assert json.loads(shield("status", "-o", "json").stdout) == ANSWER
    assert "bans.total\t1234\n" in shield("status", "-o", "plain").stdout


def test_stats_asks_for_counters(shield: Any, daemon: Any) -> None:
    """--stats is the other command."""
    daemon.answers["stats"] = {"sip": {"errors": {"garbage": 3}}}
    assert "errors.garbage 3" in shield("status", "--stats").stdout
    assert daemon.calls == [("stats", {})]


def test_status_without_daemon(shield: Any) -> None:
    """One line, exit code 1."""
    result = shield("status")
    assert result.exit_code == 1
    assert result.stderr.startswith("shield: shield is not running")


def test_watch_prints_events_as_they_come(shield: Any, daemon: Any, decision: Any) -> None:
    """Alerts and changes, each a line, ending with --count."""
    alert = {"event": "alert", "time": 1.0, "value": "203.0.113.9", "scenario": "scan", "why": "allowed"}
    change = {"event": "change", "change": "added", "why": "", **decision}
    daemon.answers["watch"] = [alert, change, alert]
    lines = shield("watch", "--count", "2", "scenario=*").stdout.splitlines()
    assert len(lines) == 2
    assert "203.0.113.9" in lines[0]
    assert "(allowed)" in lines[0]
    assert "added" in lines[1]
    assert "for 1h" in lines[1]
    assert daemon.calls == [("watch", {"filter": "scenario=*"})]


def test_watch_json_is_one_object_a_line(shield: Any, daemon: Any) -> None:
    """Each line can be parsed alone."""
    daemon.answers["watch"] = [{"event": "change", "change": "expired", "value": "192.0.2.1"}] * 2
    lines = shield("watch", "-o", "json").stdout.splitlines()
    assert [json.loads(line)["change"] for line in lines] == ["expired", "expired"]


def test_watch_refuses_what_it_does_not_know(shield: Any, daemon: Any) -> None:
    """A wrong kind or filter never reaches the daemon."""
    assert shield("watch", "--kind", "alarm").exit_code == 2
    assert shield("watch", "nosuch=1").exit_code == 2
    assert daemon.calls == []


def test_watch_shows_the_cluster_when_asked(shield: Any, daemon: Any) -> None:
    """Events of the cluster name the node, what it was, and the text."""
    event = {"event": "cluster", "time": 1.0, "kind": "member", "node": "pbx-2", "text": "dead"}
    daemon.answers["watch"] = [event]
    [line] = shield("watch", "--kind", "cluster").stdout.splitlines()
    assert line.split()[2:] == ["cluster", "pbx-2", "member", "(dead)"]
    assert daemon.calls == [("watch", {"kinds": ["cluster"]})]
    assert (
        shield("watch", "-k", "cluster", "-o", "plain").stdout == "1.0\tcluster\tpbx-2\tmember\t\tdead\n"
    )


def test_an_event_with_gaps_is_still_a_line() -> None:
    """A newer daemon's events do not break an older command."""
    assert "fresh" in event_line({"event": "change", "change": "fresh"})


def test_reload_tells_every_mistake(shield: Any, daemon: Any) -> None:
    """Each mistake of the files is a line."""
    daemon.answers["reload"] = ConfigError("a.toml: x", "b.toml: y")
    result = shield("reload")
    assert result.exit_code == 1
    assert result.stderr == "shield: a.toml: x\nshield: b.toml: y\n"


def test_reload_says_what_changed(shield: Any, daemon: Any) -> None:
    """What the daemon tells is shown."""
    daemon.answers["reload"] = {"changed": ["detect", "policy"], "restart": []}
    out = shield("reload").stdout
    assert out.startswith("reloaded\n")
    assert "detect, policy" in out
    assert "restart" not in out


def test_a_narrow_terminal_breaks_lines_below_their_value(shield: Any, daemon: Any) -> None:
    """No line is wider than the terminal, and what goes on is indented."""
    daemon.answers["status"] = {"mode": "observe", "capture": {f"counter_{i}": i for i in range(20)}}
    lines = shield("status", env={"COLUMNS": "60"}).stdout.splitlines()
    assert len(lines) > 3
    assert all(len(line) <= 60 for line in lines)
    assert all(line.startswith(" " * 9) for line in lines[2:])
