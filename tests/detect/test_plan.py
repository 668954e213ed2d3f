"""Facts of plans: gates spare work and never hide a rule that would fire."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shield.detect import match
from shield.detect.match import MAX_VALUE
from shield.detect.plan import make_plan
from shield.detect.rule import Rule, parse_rule
from shield.detect.rulefiles import load_rules
from shield.errors import RemoteError
from shield.sip.event import Kind, SipEvent
from shield.sip.message import Request, parse_message
from tests.builders import datagram, read_request, request

BUILT_IN = load_rules()


def rule(text: str, name: str = "own") -> Rule:
    return parse_rule(tomllib.loads('description = "d"\n' + text), name, name + ".toml")


def event_of(payload: bytes, kind: Kind = Kind.REQUEST) -> SipEvent | None:
    """A request as an event, None when the bytes hold none."""
    try:
        message = parse_message(payload)
    except RemoteError:
        return None
    if not isinstance(message, Request):
        return None
    return SipEvent(kind, datagram(payload), message)


def fires(candidate: Rule, event: SipEvent) -> bool:
    """What the engine asks of a rule about the message itself."""
    if event.kind not in candidate.events or candidate.rate:
        return False
    if candidate.methods and event.method not in candidate.methods:
        return False
    if not all(condition.holds(event) for condition in candidate.conditions):
        return False
    return not candidate.marks or candidate.scores(event)[0] >= candidate.score


# Parts of messages of the tools, harmless ones and odd spellings of both.

METHODS = ["OPTIONS", "REGISTER", "INVITE", "ACK", "FOO", "options"]
URIS = ["sip:nm", "sip:nm2@h", "sip:100@192.0.2.1", "sip:carol@chicago.com", "sip:x' or 1=1--@h"]
URIS += ["sip:00442079460000@h", "tel:+88216123456", "*", "sip:UNION SELECT 1"]
BRANCHES = ["z9hG4bK1", "foo", "z9hG4bK-123456", "z9hG4bK.0a1b2c3d", "a" * 71, "abcDEF.1234567890"]
BRANCHES += ["z9hG4bK" + "a" * 25]
TAGS = [";tag=f1", "", ";tag=3206210844", ";tag=70c00e8c", ";tag=313030013132333435", ";TAG=root"]
HOSTS = ["nm", "pc33.atlanta.com", "192.0.2.9"]
CALL_IDS = ["c1", "1337@h", "1234@192.0.2.9", "50000", "a84b4c76e66710", "0" * 32, "A" * 60, "123456"]
AGENTS = [
    "phone/1",
    "friendly-scanner",
    "FRIENDLY-Scanner",
    " sipvicious",
    "pplsip",
    "Nmap NSE",
    "abcdefgh",
]
AGENTS += ["sippts", "Asterisk PBX", "SIPP", "mr.sip"]
CONTACTS = ["<sip:me@h>", "sip:100@h", "<sip:me@h;transport=UDP>;expires=120", ""]
EXTRAS = ["Allow: PRACK, INVITE ,ACK", "Max-Forwards: 20", "Subject: ' or 1=1", "X: y", "l: 3"]
EXTRAS += ["To: <sip:officesip.local>"]
NAMES = {
    "Via": ["Via", "v", "VIA", "via "],
    "From": ["From", "f", "fRoM", "From\t"],
    "To": ["To", "t", "TO"],
    "Call-ID": ["Call-ID", "i", "call-id"],
    "CSeq": ["CSeq", "CSEQ", "cseq"],
    "User-Agent": ["User-Agent", "USER-AGENT", "user-agent "],
    "Contact": ["Contact", "m", "contact"],
}


@st.composite
def spelled(draw: st.DrawFn) -> bytes:
    """A request of these parts, each header name in one of its spellings, perhaps damaged."""

    def line(name: str, value: str) -> str:
        fold = draw(st.sampled_from([": ", ":", ":  ", ":\r\n "]))
        return draw(st.sampled_from(NAMES[name])) + fold + value

    pick = lambda values: draw(st.sampled_from(values))  # noqa: E731
    method = pick(METHODS)
    lines = [
        f"{method} {pick(URIS)} SIP/2.0",
        line(
            "Via",
            f"SIP/2.0/{pick(['UDP', 'TCP'])} {pick(HOSTS)};branch={pick(BRANCHES)}",
        ),
        line("From", f"{pick(['', ' '])}<sip:{pick(['100', 'root', 'bob'])}@h>{pick(TAGS)}"),
        line("To", pick(["<sip:100@1.1.1.1>", "<sip:bob@h>"])),
        line("Call-ID", pick(CALL_IDS)),
        line("CSeq", f"{pick(['1', '1234', '42', 'x'])} {method}"),
        line("User-Agent", pick(AGENTS)),
        line("Contact", pick(CONTACTS)),
        *draw(st.lists(st.sampled_from(EXTRAS), max_size=2)),
    ]
    dropped = draw(st.sets(st.integers(1, len(lines) - 1), max_size=2))
    lines = [text for at, text in enumerate(lines) if at not in dropped]
    text = pick(["\r\n", "\r\n", "\n"]).join([*lines, "", ""]).encode() + pick([b"", b"s=SIPPTS"])
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(text) - 1))
        text = text[:at] + draw(st.binary(max_size=3)) + text[at + 1 :]
    return text


@settings(max_examples=600, deadline=None)
@given(spelled(), st.sampled_from(Kind))
def test_gates_never_hide_a_rule_that_would_fire(payload: bytes, kind: Kind) -> None:
    """Every built-in rule that fits an event directly is among those that the plan gives."""
    event = event_of(payload, kind)
    if event is None:
        return
    given_rules = make_plan(BUILT_IN, kind, event.method).rules(event)
    assert {r.name for r in BUILT_IN if fires(r, event)} <= {r.name for r in given_rules}


WORDS = st.sampled_from(["a", "B", "ab", "b.", "A|", "(b"])
TESTS = st.one_of(
    st.fixed_dictionaries({"set": st.lists(WORDS, min_size=1, max_size=2)}),
    st.fixed_dictionaries({"prefix": st.lists(WORDS, min_size=1, max_size=2)}),
    st.fixed_dictionaries({"contains": st.lists(WORDS, min_size=1, max_size=2)}),
    st.fixed_dictionaries({"regex": st.sampled_from(["^a", "(a)b", "(?i)AB", "b$", "a|b", "(?s)a.b"])}),
    st.just({"absent": True}),
)
OPTIONS = st.fixed_dictionaries({"not": st.booleans(), "ignore_case": st.booleans()})


@st.composite
def rules(draw: st.DrawFn) -> list[Rule]:
    """Some rules about two fields, of conditions and marks of all kinds."""
    made = []
    names = ["user-agent", "call-id"]
    for number in range(draw(st.integers(1, 4))):
        marks: list[dict[str, Any]] = []
        for _ in range(draw(st.integers(0, 4))):
            test = {**draw(TESTS), **draw(OPTIONS)}
            marks.append(
                {"field": draw(st.sampled_from(names)), "weight": draw(st.integers(1, 4)), **test}
            )
        chosen = draw(st.sets(st.sampled_from(names), max_size=1))
        fields = {name: {**draw(TESTS), **draw(OPTIONS)} for name in sorted(chosen)}
        document = {
            "description": "d",
            "score": draw(st.integers(1, 6)),
            "mark": marks,
            "match": {"field": fields},
        }
        made.append(parse_rule(document, f"r{number}", "r.toml"))
    return made


@settings(max_examples=400, deadline=None)
@given(
    rules(),
    st.lists(st.tuples(*[st.sampled_from(["", "a", "AB", "ab.", "x", "A|b", "(b"])] * 2), max_size=4),
)
def test_no_rule_that_can_be_written_is_hidden(own: list[Rule], values: list[tuple[str, str]]) -> None:
    """Weights, negation, absence, groups, flags: gates agree with rules, also when asked again."""
    made = make_plan(own, Kind.REQUEST, b"OPTIONS")
    for agent, call_id in values * 2:
        payload = request("OPTIONS", agent=agent, call_id=call_id)
        for empty in (b"User-Agent: \r\n", b"Call-ID: \r\n"):
            payload = payload.replace(empty, b"")
        event = event_of(payload)
        assert event is not None
        assert {r.name for r in own if fires(r, event)} <= {r.name for r in made.rules(event)}


# What the plan leaves out


def test_a_rule_is_planned_for_its_events_and_methods_only() -> None:
    """Events and methods are decided once, not for each message."""
    own = [rule("[match]\nevent = ['answer']\nmethod = ['INVITE']")]
    event = SipEvent(Kind.ANSWER, datagram(request()), read_request(request()))
    assert make_plan(own, Kind.ANSWER, b"INVITE").rules(event) == tuple(own)
    assert make_plan(own, Kind.ANSWER, b"REGISTER").rules(event) == ()
    assert make_plan(own, Kind.REFUSED, b"INVITE").rules(event) == ()


def test_a_rule_about_statuses_is_asked_about_these_only() -> None:
    """Each answer has one status, and most rules ask for others."""
    own = [
        rule("[match]\nevent = ['answer']\nstatus = ['400-499']"),
        rule("[match]\nevent = ['answer']"),
    ]
    made = make_plan(own, Kind.ANSWER, b"REGISTER")
    event = SipEvent(Kind.ANSWER, datagram(request()), read_request(request()))
    for status, expected in ((404, own), (200, own[1:]), (499, own)):
        event.status = status
        assert list(made.rules(event)) == expected


def test_a_long_message_is_looked_at_as_far_as_its_rules_do() -> None:
    """What lies behind MAX_VALUE bytes of a field opens no gate, and hides none before it."""
    own = rule("[match.field]\nraw = { contains = 'needle' }")
    made = make_plan([own], Kind.REQUEST, b"OPTIONS")
    for extra, found in (
        (["X-A: needle", "X-B: " + "y" * MAX_VALUE], (own,)),
        (["X-B: " + "y" * MAX_VALUE, "X-A: needle"], ()),
    ):
        event = event_of(request("OPTIONS", *extra))
        assert event is not None
        assert made.rules(event) == found


def test_rules_with_a_rate_are_not_in_plans() -> None:
    """The engine asks them by itself when a source is loud enough."""
    assert make_plan([rule("[match]\nrate = 5")], Kind.REQUEST, b"INVITE").rules(_plain()) == ()


def test_a_harmless_request_opens_no_gate() -> None:
    """A phone's REGISTER is looked at by no fingerprint."""
    fingerprints = [r for r in BUILT_IN if r.marks]
    assert make_plan(fingerprints, Kind.REQUEST, b"REGISTER").rules(_plain()) == ()


def test_answers_of_a_gate_are_bounded(monkeypatch: Any) -> None:
    """A flood of invented User-Agents does not fill the memory of the gate."""
    monkeypatch.setattr(match, "MAX_REMEMBERED", 3)
    own = rule("[match.field]\nuser-agent = { prefix = 'bad' }")
    made = make_plan([own], Kind.REQUEST, b"OPTIONS")
    for number in range(20):
        event = event_of(request("OPTIONS", agent=f"bad{number}" if number % 2 else f"good{number}"))
        assert event is not None
        assert made.rules(event) == ((own,) if number % 2 else ())
    (gate,) = made._gates.values()
    assert 0 < len(gate.test.__self__) <= 3


def _plain() -> SipEvent:
    event = event_of(request())
    assert event is not None
    return event
