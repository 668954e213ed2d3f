"""show: why an address is banned."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.fixture
def answer(decision: Any) -> dict[str, Any]:
    """What the daemon tells of one banned address."""
    return {
        "value": "203.0.113.5",
        "state": "banned",
        "decisions": [decision],
        "allowlist": None,
        "alerts": [
            {
                "time": 1700000000.0,
                "scenario": "register-brute-force",
                "proof": "proven",
                "messages": 12,
                "details": {"user": "100\x1b[2J"},
                "evidence": [
                    {"time": 1.0, "note": "401", "message": f"REGISTER sip:{n} SIP/2.0\r\nX: y"}
                    for n in range(5)
                ],
            }
        ],
        "history": [{"time": 1600000000.0, "kind": "expired", "scenario": "old", "duration": 60.0}],
        "first_seen": 1600000000.0,
        "last_seen": 1600000099.0,
        "source": {
            "source": {"first_seen": 1600000000.0, "messages": 12, "trust": None},
            "skipped": 77,
        },
    }


def test_show_says_why(shield: Any, daemon: Any, answer: Any) -> None:
    """State, decision, alert with evidence, history and what was skipped."""
    daemon.answers["show"] = answer
    result = shield("show", "203.0.113.5")
    assert result.exit_code == 0
    assert daemon.calls == [("show", {"value": "203.0.113.5"})]
    for text in (
        "203.0.113.5: banned",
        "12 wrong",
        "REGISTER sip:0",
        "seen: 401",
        "expired",
        "77 packets",
    ):
        assert text in result.stdout
    assert "2 more, see --all" in result.stdout
    assert "\x1b" not in result.stdout


def test_show_all_has_whole_messages(shield: Any, daemon: Any, answer: Any) -> None:
    """--all prints each message to its last line."""
    daemon.answers["show"] = answer
    out = shield("show", "--all", "203.0.113.5").stdout
    assert "REGISTER sip:4" in out
    assert out.count("X: y") == 5


def test_show_tells_the_grade_and_what_would_change_it(shield: Any, daemon: Any, answer: Any) -> None:
    """Why it is unproven, who said so, what lifts or proves it; and who else says so in vain."""
    answer["grounds"] = [
        {
            "grade": "unproven", "decided_by": "n1", "renewed": True,
            "reasons": ["no message of 7 counted came with a sign"],
            "lifted_by": ["a login", "shield unban"], "proven_by": ["a nonce", "a To tag"],
        }
    ]  # fmt: skip
    answer["shared"] = [
        {"origin": "n2", "remaining": 60.0, "applied": False, "proof": "unproven", "reason": "it rings"}
    ]
    daemon.answers["show"] = answer
    lines = " ".join(shield("show", "203.0.113.5").stdout.split())
    assert "unproven, decided by n1: no message of 7 counted came with a sign" in lines
    assert "ends by itself unless the scan goes on; lifted by: a login | shield unban" in lines
    assert "would be proven by: a nonce | a To tag" in lines
    assert "n2 bans it unproven, 1m left; not here: it rings" in lines


def test_show_json_is_the_answer(shield: Any, daemon: Any, answer: Any) -> None:
    """Nothing is lost for scripts."""
    daemon.answers["show"] = answer
    assert json.loads(shield("show", "203.0.113.5", "-o", "json").stdout) == answer


def test_show_plain_has_a_line_for_each_item(shield: Any, daemon: Any, answer: Any) -> None:
    """value, key, item."""
    daemon.answers["show"] = answer
    lines = shield("show", "203.0.113.5", "-o", "plain").stdout.splitlines()
    assert [line.split("\t")[1] for line in lines] == ["state", "decision", "alert", "history"]


def test_show_of_an_unknown_address(shield: Any, daemon: Any) -> None:
    """Nothing known is an answer, not an error."""
    daemon.answers["show"] = {"value": "192.0.2.1", "state": "unknown", "source": None}
    result = shield("show", "192.0.2.1")
    assert (result.exit_code, result.stdout) == (0, "192.0.2.1: unknown\n")


def test_show_names_the_allowlist_entry(shield: Any, daemon: Any) -> None:
    """An allowed address names what allows it."""
    entry = {"value": "192.0.2.0/24", "reason": "office", "remaining": 60.0}
    daemon.answers["show"] = {"state": "allowed", "allowlist": entry}
    assert "allowed by 192.0.2.0/24 (office), 1m left" in shield("show", "192.0.2.1").stdout


def test_show_of_no_address_is_wrong_usage(shield: Any, daemon: Any) -> None:
    """The daemon is not asked."""
    assert shield("show", "203.0.113").exit_code == 2
    assert daemon.calls == []


def test_a_narrow_terminal_cuts_evidence(shield: Any, daemon: Any, answer: Any) -> None:
    """A long message stays one line; --all and a pipe show it whole."""
    answer["alerts"][0]["evidence"] = [{"message": "INVITE " + "x" * 200, "note": "n" * 200}]
    daemon.answers["show"] = answer
    narrow = shield("show", "203.0.113.5", env={"COLUMNS": "60"}).stdout
    assert max(map(len, narrow.split("Alerts")[1].splitlines())) <= 60
    assert "x" * 200 in shield("show", "203.0.113.5").stdout
    assert "x" * 200 in shield("show", "--all", "203.0.113.5", env={"COLUMNS": "60"}).stdout


def test_an_alert_that_comes_again_shows_its_evidence_once(
    shield: Any, daemon: Any, answer: Any
) -> None:
    """First that it waits, then that it banned: two heads, one list of messages."""
    answer["alerts"] = [
        {**answer["alerts"][0], "why": why} for why in ("waits 10 s", "12 wrong passwords")
    ]
    daemon.answers["show"] = answer
    out = shield("show", "203.0.113.5").stdout
    assert "waits 10 s" in out
    assert "12 wrong passwords" in out
    assert out.count("REGISTER sip:0") == 1


def test_show_tells_the_score(shield: Any, daemon: Any, answer: Any) -> None:
    """Score, what was needed, what it adds up; each mark with its weight; running counts."""
    scored = {
        "score": 9,
        "limit": 4,
        "measure": "weight of marks",
        "marks": [
            {"mark": "from.tag regex x", "weight": 4},
            {"mark": "user-agent prefix y", "weight": 5},
        ],
    }
    answer["alerts"] = [{**answer["alerts"][0], **scored}]
    near = {
        "scenario": "user-enumeration",
        "score": 3,
        "limit": 6,
        "measure": "different values of user",
    }
    answer["source"]["source"]["scores"] = [near]
    daemon.answers["show"] = answer
    out = shield("show", "203.0.113.5").stdout
    for line in (
        "(proven, 12 messages, score 9 of 4)",
        "    score: 9 of 4 (weight of marks)",
        "      4: from.tag regex x",
        "      5: user-agent prefix y",
        "  counts for user-enumeration: 3 of 6 (different values of user)",
    ):
        assert line in out


def test_show_tells_first_and_last_seen(shield: Any, daemon: Any, answer: Any) -> None:
    """Both times stand there, whether the node remembers the source or the journal its alerts."""
    for source in (answer["source"], None):
        daemon.answers["show"] = {**answer, "source": source}
        out = shield("show", "203.0.113.5", env={"TZ": "UTC"}).stdout
        assert "first seen 2020-09-1" in out
        assert "last seen 2020-09-1" in out


def test_show_tells_what_other_nodes_say(shield: Any, daemon: Any, answer: Any) -> None:
    """Who saw it, and who bans it while this node does not, with the reason."""
    answer["alerts"][0]["origin"] = "node-b"
    answer["shared"] = [
        {"origin": "node-b", "remaining": 600.0, "applied": True, "why": ""},
        {"origin": "node-c", "remaining": 60.0, "applied": False, "why": "own_server"},
    ]
    daemon.answers["show"] = answer
    out = shield("show", "203.0.113.5").stdout
    assert "seen by node-b" in out
    assert "node-c bans it, 1m left; not here: own server" in out
    assert "node-b bans it" not in out
