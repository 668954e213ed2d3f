"""shield.detect.report: what an alert and its evidence say."""

from __future__ import annotations

import tomllib

import pytest

from shield.detect.alert import Proof
from shield.detect.report import PROGRESS_TIME, REPEATED, make_alert, note, told
from shield.detect.rule import Rule, parse_rule
from shield.detect.sources import SourceRecord
from shield.net import Port
from shield.sip.event import NONCE, Kind, SipEvent
from tests.builders import datagram, read_request, request

MARKS = "score = 2\n[[mark]]\nfield = 'call-id'\nprefix = 'c'\nweight = 2\n"


def rule(text: str) -> Rule:
    return parse_rule(tomllib.loads(f"description = 'what it is'\n{text}"), "own", "own.toml")


def event(kind: Kind = Kind.REQUEST, status: int = 0) -> SipEvent:
    made = SipEvent(kind, datagram(request("INVITE"), 100.0), read_request(request("INVITE")))
    made.status = status
    return made


def test_the_note_names_rule_answer_and_marks() -> None:
    """An operator reads why a message counted."""
    found = rule(MARKS)
    assert note(found, event(), []) == "own"
    assert note(found, event(Kind.ANSWER, 404), []) == "own; answer 404"
    assert note(found, event(), found.marks) == "own; call-id prefix c"


def test_details_are_those_of_the_message() -> None:
    """Whom it was sent to, by which client, for whom."""
    alert = make_alert(
        rule(MARKS), event(), SourceRecord(90.0), (), count=1, limit=1, marks=(), proven=False
    )
    details = dict(alert.details)
    assert (details["rule"], details["method"], details["user"]) == ("what it is", "INVITE", "100")
    assert details["target"] == "198.51.100.1:5060"
    assert (alert.first_seen, alert.time, alert.proof) == (90.0, 100.0, Proof.UNPROVEN)


def test_proofs_are_told_with_the_alert() -> None:
    """An operator sees what made an alert a proven one."""
    made = event()
    made.proofs = NONCE
    alert = make_alert(rule(MARKS), made, SourceRecord(0.0), (), count=1, limit=1, marks=(), proven=True)
    assert (alert.proof, alert.proofs) == (Proof.PROVEN, ("nonce",))


@pytest.mark.parametrize(
    ("messages", "rang", "repeated"),
    [(1, 0.0, False), (REPEATED, 0.0, True), (REPEATED, 100.0 - PROGRESS_TIME, False)],
)
def test_a_fingerprint_is_repeated_when_its_source_is(
    messages: int, rang: float, repeated: bool
) -> None:
    """One message may be a stray one, and while a call rings everything waits."""
    record = SourceRecord(0.0)
    record.messages, record.progress_time = messages, rang
    alert = make_alert(rule(MARKS), event(), record, (), count=1, limit=1, marks=(), proven=False)
    assert alert.repeated is repeated


def test_a_culprit_and_its_accounts_are_told() -> None:
    """What an operator looks for behind a NAT; without anything more the alert stays as it is."""
    alert = make_alert(
        rule(MARKS), event(), SourceRecord(90.0), (), count=1, limit=1, marks=(), proven=True
    )
    assert told(alert, (), (b"100",), None) is alert
    ports = (Port.parse("udp/40001"), Port.parse("tcp/40002"))
    found = told(alert, ports, (b"100", b"10\xff"), 3)
    details = dict(found.details)
    assert details["culprit"] == "only udp/40001, tcp/40002, where nobody logged in"
    assert (details["accounts"], details["campaign_sources"]) == ("100, 10\\xff", "3")
    assert (found.ports, found.as_json()["ports"]) == (ports, "udp/40001 tcp/40002")
