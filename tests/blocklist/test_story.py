"""What ``show`` tells: one word for the state, times, and what is there."""

from __future__ import annotations

from typing import Any

import pytest

from shield.blocklist.allowlist import Allowlist
from shield.blocklist.decision import Decision
from shield.blocklist.story import story
from shield.detect.alert import Proof
from shield.net import Network

VALUE = "192.0.2.1"
BAN = Decision(Network.parse(VALUE), "scan", "node-a", Proof.PROVEN, 1.0, 700.0, 600.0, "id")
ALERT = {"scenario": "scan", "time": 50.0, "first_seen": 20.0}
PAST = {"at": 9.0, "change": "expired", "why": "", "reason": "old", "value": VALUE}


def told(**parts: Any) -> dict[str, Any]:
    return story(
        VALUE, 100.0, **{"decisions": [], "allowed": None, "alerts": [], "history": [], **parts}
    )


def test_the_state_is_one_word() -> None:
    """The allowlist wins over a ban; who has a past is watched; of others nothing is known."""
    allowlist = Allowlist()
    entry = allowlist.add(VALUE, 0.0)
    assert told(decisions=[BAN], allowed=entry)["state"] == "allowed"
    assert told(decisions=[BAN], history=[PAST])["state"] == "banned"
    for part in ({"alerts": [ALERT]}, {"history": [PAST]}):
        assert told(**part)["state"] == "watched"
    record = {"first_seen": 1.0, "last_seen": 2.0}
    assert told(source={"source": record})["state"] == "watched"
    assert told(source={"source": None})["state"] == "unknown"


@pytest.mark.parametrize(
    ("alerts", "record", "seen"),
    [
        ([], None, (None, None)),
        ([ALERT], None, (20.0, 50.0)),
        ([], {"first_seen": 30.0, "last_seen": 31.0}, (30.0, 31.0)),
        ([ALERT, {"scenario": "x"}], {"first_seen": 60.0, "last_seen": 90.0}, (20.0, 90.0)),
    ],
)
def test_first_and_last_seen(alerts: list[Any], record: Any, seen: tuple[Any, Any]) -> None:
    """The record of a running node and the alerts of the time before it together."""
    answer = told(alerts=alerts, source={"source": record})
    assert (answer["first_seen"], answer["last_seen"]) == seen


def test_history_has_the_keys_of_a_decision() -> None:
    """The time is that of the change, the reason that of the change if it had one."""
    (row,) = told(history=[PAST])["history"]
    assert (row["time"], row["kind"], row["reason"]) == (9.0, "expired", "old")
    (row,) = told(history=[{**PAST, "why": "by root"}])["history"]
    assert row["reason"] == "by root"
