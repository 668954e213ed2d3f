"""Facts of the engine: what each key of a rule counts, when an alert comes and what it says."""

from __future__ import annotations

import tomllib
import tracemalloc
from collections.abc import Sequence

import pytest

from shield.detect.alert import Alert, Proof
from shield.detect.engine import MAX_COUNTERS, PROGRESS_TIME, QUIET_TIME, Engine
from shield.detect.rule import Rule, parse_rule
from shield.detect.rulefiles import load_rules
from shield.detect.settings import DetectSettings
from shield.detect.sources import Sources
from shield.net import pack
from shield.sip.event import NONCE, TCP, TO_TAG, Kind, SipEvent
from shield.sip.servers import Servers
from tests.builders import CLIENT, SERVER, datagram, read_request, request

START = 100_000.0
THREE = "[count]\nmax_retry = 3\n"


def rule(text: str = "", name: str = "own") -> Rule:
    return parse_rule(tomllib.loads('description = "d"\n' + text), name, name + ".toml")


def engine(*texts: str, **settings: object) -> Engine:
    """An engine with rules named r0, r1, ..."""
    rules = [rule(text, f"r{number}") for number, text in enumerate(texts)]
    return Engine(rules, DetectSettings(**settings), Servers(frozenset([pack(SERVER)])))  # type: ignore[arg-type]


def event(
    time: float = 0.0,
    payload: bytes | None = None,
    kind: Kind = Kind.REQUEST,
    *,
    source: str = CLIENT,
    status: int = 0,
    proofs: int = 0,
    user: str = "",
    repeat: bool = False,
    destination: str = SERVER,
) -> SipEvent:
    """What happened ``time`` seconds after START; ``user`` is that of the credentials."""
    sent = request() if payload is None else payload
    made = SipEvent(kind, datagram(sent, START + time, source, destination), read_request(sent))
    made.status, made.repeat = status, repeat
    made.proofs |= proofs
    if user:
        made.auth = (user.encode(), b"n", b"r")
    return made


def fed(made: Engine, events: Sequence[SipEvent]) -> list[Alert]:
    return [alert for one in events for alert in made.observe(one)]


def counts(text: str, *events: SipEvent) -> bool:
    """Whether a rule of this text fires at the last of these events."""
    made = engine(text)
    for one in events[:-1]:
        made.observe(one)
    return bool(made.observe(events[-1]))


# Which events count


@pytest.mark.parametrize(
    ("text", "fits", "other"),
    [
        ("method = 'INVITE'", event(payload=request("INVITE")), event()),
        ("method = 'FOO'", event(payload=request("FOO")), event(payload=request("BAR"))),
        ("event = 'answer'\nstatus = ['400-404']", event(kind=Kind.ANSWER, status=404),
         event(kind=Kind.ANSWER, status=405)),
        ("event = 'refused'", event(kind=Kind.REFUSED), event(kind=Kind.ACCEPTED)),
        ("event = 'malformed'", event(kind=Kind.MALFORMED), event()),
        ("credentials = true", event(user="bob"), event()),
        ("credentials = false", event(), event(user="bob")),
        ("repeat = true", event(repeat=True), event()),
        ("repeat = false", event(), event(repeat=True)),
        ("mismatch = true", event(user="bob"), event(user="100")),
        ("mismatch = true", event(user="bob"), event()),
        ("mismatch = true", event(user="bob@host.example"), event(user="100@host.example")),
        ("field.user = { set = '100' }", event(), event(payload=request(user="101"))),
        ("header.X-A = { set = '1' }", event(payload=request("INVITE", "x-a: 1")), event()),
        ("field.contact = { absent = true }", event(), event(payload=request("INVITE", "m: <sip:a@b>"))),
    ],
)  # fmt: skip
def test_each_key_of_match(text: str, fits: SipEvent, other: SipEvent) -> None:
    """A key lets the events through that it names and no others."""
    assert counts("[match]\n" + text, fits)
    assert not counts("[match]\n" + text, other)


def test_methods_that_nobody_knows_share_no_rule() -> None:
    """A rule for one invented method is found whatever was seen before, and only for its own."""
    made = engine("[match]\nmethod = 'FOO'")
    seen = [bool(made.observe(event(payload=request(name), source=f"192.0.2.{at}")))
            for at, name in enumerate(["BAR", "FOO", "BAZ", "FOO", "BAR"], start=10)]  # fmt: skip
    assert seen == [False, True, False, True, False]


def test_trusted_asks_for_earned_trust() -> None:
    """After an accepted login a source is trusted: rules for strangers pass it over."""
    login = event(kind=Kind.ACCEPTED)
    assert not counts("[match]\ntrusted = false", login, event(1.0))
    assert counts("[match]\ntrusted = true\n[count]\ntrusted_factor = 1", login, event(1.0))
    assert counts("[match]\ntrusted = false", event())
    assert not counts("[match]\ntrusted = true", event())


def test_a_completed_call_earns_trust_and_trust_fades() -> None:
    """The engine tells the policy, by event time."""
    made = engine()
    made.observe(event(kind=Kind.COMPLETED))
    assert made.trusted(pack(CLIENT), START)
    assert not made.trusted(pack(CLIENT), START + 2 * made.trust_time)
    assert not made.trusted(pack("192.0.2.200"), START)


def test_a_login_after_guessing_earns_no_trust() -> None:
    """It may be the guess that hit; repeats of a stored password are no guesses."""
    guesser, phone = engine(), engine()
    for number in range(5):
        guesser.observe(event(number, kind=Kind.REFUSED, user="100"))
        phone.observe(event(number, kind=Kind.REFUSED, user="100", repeat=True))
    guesser.observe(event(9.0, kind=Kind.ACCEPTED, user="100"))
    phone.observe(event(9.0, kind=Kind.ACCEPTED, user="100"))
    assert not guesser.trusted(pack(CLIENT), START + 9.0)
    assert phone.trusted(pack(CLIENT), START + 9.0)


@pytest.mark.parametrize(
    ("accounts", "success", "earned"),
    [
        (["old"], "new", True),
        (["old", "older"], "new", True),
        (["old"], "old", False),
        (["a", "b", "c", "d"], "new", False),
    ],
)
def test_one_old_phone_does_not_cost_its_office_the_trust(
    accounts: list[str], success: str, earned: bool
) -> None:
    """Whose password was not guessed at logs in as ever; after a spray nobody does."""
    made = engine()
    for number in range(20):
        made.observe(event(number, kind=Kind.REFUSED, user=accounts[number % len(accounts)]))
    made.observe(event(30.0, kind=Kind.ACCEPTED, user=success))
    assert made.trusted(pack(CLIENT), START + 30.0) is earned
    if not earned:  # an answered call does not say whose it is
        made.observe(event(31.0, kind=Kind.COMPLETED))
        assert not made.trusted(pack(CLIENT), START + 31.0)


def test_rate_is_the_requests_of_a_minute() -> None:
    """The rule fires with the request that makes it so many; retransmissions count if they are named."""
    text = "[match]\nevent = ['request', 'retransmission']\nrate = 10"
    burst = [event(i / 100, kind=Kind.RETRANSMISSION if i % 2 else Kind.REQUEST) for i in range(10)]
    assert not fed(engine(text), burst[:-1])
    (alert,) = fed(engine(text), burst)
    assert alert.messages == 10
    assert not alert.fingerprint
    assert not fed(engine(text), [event(i * 30.0) for i in range(30)])


def test_a_forged_flood_is_not_proven_by_what_its_victim_sends() -> None:
    """Genuine logins amid a flood in their name prove nothing; the same flood over TCP is proven."""
    built_in = [one for one in load_rules() if one.name == "request-flood"]
    servers = Servers(frozenset([pack(SERVER)]))
    forged = [event(i / 100) for i in range(600)]
    genuine = [event(i + 0.005, proofs=NONCE) for i in range(6)]
    mixed = sorted(forged + genuine, key=lambda one: one.time)
    (alert,) = fed(Engine(built_in, DetectSettings(), servers), mixed)
    assert alert.proof is Proof.UNPROVEN
    (alert,) = fed(
        Engine(built_in, DetectSettings(), servers), [event(i / 100, proofs=TCP) for i in range(600)]
    )
    assert alert.proof is Proof.PROVEN


def test_a_rate_is_asked_of_the_rules_own_methods_and_events() -> None:
    """A flood of OPTIONS is none of INVITE, nor one of retransmissions."""
    assert not fed(engine("[match]\nmethod = 'INVITE'\nrate = 5"), [event(i / 100) for i in range(20)])
    again = [event(i / 100, kind=Kind.RETRANSMISSION) for i in range(20)]
    assert not fed(engine("[match]\nrate = 5"), again)


@pytest.mark.parametrize(
    ("payload", "fires"),
    [
        (request("INVITE").replace(b"host.example", b"else.example"), True),
        (request("INVITE").replace(b"host.example", b"sub.own.example"), False),
        (request("INVITE").replace(b"host.example", b"OWN.example"), False),
        (request("INVITE").replace(b"host.example", b"notown.example"), True),
        (request("INVITE").replace(b"host.example", SERVER.encode()), False),
        (request("INVITE").replace(b"From: <sip:100@host", b"From: <sip:100@own"), False),
        (request("INVITE").replace(b"sip:100@host.example SIP", b"tel:+4420794600 SIP"), False),
    ],
)
def test_foreign_means_neither_side_is_ours(payload: bytes, fires: bool) -> None:
    """Our domains, their subdomains and the server's own address are ours; no host is no sign."""
    made = engine("[match]\nforeign = true", domains=("own.example",))
    assert bool(made.observe(event(payload=payload))) is fires


def test_foreign_is_silent_without_own_domains() -> None:
    """shield does not guess which domains are ours."""
    assert not counts("[match]\nforeign = true", event())
    unreadable = SipEvent(Kind.MALFORMED, datagram(b"x", START), None)
    made = engine("[match]\nforeign = true\nevent = 'malformed'", domains=("own.example",))
    assert not made.observe(unreadable)


def test_mismatch_of_an_unreadable_message_is_none() -> None:
    """Nothing was claimed."""
    unreadable = SipEvent(Kind.MALFORMED, datagram(b"x", START), None)
    assert not counts("[match]\nmismatch = true\nevent = 'malformed'", unreadable)


def test_marks_must_reach_the_score() -> None:
    """One weak sign is not enough, two are; the evidence names them."""
    text = """
    score = 3
    [[mark]]
    field = "user-agent"
    set = ["phone/1"]
    weight = 2
    [[mark]]
    field = "call-id"
    set = ["c1"]
    """
    made = engine(text)
    assert not made.observe(event(payload=request(call_id="c2")))
    (alert,) = made.observe(event())
    assert alert.evidence[-1].note == "r0; user-agent set ['phone/1']; call-id set ['c1']"


def test_servers_are_not_judged() -> None:
    """Our own servers send requests of others."""
    made = engine("")
    assert not made.observe(event(source=SERVER))
    assert len(made.sources) == 0


# How they are counted


def test_max_retry_within_find_time() -> None:
    """The third within the window fires; spread wider they never do."""
    text = THREE + "find_time = 60"
    assert counts(text, event(0), event(20), event(60))
    assert not counts(text, event(0), event(20), event(61))


def test_distinct_counts_values_once() -> None:
    """Three users are three, one user three times is one; without a value nothing counts."""
    text = THREE + "distinct = 'user'"
    users = [event(i, request("INVITE", user=f"u{i}")) for i in range(3)]
    assert counts(text, *users)
    assert not counts(text, *[event(i, request("INVITE", user="u")) for i in range(5)])
    assert not counts(THREE + "distinct = 'contact'", *[event(i) for i in range(5)])


def test_a_bucket_leaks() -> None:
    """Three at once overflow; one for each third of find_time never does."""
    text = THREE + "find_time = 30\nalgorithm = 'bucket'"
    assert counts(text, event(0), event(0), event(0))
    assert not counts(text, *[event(10.5 * i) for i in range(12)])


def test_clients_are_counted_apart_by_default() -> None:
    """Nobody is accused of what others did."""
    events = [event(i, source=f"192.0.2.{i}") for i in range(1, 6)]
    assert not fed(engine(THREE), events)


@pytest.mark.parametrize(
    ("by", "same", "other"),
    [
        ("network", ["192.0.2.1", "192.0.2.2", "192.0.2.3"], ["192.0.2.1", "192.0.2.2", "198.51.100.3"]),
        ("network", ["2001:db8::1", "2001:db8::2", "2001:db8::3"],
         ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::3"]),
    ],
)  # fmt: skip
def test_counting_by_network(by: str, same: list[str], other: list[str]) -> None:
    """Neighbours (/24, /64) are counted together."""
    text = THREE + f"by = '{by}'"
    assert fed(engine(text), [event(i, source=source) for i, source in enumerate(same)])
    assert not fed(engine(text), [event(i, source=source) for i, source in enumerate(other)])


@pytest.mark.parametrize(
    ("by", "same", "other"),
    [("user", "alice", "bob"), ("called", "0044111", "0044222"), ("tail", "0012345678", "0012345679")],
)
def test_counting_by_what_is_asked_for(by: str, same: str, other: str) -> None:
    """One user or number asked for by many clients is counted together; all of them are accused."""
    text = THREE + f"by = '{by}'"
    sources = [f"192.0.2.{number}" for number in (1, 2, 3)]
    alike = [event(0.0, request("INVITE", user=same), source=source) for source in sources]
    mixed = [*alike[:2], event(0.0, request("INVITE", user=other), source="192.0.2.3")]
    assert [alert.address for alert in fed(engine(text), alike)] == sources
    assert not fed(engine(text), mixed)


def test_several_groups_are_counted_together() -> None:
    """by client and tail: one subscriber behind several prefixes, dialled by one client."""
    text = THREE + "by = ['client', 'tail']\ndistinct = 'called'"
    dialled = [event(i, request("INVITE", user=f"{i}1442079460000")) for i in range(3)]
    assert counts(text, *dialled)
    assert not counts(text, *[event(i, request("INVITE", user=f"00144207946{i:04}")) for i in range(9)])
    assert not counts(text, *[event(i, request("INVITE", user="alice")) for i in range(9)])


def test_trusted_sources_may_do_more() -> None:
    """trusted_factor times as much."""
    text = THREE + "trusted_factor = 2"
    made = engine(text)
    made.observe(event(kind=Kind.ACCEPTED))
    assert [len(made.observe(event(i))) for i in range(1, 7)] == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("kind", "status"), [(Kind.ACCEPTED, 200), (Kind.PROGRESS, 180), (Kind.ANSWER, 200)]
)
def test_a_success_for_a_user_takes_that_user_out(kind: Kind, status: int) -> None:
    """What succeeded was no guess; ``forgive = false`` counts it all the same."""
    asked = [event(i, request("INVITE", user=f"u{i}")) for i in range(3)]
    fine = event(1.5, request("INVITE", user="u1"), kind, status=status)
    text = THREE + "distinct = 'user'\ntrusted_factor = 1\n"
    assert not counts(text, *asked[:2], fine, asked[2])
    assert counts(text + "forgive = false", *asked[:2], fine, asked[2])


def test_an_error_answer_forgives_nothing() -> None:
    """Only a success does, and nothing is there to forgive for others."""
    asked = [event(i, request("INVITE", user=f"u{i}")) for i in range(3)]
    fine = event(1.5, request("INVITE", user="u1"), Kind.ANSWER, status=404)
    assert counts(THREE + "distinct = 'user'", *asked[:2], fine, asked[2])
    assert not counts(THREE + "distinct = 'user'", event(0, kind=Kind.ANSWER, status=200))
    other_rule_counted = engine("", THREE + "distinct = 'user'\n[match]\nevent = 'refused'")
    assert fed(other_rule_counted, [event(0), event(1, kind=Kind.ACCEPTED)])


# Proof


@pytest.mark.parametrize(
    ("names", "bit", "fires"),
    [
        ("nonce", NONCE, True),
        ("totag", TO_TAG, True),
        ("tcp", TCP, True),
        ("nonce", TCP, False),
        ("nonce", 0, False),
    ],
)
def test_required_proof(names: str, bit: int, fires: bool) -> None:
    """Events without one of the proofs that a rule names do not count."""
    assert counts(f"[require]\nproof = '{names}'", event(proofs=bit)) is fires


def test_proven_means_every_counted_message_proved_it() -> None:
    """Two proven messages among forged ones prove no alert of three."""
    made = engine(THREE)
    mixed = [event(0), event(1, proofs=NONCE), event(2, proofs=NONCE)]
    (first,) = fed(made, mixed)
    assert first.proof is Proof.UNPROVEN
    (second,) = made.observe(event(3, proofs=NONCE | TCP))
    assert second.proof is Proof.PROVEN
    assert second.proofs == ("nonce", "tcp")


# Alerts


def test_an_alert_says_what_an_operator_asks() -> None:
    """Who, which rule, how sure, how many, since when, and the message."""
    text = THREE + "[decision]\nban_time = '2h'\n"
    made = engine('kind = "enum"\nseverity = 4\nconfidence = 3\n' + text)
    for number in range(2):
        made.observe(event(number))
    (alert,) = made.observe(event(7, request("INVITE", user="bob"), user="eve"))
    assert (alert.address, alert.scenario, alert.kind) == (CLIENT, "r0", "enum")
    assert (alert.severity, alert.confidence, alert.ban_time) == (4, 3, 7_200.0)
    assert (alert.time, alert.first_seen) == (START + 7, START)
    assert (alert.count, alert.messages, len(alert.evidence)) == (3, 3, 3)
    assert (alert.score, alert.limit, alert.measure) == (3, 3, "matching messages in 10m")
    assert (alert.fingerprint, alert.repeated, alert.length) == (False, True, None)
    assert dict(alert.details) == {
        "rule": "d",
        "method": "INVITE",
        "user_agent": "phone/1",
        "user": "bob",
        "account": "eve",
        "source_port": "5060",
        "target": f"{SERVER}:5060",
        "campaign": alert.campaign,
        "campaign_sources": "1",
    }
    assert len(alert.campaign) == 10
    assert (made.stats.alerts, made.stats.by_rule["r0"]) == (1, 1)


def test_an_alert_lists_the_marks_that_made_its_score() -> None:
    """Two of three marks are in the message, and they weigh more than was needed."""
    marks = (("user-agent", "phone", 2), ("call-id", "c", 7), ("uri", "nowhere", 5))
    tables = [f"[[mark]]\nfield = '{name}'\nprefix = '{text}'\nweight = {n}" for name, text, n in marks]
    made = engine("\n".join(["score = 3", *tables]))
    (alert,) = made.observe(event(0))
    assert (alert.score, alert.limit, alert.measure) == (9, 3, "weight of marks")
    assert alert.marks == (("user-agent prefix phone", 2), ("call-id prefix c", 7))
    shown = alert.as_json()
    assert shown["marks"][1] == {"mark": "call-id prefix c", "weight": 7}


def test_an_alert_about_unreadable_bytes_has_an_address() -> None:
    """Details that the message lacks are left out."""
    made = engine("[match]\nevent = 'malformed'")
    (alert,) = made.observe(SipEvent(Kind.MALFORMED, datagram(b"x", START), None))
    assert set(dict(alert.details)) == {"rule", "source_port", "target"}


def test_status_is_in_the_evidence() -> None:
    """An answer is named with the request that caused it."""
    made = engine("[match]\nevent = 'answer'")
    (alert,) = made.observe(event(kind=Kind.ANSWER, status=404))
    assert alert.evidence[0].note == "r0; answer 404"


@pytest.mark.parametrize(("source", "length"), [("192.0.2.9", 24), ("2001:db8::9", 64)])
def test_a_rule_may_want_the_network(source: str, length: int) -> None:
    """The prefix length of the source's family."""
    made = engine("[decision]\nnetwork = [24, 64]")
    (alert,) = made.observe(event(source=source))
    assert alert.length == length


def test_an_alert_is_repeated_once_a_minute() -> None:
    """Until QUIET_TIME has passed only a better proof is news."""
    made = engine(THREE)
    fed(made, [event(0), event(1), event(2)])
    assert not made.observe(event(3))
    assert len(fed(made, [event(4 + i / 10, proofs=TCP) for i in range(3)])) == 1
    assert not made.observe(event(5, proofs=TCP))
    assert made.observe(event(5 + QUIET_TIME, proofs=TCP))


def test_what_is_not_counted_for_a_minute_is_not_missed_afterwards() -> None:
    """Right after an alert one more thing changes nothing; a minute later the rule speaks at once."""
    made = engine(THREE)
    assert len(fed(made, [event(i) for i in range(3)])) == 1
    assert not fed(made, [event(3 + i) for i in range(50)])
    record = made.sources.get(pack(CLIENT))
    assert record is not None
    assert isinstance(record.counters, dict)
    (window,) = record.counters.values()
    assert not isinstance(window, bytes)
    assert window.total == 53
    assert len(made.observe(event(3 + QUIET_TIME))) == 1


def test_a_fingerprint_seen_three_times_is_no_stray_packet() -> None:
    """The first is not yet repeated, the third says so at once."""
    made = engine("")
    alerts = fed(made, [event(i / 10) for i in range(5)])
    assert [alert.repeated for alert in alerts] == [False, True]
    assert all(alert.fingerprint for alert in alerts)


def test_while_a_call_rings_evidence_waits() -> None:
    """It may be a carrier in whose name somebody else sends."""
    made = engine(THREE)
    made.observe(event(0, request("INVITE"), Kind.PROGRESS, status=180))
    (ringing,) = fed(made, [event(1), event(2), event(3)])
    assert not ringing.repeated
    later = 1 + PROGRESS_TIME + QUIET_TIME
    (over,) = fed(made, [event(later), event(later), event(later)])
    assert over.repeated


# Rules change, memory is bounded


def test_new_rules_keep_the_counts_of_those_that_stay() -> None:
    """Reading the rules again forgets nothing."""
    made = engine(THREE)
    fed(made, [event(0), event(1)])
    made.use([rule(THREE, "r0"), rule("[match]\nrate = 9", "fast")])
    assert made.observe(event(2))


def test_a_source_has_a_bounded_number_of_counters() -> None:
    """Who dials numbers without end is counted in MAX_COUNTERS of them."""
    made = engine(THREE + "by = ['client', 'called']")
    for number in range(MAX_COUNTERS + 10):
        made.observe(event(0, request("INVITE", user=f"{number}")))
    record = made.sources.get(pack(CLIENT))
    assert record is not None
    assert len(record.counters or {}) == MAX_COUNTERS
    assert made.stats.counters_full == 10


def test_forged_sources_stay_within_max_sources() -> None:
    """100,000 forged addresses are forgotten again; a source with trust outlives them."""
    made = engine(max_sources=5_000)
    made.observe(event(kind=Kind.ACCEPTED))
    forged = event()
    for number in range(100_000):
        forged.client = (number | 0x0A000000).to_bytes(4, "big")
        made.observe(forged)
    assert len(made.sources) <= 5_000
    assert made.sources.forgotten >= 95_000
    assert made.trusted(pack(CLIENT), START)


def test_a_harmless_source_costs_at_most_300_bytes() -> None:
    """Record, key and its place in the table, after one request."""
    number = 100_000
    sources = Sources(number)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for index in range(number):
            sources.touch((index | 0x0A000000).to_bytes(4, "big"), START + index).count(START + index)
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(sources) == number
    assert used / number <= 300


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "INVITE", "SUBSCRIBE"])
def test_no_built_in_rule_counts_a_harmless_request(method: str) -> None:
    """So a forged address costs its record and nothing else: no counter, no evidence."""
    made = Engine(load_rules(), DetectSettings(), Servers())
    assert not made.observe(event(payload=request(method)))
    record = made.sources.get(pack(CLIENT))
    assert record is not None
    assert record.counters is None
    assert made.evidence.of(pack(CLIENT)) == ()
