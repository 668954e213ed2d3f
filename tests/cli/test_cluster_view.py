"""cluster members, capabilities and events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shield.cli.cluster_view import event_line
from shield.errors import InputError


def member(name: str, **values: Any) -> dict[str, Any]:
    row = {
        "name": name,
        "self": False,
        "state": "alive",
        "since": 90_061.0,
        "enabled": True,
        "software": "shield 0.1.0",
        "addresses": ["192.0.2.2 7170"],
        "route": "direct",
        "rtt": 0.000312,
        "clock_offset": 0.1,
        "waiting": 0,
        "equal": True,
        "lag": 0.0,
        "certificate_expires": 1.8e9,
        "authority": False,
        "bans": 1234,
        "saved_detections": 345,
    }
    return {**row, **values}


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """This node with the authority, a neighbour, one behind another, a dead one."""
    own = {"name": "pbx-1", "self": True, "state": "alive", "enabled": True, "route": "self"}
    return [
        {**own, "software": "shield 0.1.0", "authority": True, "bans": 12, "saved_detections": 0},
        member("pbx-2"),
        member("pbx-3", route="over pbx-2", rtt=None, equal=False, lag=1.2),
        member("pbx-4", state="dead", route=None, rtt=None, equal=None, lag=None),
    ]


EVENTS = [
    {"time": 1.0, "kind": "member", "node": "pbx-2", "text": "dead (was suspect)"},
    {"time": 2.0, "kind": "refused", "node": "", "text": "expired: its certificate is old"},
]


def test_members_is_a_table_with_this_node_first(shield: Any, daemon: Any, rows: Any) -> None:
    """Marks and what they mean, states, ways, round trips in parts of a millisecond, saved work."""
    daemon.answers["cluster.members"] = rows
    result = shield("cluster", "members")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    titles = ["NODE", "STATE", "SINCE", "ROUTE", "RTT", "EQUAL", "LAG", "BANS", "SAVED", "VERSION"]
    assert lines[0] == titles
    assert lines[1] == ["*+", "pbx-1", "alive", "-", "-", "-", "-", "-", "12", "0", "0.1.0"]
    assert " ".join(lines[2]) == "pbx-2 alive 1d 1h direct 0.3ms yes 0s 1,234 345 0.1.0"
    assert " ".join(lines[3]) == "pbx-3 alive 1d 1h over pbx-2 - no 1.2s 1,234 345 0.1.0"
    assert " ".join(lines[4]) == "pbx-4 dead 1d 1h - - - - 1,234 345 0.1.0"
    last = "4 members, 3 alive (* this node, + holds the authority)"
    assert result.stdout.splitlines()[-1] == last


def test_a_node_that_is_switched_off_is_seen(shield: Any, daemon: Any, rows: Any) -> None:
    """It is alive but nothing comes from it: the state says so, JSON keeps both facts."""
    daemon.answers["cluster.members"] = [*rows[:1], member("pbx-2", enabled=False)]
    assert "pbx-2  disabled" in shield("cluster", "members").stdout
    shown = json.loads(shield("cluster", "members", "-o", "json").stdout)
    assert (shown[1]["state"], shown[1]["enabled"]) == ("alive", False)


def test_members_for_scripts(shield: Any, daemon: Any, rows: Any) -> None:
    """JSON has every field as the daemon gave it; plain has fixed columns."""
    daemon.answers["cluster.members"] = rows
    assert json.loads(shield("cluster", "members", "--output", "json").stdout) == rows
    lines = shield("cluster", "members", "-o", "plain").stdout.splitlines()
    assert lines[1].startswith("pbx-2\tFalse\tFalse\talive\tTrue\t90061.0\tdirect\t0.000312\tTrue\t")


def test_members_fit_a_narrow_terminal(shield: Any, daemon: Any, rows: Any) -> None:
    """At 60 columns what matters most is left: node, state, way, whether it is equal."""
    daemon.answers["cluster.members"] = [*rows, member("gateway-17.frankfurt.voip.example.net")]
    lines = shield("cluster", "members", env={"COLUMNS": "60"}).stdout.splitlines()
    assert max(map(len, lines)) <= 60
    assert {"NODE", "STATE", "EQUAL"} <= set(lines[0].split())
    assert "VERSION" not in lines[0]


def test_members_of_no_cluster(shield: Any, daemon: Any) -> None:
    """What to do is in the one line."""
    why = "this node is in no cluster (shield cluster init, or join)"
    daemon.answers["cluster.members"] = InputError(why)
    result = shield("cluster", "members")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"shield: {why}\n")


def test_capabilities(shield: Any, daemon: Any) -> None:
    """Name, counts and state of each feature; the keys of JSON are the daemon's."""
    counts = {"sent": 12345, "received": 9, "not_sent": 0, "bytes_sent": 7_000_000, "errors": 2}
    rows = [{"name": "blocklist", **counts, "bytes_received": 5, "state": "synced", "enabled": True}]
    daemon.answers["cluster.capabilities"] = rows
    lines = shield("cluster", "capabilities", env={"COLUMNS": "60"}).stdout.splitlines()
    assert lines[0].split("  ")[0] == "CAPABILITY"
    assert lines[1].split() == ["blocklist", "12,345", "9", "0", "2", "synced"]
    wide = shield("cluster", "capabilities", env={"COLUMNS": "100"}).stdout.splitlines()
    assert wide[1].split() == ["blocklist", "12,345", "9", "0", "7,000,000", "5", "2", "synced"]
    assert json.loads(shield("cluster", "capabilities", "-o", "json").stdout) == rows
    plain = shield("cluster", "capabilities", "-o", "plain").stdout
    assert plain.startswith("blocklist\t12345\t9\t0\tsynced\tTrue\t7000000\t5\t2\t")
    rows[0]["enabled"] = False
    assert shield("cluster", "capabilities").stdout.splitlines()[1].endswith("disabled")
    daemon.answers["cluster.capabilities"] = []
    assert shield("cluster", "capabilities").stdout == "no features take part\n"


def test_events_are_lines(shield: Any, daemon: Any) -> None:
    """Time, kind, node and text; how many is the daemon's work."""
    daemon.answers["cluster.events"] = EVENTS
    lines = shield("cluster", "events", "--limit", "7", env={"TZ": "UTC"}).stdout.splitlines()
    assert lines[0].endswith("  member    pbx-2: dead (was suspect)")
    assert lines[1].endswith("  refused   expired: its certificate is old")
    assert daemon.calls == [("cluster.events", {"limit": 7})]
    assert json.loads(shield("cluster", "events", "-o", "json").stdout) == EVENTS
    plain = shield("cluster", "events", "-o", "plain").stdout
    assert plain.splitlines()[0] == "1.0\tmember\tpbx-2\tdead (was suspect)"


def test_no_events(shield: Any, daemon: Any) -> None:
    """Nothing is said in words, and as an empty list."""
    daemon.answers["cluster.events"] = []
    assert shield("cluster", "events").stdout == "nothing has happened\n"
    assert shield("cluster", "events", "-o", "json").stdout == "[]\n"


def test_events_follow_goes_on_with_what_happens(shield: Any, daemon: Any) -> None:
    """First the latest, then each as it comes; JSON is one object a line with the same keys."""
    daemon.answers["cluster.events"] = EVENTS[:1]
    daemon.answers["watch"] = [{"event": "cluster", **EVENTS[1]}]
    result = shield("cluster", "events", "--follow", "-o", "json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == EVENTS
    assert daemon.calls[-1] == ("watch", {"kinds": ["cluster"]})
    assert len(shield("cluster", "events", "-f").stdout.splitlines()) == 2


def test_ctrl_c_ends_follow_cleanly(shield: Any, daemon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is how following ends: no message, exit code 0."""

    def interrupted(*_a: Any, **_k: Any) -> Any:
        yield EVENTS[0]
        raise KeyboardInterrupt

    daemon.answers["cluster.events"] = []
    monkeypatch.setattr("shield.cli.cluster_view.follow", interrupted)
    result = shield("cluster", "events", "--follow")
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == 1


def test_an_event_line_is_broken_and_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts come from peers; at 60 columns nothing is lost."""
    monkeypatch.setenv("COLUMNS", "60")
    line = event_line({"time": 1.0, "kind": "warning", "node": "a", "text": "x\x1b " * 30})
    assert "\x1b" not in line
    assert max(map(len, line.splitlines())) <= 60
    assert line.count("x?") == 30
