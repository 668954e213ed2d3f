"""shield.detect.suspects: who is weighed, when the sum is an alert, and what is proven."""

from __future__ import annotations

from typing import Any

import pytest

from shield.detect.alert import Alert, Proof
from shield.detect.engine import Engine
from shield.detect.report import QUIET_TIME
from shield.detect.scores import standing
from shield.errors import ConfigError
from shield.net import pack
from shield.sip.event import NONCE, Kind
from tests.builders import CLIENT, request
from tests.detect.test_engine import START, engine, event, fed

RULE = """
score = 6
[match]
event = ["answer", "abandoned", "refused"]
trusted = false
[[mark]]
oddity = "no-cookie"
weight = 2
[[mark]]
oddity = "odd-agent"
weight = 2
[[mark]]
habit = "users"
least = 3
weight = 2
[[mark]]
habit = "ports"
least = 3
weight = 2
"""
ODD = {"branch": "1a2b3c4d", "agent": "zzz"}


def tried(made: Engine, number: int, status: int = 404, proofs: int = 0, **look: Any) -> list[Alert]:
    """Request ``number`` of a client, and what came of it."""
    payload = request(user=str(100 + number), call_id=f"call-{number}", **look)
    at = 10.0 * number
    asked = event(at, payload)
    answered = event(at + 0.1, payload, Kind.ANSWER, status=status, proofs=proofs)
    return fed(made, [asked, answered])


def alerts(made: Engine, count: int, **look: Any) -> list[Alert]:
    return [alert for number in range(count) for alert in tried(made, number, **look)]


def test_marks_of_message_and_source_add_up() -> None:
    """4 of the message and 2 for the users that the source asked for since it was a suspect."""
    found = alerts(engine(RULE), 3, **ODD)
    assert [(alert.score, alert.limit, alert.messages) for alert in found] == [(6, 6, 3)]
    assert found[0].marks == (
        ("oddity no-cookie", 2),
        ("oddity odd-agent", 2),
        ("habit users, 3 or more", 2),
    )
    assert found[0].measure == "weight of marks"
    assert found[0].evidence


def test_one_mark_less_is_no_alert() -> None:
    """However often it comes."""
    assert alerts(engine(RULE), 40, branch="1a2b3c4d") == []


def test_who_shows_no_mark_is_kept_from_the_third_failure_on() -> None:
    """Everybody mistypes; two failures are nothing to remember."""
    made = engine(RULE)
    assert alerts(made, 2) == []
    assert made.suspects.as_json()["suspects"] == 0
    tried(made, 2)
    assert made.suspects.as_json()["suspects"] == 1


def test_a_monitor_that_is_answered_is_no_suspect() -> None:
    """200 and no mark: nothing is kept, for the whole day."""
    made = engine(RULE)
    for number in range(50):
        payload = request("OPTIONS", call_id=f"call-{number}")
        fed(
            made, [event(number * 60.0, payload), event(number * 60.1, payload, Kind.ANSWER, status=200)]
        )
    assert made.suspects.as_json()["suspects"] == 0


def test_what_is_granted_is_no_habit() -> None:
    """A trunk without passwords asks for many numbers, and gets through."""
    made = engine(RULE)
    assert alerts(made, 20, status=200, **ODD) == []


def test_one_message_may_be_enough() -> None:
    """It is a fingerprint then: told again with the third message, so the policy can wait."""
    made = engine(RULE.replace("score = 6", "score = 4"))
    found = alerts(made, 5, **ODD)
    assert [(alert.fingerprint, alert.repeated) for alert in found] == [
        (True, False), (True, False), (True, True),
    ]  # fmt: skip


def test_a_source_is_told_once_a_minute() -> None:
    """And again when the proof got better."""
    made = engine(RULE)
    found = alerts(made, 13, **ODD)
    assert len(found) == 2
    assert found[1].time - found[0].time >= QUIET_TIME


def test_a_genuine_request_does_not_prove_what_was_forged() -> None:
    """Somebody forges requests in the name of a phone; the phone's own failure proves nothing."""
    made = engine(RULE)
    assert {alert.proof for alert in alerts(made, 9, **ODD)} == {Proof.UNPROVEN}
    found = tried(made, 20, proofs=NONCE, **ODD)
    assert {alert.proof for alert in found} <= {Proof.UNPROVEN}


def test_proven_requests_prove_the_source() -> None:
    """When they reach the score by themselves."""
    found = alerts(engine(RULE), 4, proofs=NONCE, **ODD)
    assert found[0].proof is Proof.PROVEN


def test_who_succeeded_is_not_weighed() -> None:
    """An accepted login outweighs every small mark."""
    made = engine(RULE)
    fed(made, [event(0, request(), Kind.ACCEPTED, user="100")])
    assert alerts(made, 9, **ODD) == []


def test_marks_seen_so_far_are_told() -> None:
    """``shield show`` lists them for a source below the score too."""
    made = engine(RULE)
    alerts(made, 2, **ODD)
    client = pack(CLIENT)
    shown = made.suspects.standing(made.rules, client, START + 20)
    record = made.sources.get(client)
    assert record is not None
    rows = standing(made.rules, record, START + 20, trusted=False, shown=shown)
    assert rows == [
        {
            "scenario": "r0",
            "score": 4,
            "limit": 6,
            "measure": "weight of marks",
            "marks": [
                {"mark": "oddity no-cookie", "weight": 2},
                {"mark": "oddity odd-agent", "weight": 2},
            ],
        }
    ]
    assert made.suspects.standing(made.rules, pack("192.0.2.99"), START) == []


def test_a_field_counts_together_with_oddities() -> None:
    """All three kinds of marks stand in one sum."""
    text = RULE + "[[mark]]\nfield = 'call-id'\nprefix = 'call-'\nweight = 2\n"
    assert alerts(engine(text), 1, **ODD)[0].score == 6


@pytest.mark.parametrize("more", ["max_retry = 3", "distinct = 'user'", "by = 'user'"])
def test_such_rules_count_nothing_else(more: str) -> None:
    """The score is the limit."""
    with pytest.raises(ConfigError, match="oddities and habits"):
        engine(RULE + f"[count]\n{more}\n")
