"""cluster status: one look tells whether anything wants a hand."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from shield.cli.cluster_status import status_rows
from shield.errors import InputError

DAY = 86_400.0


@pytest.fixture
def answer() -> dict[str, Any]:
    """A cluster of three in which all is well."""
    return {
        "joined": True,
        "cluster": "voip",
        "node": "pbx-1",
        "enabled": True,
        "port": 7170,
        "addresses": ["192.0.2.1 7170"],
        "authority": True,
        "certificate_expires": time.time() + 60.1 * DAY,
        "members": {"alive": 2, "suspect": 0, "dead": 0, "left": 0},
        "reachable": 2,
        "revoked": [],
        "invites": 0,
        "blocklist": {"state": "synced", "peers": {"pbx-2": {"equal": True}, "pbx-3": {"equal": True}}},
        "sharing": {
            "records": 1240,
            "quorum": 1,
            "bans": 1234,
            "saved_detections": 345,
            "held": 0,
            "origins": {"pbx-2": {"bans": 1234, "not_applied": {}}},
        },
        "errors": {},
        "refused": {},
        "throttled": 0,
        "relayed": 0,
        "unreachable": {},
        "warnings": [],
    }


def lines_of(text: str) -> dict[str, str]:
    return {line[:13].strip(): line[13:] for line in text.splitlines() if line[:13].strip()}


def test_status_is_readable(shield: Any, daemon: Any, answer: Any) -> None:
    """Names, members, blocklist, certificate and saved work, in words; nothing that is not there."""
    daemon.answers["cluster.status"] = answer
    result = shield("cluster", "status")
    assert result.exit_code == 0
    shown = lines_of(result.stdout)
    assert shown["cluster"] == "voip"
    assert shown["node"] == "pbx-1, holds the authority, reached at 192.0.2.1 port 7170"
    assert shown["members"] == "3: 3 alive; 2 can be reached"
    assert shown["blocklist"] == "synced, equal with 2 of 2 nodes"
    assert shown["certificate"].startswith("ends in 8w 4d (")
    assert shown["shared"] == "1,240 records, 1,234 bans"
    assert shown["saved"] == "345 detections that other nodes had made already"
    assert not {"held", "errors", "refused", "revoked", "invites", "relayed"} & shown.keys()


def test_a_server_that_carries_messages_is_shown(shield: Any, daemon: Any, answer: Any) -> None:
    """Its address and round trip; that there is none; no port where nobody is let in."""
    server = "tls://nats1.example.com:4222"
    answer |= {"carrier": "nats", "server": server, "server_rtt": 0.0021, "addresses": [], "port": 0}
    daemon.answers["cluster.status"] = answer
    shown = lines_of(shield("cluster", "status").stdout)
    assert shown["carrier"] == f"NATS, {server}, 2.1 ms"
    assert shown["node"] == "pbx-1, holds the authority"
    answer |= {"server": "", "server_rtt": None, "missed": 7}
    answer["warnings"] = [f"cluster: {server} cannot be reached: no answer"]
    result = shield("cluster", "status")
    assert result.exit_code == 1
    shown = lines_of(result.stdout)
    assert shown["carrier"] == "NATS, no server"
    assert shown["missed"] == "7"


def test_what_wants_a_hand_is_told_with_what_to_do(shield: Any, daemon: Any, answer: Any) -> None:
    """Held records name the commands; a node that differs, errors and refusals are named."""
    answer["members"]["dead"] = 1
    answer["enabled"] = False
    answer["blocklist"]["peers"]["pbx-3"]["equal"] = False
    answer["sharing"]["origins"]["pbx-3"] = {"not_applied": {"held": 120, "own_server": 2}}
    answer["sharing"]["quorum"] = 2
    answer |= {"errors": {"bad_frame": 3}, "refused": {"expired": 2}, "revoked": ["old"], "invites": 1}
    daemon.answers["cluster.status"] = answer
    out = shield("cluster", "status").stdout
    shown = lines_of(out)
    assert shown["members"] == "4: 3 alive, 1 dead; 2 can be reached"
    assert shown["blocklist"] == "synced, equal with 1 of 2 nodes, differs from pbx-3"
    assert shown["held"] == "120 records of pbx-3 beyond its budget"
    assert "`shield cluster release pbx-3` applies them" in out
    assert "`shield cluster drop pbx-3` takes them back" in out
    assert shown["not applied"] == "own server 2"
    assert shown["shared"].endswith("2 nodes must agree")
    assert (shown["errors"], shown["refused"]) == ("bad frame 3", "expired 2")
    assert (shown["revoked"], shown["invites"]) == ("old", "1 open")
    assert "disabled: neither sends nor takes anything (`shield cluster enable`)" in out


def test_warnings_fail(shield: Any, daemon: Any, answer: Any) -> None:
    """A monitoring script needs only the exit code, in every format."""
    daemon.answers["cluster.status"] = answer | {"warnings": ["cluster: pbx-3 cannot be reached"]}
    result = shield("cluster", "status")
    assert result.exit_code == 1
    assert result.stdout.endswith("warning: cluster: pbx-3 cannot be reached\n")
    assert shield("cluster", "status", "-o", "json").exit_code == 1
    assert shield("cluster", "status", "-o", "plain").exit_code == 1


def test_in_no_cluster_it_says_how_to_make_one(shield: Any, daemon: Any) -> None:
    """That is no failure, and the first commands are named."""
    daemon.answers["cluster.status"] = {"joined": False, "node": "pbx-1", "sharing": {"records": 0}}
    result = shield("cluster", "status", env={"COLUMNS": "60"})
    assert result.exit_code == 0
    assert result.stdout.startswith("in no cluster; this node is called pbx-1\n")
    for command in ("init", "invite", "start"):
        assert f"shield cluster {command}" in " ".join(result.stdout.split())
    assert max(map(len, result.stdout.splitlines())) <= 60


def test_status_for_scripts(shield: Any, daemon: Any, answer: Any) -> None:
    """JSON is the answer itself, plain has dotted keys."""
    daemon.answers["cluster.status"] = answer
    assert json.loads(shield("cluster", "status", "-o", "json").stdout) == answer
    plain = shield("cluster", "status", "--output", "plain").stdout
    assert "sharing.saved_detections\t345\n" in plain
    assert "blocklist.peers.pbx-2.equal\tTrue\n" in plain


def test_a_narrow_terminal_breaks_lines_below_their_value(shield: Any, daemon: Any, answer: Any) -> None:
    """No line is wider than 60 columns, and what goes on is indented."""
    answer["sharing"]["origins"]["pbx-3"] = {"not_applied": {"held": 120}}
    answer["warnings"] = ["cluster: " + "pbx-3 cannot be reached " * 4]
    daemon.answers["cluster.status"] = answer
    lines = shield("cluster", "status", env={"COLUMNS": "60"}).stdout.splitlines()
    assert max(map(len, lines)) <= 60
    assert "             `shield cluster release pbx-3` applies them" in lines


@pytest.mark.parametrize(
    ("left", "begins", "colour"),
    [
        (60 * DAY, "ends in 8w 4d (", ""),
        (3 * DAY, "ends in 3d (", "yellow"),
        (-2 * 3600.0, "ended 2h ago (", "red"),
    ],
)
def test_a_certificate_that_was_not_renewed_stands_out(
    answer: Any, left: float, begins: str, colour: str
) -> None:
    """It is renewed weeks before; one that ends in days, or has ended, has a reason to be looked at."""
    answer["certificate_expires"] = 1000.0 + left
    rows = {name: (text, tint) for name, text, tint in status_rows(answer, 1000.0)}
    assert rows["certificate"][0].startswith(begins)
    assert rows["certificate"][1] == colour


def test_an_answer_with_gaps_is_still_shown(shield: Any, daemon: Any) -> None:
    """An older or newer daemon does not break the command."""
    daemon.answers["cluster.status"] = {"joined": True, "cluster": "voip", "node": "a"}
    result = shield("cluster", "status")
    assert result.exit_code == 0, result.stderr
    assert lines_of(result.stdout)["blocklist"] == "-"


def test_nothing_of_other_nodes_moves_the_cursor(shield: Any, daemon: Any, answer: Any) -> None:
    """Names and reasons come from peers: what a terminal acts on is shown as a question mark."""
    answer["errors"] = {"x\x1b[2J": 1}
    daemon.answers["cluster.status"] = answer | {"warnings": ["a\x1b[2J\nb"]}
    out = shield("cluster", "status").stdout
    assert "\x1b" not in out
    assert "warning: a?[2J?b" in out


def test_a_refusal_of_the_daemon_is_one_line(shield: Any, daemon: Any) -> None:
    """Exit code 1 and its words."""
    daemon.answers["cluster.status"] = InputError("unknown command: 'cluster.status'")
    result = shield("cluster", "status")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "restart `shield run`" in result.stderr
