"""Facts of the policy: which alerts lead to which bans, and which to none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.blocklist import policy as policy_module
from shield.blocklist.allowlist import Allowlist, AllowlistSettings
from shield.blocklist.decision import Decision
from shield.blocklist.policy import Policy
from shield.blocklist.policy_settings import PolicySettings
from shield.detect.alert import Alert, Proof
from shield.errors import ConfigError
from shield.net import Network, Port, pack

EVENT, NOW = 1_800_000_000.0, 500.0
"""Event time is the wall clock of packets, node time another clock."""


def alert(
    source: str = "192.0.2.9",
    time: float = 0.0,
    *,
    proven: bool = False,
    fingerprint: bool = False,
    repeated: bool = True,
    messages: int = 1,
    scenario: str = "probe",
    ban_time: float = 3_600.0,
    length: int | None = None,
) -> Alert:
    """An alert ``time`` seconds after EVENT."""
    return Alert(
        time=EVENT + time,
        source=pack(source),
        scenario=scenario,
        kind="scan",
        proof=Proof.PROVEN if proven else Proof.UNPROVEN,
        proofs=("nonce",) if proven else (),
        severity=2,
        confidence=2,
        count=3,
        messages=messages,
        first_seen=EVENT + time,
        ban_time=ban_time,
        fingerprint=fingerprint,
        repeated=repeated,
        length=length,
    )


def stray(source: str, time: float = 0.0, messages: int = 1) -> Alert:
    """A fingerprint in a single packet."""
    return alert(source, time, fingerprint=True, repeated=False, messages=messages)


def policy(*entries: str, **settings: float) -> Policy:
    return Policy(
        PolicySettings(**settings),  # type: ignore[arg-type]
        Allowlist(AllowlistSettings(entries=entries)),
        "node1",
    )


def decided(made: Policy, one: Alert, *, credit: float = 0.0) -> Decision | None:
    return made.decide(one, NOW, credit=credit).decision


STANDING = Decision(
    Network.parse("192.0.2.9"), "probe", "node1", Proof.PROVEN, EVENT, NOW + 60, 60.0, "node1-1"
)
"""A proven ban of the source that is in force."""


def nobody(_source: bytes, _time: float) -> bool:
    return False


def released(made: Policy, time: float) -> list[str]:
    """Who is banned when event time has come so far."""
    rulings = made.tick(EVENT + time, NOW, nobody)
    return [ruling.alert.address for ruling in rulings if ruling.decision is not None]


# Whom it spares


@pytest.mark.parametrize("proven", [True, False])
def test_the_allowlist_stands_above_proof(proven: bool) -> None:
    """An allowed source is never banned, and the reason is said."""
    made = policy("192.0.2.0/24")
    ruling = made.decide(alert(proven=proven), NOW, credit=0.0)
    assert (ruling.decision, ruling.why) == (None, "allowlisted")
    assert made.stats.allowlisted == 1


def test_trust_outweighs_what_could_be_forged_only() -> None:
    """A good source is not banned for packets in its name."""
    made = policy()
    ruling = made.decide(alert(), NOW, credit=1.0)
    assert ruling.decision is None
    assert "trusted" in ruling.why
    assert made.stats.trusted == 1


# Limits in place of bans


def limits(made: Policy, credit: float, *times: float) -> list[str]:
    """Types of the decisions about proven alerts at these times, each in force at the next one."""
    standing, found = None, []
    for time in times:
        standing = made.decide(
            alert(time=time, proven=True), NOW + time, credit=credit, standing=standing
        ).decision
        found.append("" if standing is None else standing.type)
    return found


def test_a_trusted_source_is_limited_where_another_is_banned() -> None:
    """Narrowly where the alert names ports; the reason says why it is no ban."""
    made = policy()
    one = replace(alert(proven=True), ports=(Port.parse("udp/40001"),))
    found = decided(made, one, credit=20.0)
    assert found is not None
    assert (found.type, found.ports, found.duration) == ("limit", one.ports, 3_600.0)
    assert found.reason.endswith("; limited, for good users are there too")
    assert made.stats.limited == 1
    other = decided(policy(), one)
    assert other is not None
    assert (other.type, other.ports) == ("ban", ())


def test_a_limit_is_never_of_a_network() -> None:
    """Whatever the rule asks for."""
    found = decided(policy(), alert(proven=True, length=24), credit=1.0)
    assert found is not None
    assert (found.value, found.type) == ("192.0.2.9", "limit")


def test_one_success_buys_little() -> None:
    """Who logged in once with a stolen account is limited twice at most, and then banned."""
    assert limits(policy(), 1.0, 0, 60, 120) == ["limit", "limit", "ban"]
    assert limits(policy(), 0.6, 0, 60) == ["limit", "ban"]
    assert limits(policy(), 0.4, 0) == ["ban"]


def test_no_credit_lasts_for_more_than_eight_limits() -> None:
    """An office of 200 phones has all the credit there is; one alert a minute uses it up in eight."""
    times = [60.0 * minute for minute in range(10)]
    assert limits(policy(), 100.0, *times) == [*["limit"] * 8, "ban", "ban"]


def test_credit_is_earned_anew_only_when_misdeeds_are_forgotten() -> None:
    """What is earned meanwhile counts as little; after escalation_memory all is as at first."""
    made = policy(escalation_memory=10_000.0)
    assert limits(made, 100.0, *(60.0 * minute for minute in range(9)))[-1] == "ban"
    assert limits(made, 100.0, 20_000.0) == ["limit"]


def test_further_rules_about_one_offence_use_up_no_credit() -> None:
    """Several rules know one tool, and speak within the minute; a limit that ended is no excuse."""
    made = policy()
    assert limits(made, 0.6, 0, 1, 5, 59) == ["limit"] * 4
    assert limits(made, 0.6, 61) == ["ban"]


def test_limits_grow_longer_like_bans() -> None:
    """Each further offence by the factor."""
    made = policy()
    found = [decided(made, alert(time=time, proven=True), credit=50.0) for time in (0.0, 4e3, 3e4)]
    assert [(one.duration, one.repeats) for one in found if one is not None] == [
        (3_600.0, 0),
        (14_400.0, 1),
        (57_600.0, 2),
    ]


def test_an_operators_ban_is_not_weakened() -> None:
    """A ban in force stays one, whatever credit the source has."""
    ruling = policy().decide(alert(proven=True), NOW, credit=100.0, standing=STANDING)
    assert ruling.decision is not None
    assert ruling.decision.type == "ban"


# How long


def test_a_decision_says_all() -> None:
    """Who, why, by whom, in event time and in node time."""
    made = policy()
    one = replace(alert(time=7.0, proven=True), details=(("rule", "Knocks"), ("user_agent", "x/1")))
    found = decided(made, one)
    assert found is not None
    assert (found.value, found.scope, found.scenario, found.origin) == (
        "192.0.2.9",
        "ip",
        "probe",
        "node1",
    )
    assert (found.time, found.until, found.duration) == (EVENT + 7.0, NOW + 3_600.0, 3_600.0)
    assert found.reason == "Knocks (3 counted, proven by nonce, user agent x/1)"
    assert found.proof is Proof.PROVEN


def test_ids_are_never_the_same() -> None:
    """Also for the same source at the same time."""
    made = policy()
    found = [decided(made, alert(proven=True)) for _ in range(5)]
    assert len({one.id for one in found if one is not None}) == 5


def test_an_unproven_ban_is_short() -> None:
    """At most unproven_ban_time, however long the rule asks, and it is never escalated."""
    made = policy()
    for _ in range(3):
        found = decided(made, alert())
        assert found is not None
        assert (found.duration, found.repeats, found.proof) == (300.0, 0, Proof.UNPROVEN)
        assert "address not proven" in found.reason
    shorter = decided(made, alert(ban_time=60.0))
    assert shorter is not None
    assert shorter.duration == 60.0


def test_proven_bans_escalate_to_a_cap() -> None:
    """Each earlier ban makes the next one longer by the factor, up to max_ban_time."""
    made = policy(max_ban_time=100_000.0)
    found = [decided(made, alert(time=i * 100.0, proven=True)) for i in range(5)]
    assert [(one.duration, one.repeats) for one in found if one is not None] == [
        (3_600.0, 0),
        (14_400.0, 1),
        (57_600.0, 2),
        (100_000.0, 3),
        (100_000.0, 4),
    ]
    other = decided(made, alert("192.0.2.10", proven=True))
    assert other is not None
    assert other.duration == 3_600.0


def test_a_second_rule_is_no_repetition() -> None:
    """While a proven ban is in force, what further rules say of the same attack does not escalate."""
    made = policy()
    first = made.decide(alert(proven=True), NOW, credit=0.0).decision
    second = made.decide(alert(proven=True), NOW, credit=0.0, standing=STANDING).decision
    later = made.decide(alert(time=9_000.0, proven=True), NOW, credit=0.0).decision
    again = made.decide(alert(time=9_001.0, proven=True), NOW, credit=0.0, standing=STANDING).decision
    slow = made.decide(alert(time=9_900.0, proven=True), NOW, credit=0.0, standing=STANDING).decision
    found = [first, second, later, again, slow]
    assert [one.repeats for one in found if one is not None] == [0, 0, 1, 1, 1]


def test_a_second_alert_during_a_ban_is_the_same_offence() -> None:
    """Several rules know one tool: neither the first offence nor a later one is escalated for that."""
    made = policy()
    found = []
    for time, banned in ((0.0, False), (0.0, True), (1.0, True), (4_000.0, False), (4_000.0, True)):
        ruling = made.decide(
            alert(time=time, proven=True), NOW, credit=0.0, standing=STANDING if banned else None
        )
        found.append(ruling.decision)
    assert [one.repeats for one in found if one is not None] == [0, 0, 0, 1, 1]


def test_a_ban_of_somebody_else_is_no_earlier_one() -> None:
    """An operator's ban is in force, and this policy never banned the source before."""
    ruling = policy().decide(alert(proven=True), NOW, credit=0.0, standing=STANDING)
    assert ruling.decision is not None
    assert ruling.decision.repeats == 0


@given(st.integers(0, 2_000), st.floats(1.0, 1e6), st.floats(1.0, 10.0))
def test_no_ban_exceeds_the_cap(bans: int, ban_time: float, escalation: float) -> None:
    """Whatever the history, the rule and the factor."""
    made = policy(escalation=escalation)
    made.remember(Network.parse("192.0.2.9"), bans, EVENT)
    found = decided(made, alert(proven=True, ban_time=ban_time))
    assert found is not None
    assert 0.0 < found.duration <= made.settings.max_ban_time


def test_old_bans_are_forgotten() -> None:
    """After escalation_memory a source begins anew; the journal's memory counts like its own."""
    made = policy(escalation_memory=1_000.0)
    made.remember(Network.parse("192.0.2.9"), 2, EVENT)
    recent = decided(made, alert(time=999.0, proven=True))
    later = decided(made, alert(time=2_500.0, proven=True))
    assert recent is not None
    assert later is not None
    assert (recent.repeats, later.repeats) == (2, 0)


@pytest.mark.parametrize(
    ("source", "length", "value"),
    [("192.0.2.9", 24, "192.0.2.0/24"), ("2001:db8::1:2:3:4", 64, "2001:db8::/64")],
)
def test_a_rule_may_ban_the_network(source: str, length: int, value: str) -> None:
    """The network around the source takes the place of the address."""
    found = decided(policy(), alert(source, proven=True, length=length))
    assert found is not None
    assert (found.value, found.scope) == (value, "range")


# Single packets and forged floods


def test_a_single_packet_waits_and_is_then_banned() -> None:
    """Nobody else looked like it for hold_time: it is banned for a short time."""
    made = policy()
    ruling = made.decide(stray("192.0.2.9"), NOW, credit=0.0)
    assert ruling.decision is None
    assert (ruling.why, ruling.waits, ruling.again) == ("waits 10 s for a forged flood", True, False)
    assert released(made, 9.9) == []
    (ruling,) = made.tick(EVENT + 10.0, NOW + 10.0, nobody)
    assert ruling.decision is not None
    assert (ruling.waits, ruling.again) == (False, True)
    assert (ruling.decision.time, ruling.decision.until) == (EVENT + 10.0, NOW + 310.0)
    assert released(made, 99.0) == []
    assert made.stats.held == 1


def test_repeating_ends_the_wait() -> None:
    """Who sends more is banned at once, and not a second time when the wait is over."""
    made = policy()
    assert decided(made, stray("192.0.2.9")) is None
    assert decided(made, stray("192.0.2.9", 1.0)) is None
    assert decided(made, alert(time=2.0, fingerprint=True, messages=3)) is not None
    assert released(made, 99.0) == []


def test_proof_ends_the_wait() -> None:
    """A proven alert is judged by itself."""
    made = policy()
    assert decided(made, stray("192.0.2.9")) is None
    assert decided(made, alert(time=1.0, proven=True)) is not None
    assert released(made, 99.0) == []


def test_who_turns_out_good_while_waiting_is_spared() -> None:
    """A carrier whose call was ringing when forged packets came in his name has answered since."""
    made = policy()
    assert decided(made, alert(repeated=False)) is None
    (ruling,) = made.tick(EVENT + 10.0, NOW, lambda source, _: source == pack("192.0.2.9"))
    assert (ruling.decision, ruling.why, ruling.again) == (
        None, "trusted source, and the evidence could be forged", True,
    )  # fmt: skip
    assert released(made, 99.0) == []


def test_while_a_call_rings_the_wait_goes_on() -> None:
    """Phones ring longer than hold_time; an answer makes the carrier trusted, else he is banned."""
    made = policy()

    def rings(_source: bytes, time: float) -> bool:
        return time < EVENT + 30.0

    decided(made, alert(repeated=False))
    for time in range(0, 30, 2):
        assert made.tick(EVENT + time, NOW, nobody, rings) == []
    assert released(made, 30.0) == ["192.0.2.9"]


def test_ringing_does_not_spare_a_scanner_for_ever() -> None:
    """Who lets phones ring again and again is banned a minute after his alert all the same."""
    made = policy()
    decided(made, alert(repeated=False))
    banned = [
        time
        for time in range(0, 90, 5)
        if made.tick(EVENT + time, NOW, nobody, lambda _source, _time: True)
    ]
    assert banned == [60]


def test_who_is_allowed_while_waiting_is_spared() -> None:
    """The operator's word counts from the moment it is given."""
    allowlist = Allowlist()
    made = Policy(PolicySettings(), allowlist, "node1")
    assert decided(made, stray("192.0.2.9")) is None
    allowlist.add("192.0.2.9", NOW)
    (ruling,) = made.tick(EVENT + 99.0, NOW + 99.0, nobody)
    assert (ruling.decision, ruling.why, ruling.again) == (None, "allowlisted", True)


def test_eight_new_sources_may_look_alike() -> None:
    """As many as flood_sources are scanners that happen to come together."""
    made = policy()
    for number in range(1, 9):
        decided(made, stray(f"192.0.2.{number}"))
    assert len(released(made, 10.0)) == 8
    assert made.stats.floods == 0


def test_a_forged_flood_bans_nobody() -> None:
    """One more, and all that wait are dropped and further ones refused, until flood_time is over."""
    made = policy()
    for number in range(1, 30):
        assert decided(made, stray(f"192.0.2.{number}", number / 10)) is None
    assert released(made, 20.0) == []
    assert (made.stats.floods, made.stats.forged_flood) == (1, 21)
    assert decided(made, alert("192.0.2.99", 30.0, fingerprint=True)) is None
    assert decided(made, alert("192.0.2.99", 70.0, fingerprint=True)) is not None


def test_each_that_waited_for_a_flood_gets_a_last_word() -> None:
    """Eight wait when the ninth shows the flood: the next tick says of each that it was part of it."""
    made = policy()
    for number in range(1, 10):
        decided(made, stray(f"192.0.2.{number}"))
    rulings = made.tick(EVENT + 0.5, NOW + 0.5, nobody)
    assert [ruling.alert.address for ruling in rulings] == [f"192.0.2.{n}" for n in range(1, 9)]
    assert {(r.decision, r.why, r.waits, r.again) for r in rulings} == {
        (None, "one of many new sources with the same look: a forged flood", False, True)
    }
    assert made.tick(EVENT + 99.0, NOW + 99.0, nobody) == []


def test_a_flood_stops_its_own_fingerprint_only() -> None:
    """Other rules, proven sources and sources with many messages are banned as ever."""
    made = policy()
    for number in range(1, 30):
        decided(made, stray(f"192.0.2.{number}"))
    assert decided(made, alert("192.0.2.200", fingerprint=True, scenario="other")) is not None
    assert decided(made, alert("192.0.2.201")) is not None
    assert decided(made, alert("192.0.2.202", fingerprint=True, proven=True)) is not None
    assert decided(made, alert("192.0.2.203", fingerprint=True, messages=6)) is not None


def test_alerts_of_another_fingerprint_wait_on() -> None:
    """What waits under another name is not dropped with a flood."""
    made = policy()
    decided(made, replace(stray("192.0.2.250"), scenario="other"))
    for number in range(1, 30):
        decided(made, stray(f"192.0.2.{number}"))
    assert released(made, 10.0) == ["192.0.2.250"]


def test_a_source_that_waits_for_another_reason_is_caught_by_the_flood() -> None:
    """A ringing call's alert under the flood's own name is no ban either."""
    made = policy()
    for number in range(1, 30):
        decided(made, stray(f"192.0.2.{number}"))
    assert decided(made, alert("192.0.2.200", 1.0, repeated=False)) is None
    assert released(made, 20.0) == []


def test_waiting_alerts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When too many wait, the next is judged at once."""
    monkeypatch.setattr(policy_module, "MAX_HELD", 2)
    made = policy()
    found = [decided(made, stray(f"192.0.2.{number}")) for number in range(1, 4)]
    assert [one is not None for one in found] == [False, False, True]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("unproven_ban_time", 0.0, "above 0"),
        ("max_ban_time", -1.0, "above 0"),
        ("escalation_memory", 0.0, "above 0"),
        ("hold_time", 0.0, "above 0"),
        ("flood_time", 0.0, "above 0"),
        ("escalation", 0.5, "1 or more"),
        ("flood_sources", 0, "1 or more"),
    ],
)
def test_settings_are_checked(name: str, value: float, message: str) -> None:
    """A setting that makes no sense is named."""
    with pytest.raises(ConfigError, match=rf"policy\.{name}: must be {message}"):
        policy(**{name: value})


def test_what_was_taken_back_is_not_banned_by_an_alert_that_waits() -> None:
    """Of hosts and of networks; the alert gets its last word, and others wait on."""
    rules = policy()
    for source in ("192.0.2.1", "198.51.100.7", "203.0.113.1"):
        rules.decide(stray(source), NOW, credit=0.0)
    rules.forget([Network.parse("192.0.2.1"), Network.parse("198.51.100.0/24")])
    given = rules.tick(EVENT + 60, NOW + 60, lambda _source, _time: False)
    assert [(r.alert.address, r.decision is None) for r in given] == [
        ("192.0.2.1", True),
        ("198.51.100.7", True),
        ("203.0.113.1", False),
    ]
    assert {r.why for r in given[:2]} == {policy_module.TAKEN_BACK}
    rules.forget([Network.parse("192.0.2.1")])


@pytest.mark.parametrize(("clean", "allowed", "value"), [
    (True, (), "192.0.2.0/24"),
    (False, (), "192.0.2.9"),
    (True, ("192.0.2.77",), "192.0.2.9"),
])  # fmt: skip
def test_a_network_is_banned_only_if_nobody_in_it_is_good(
    clean: bool, allowed: tuple[str, ...], value: str
) -> None:
    """Somebody who logged in, or an allowlisted neighbour, leaves the one source."""
    allowlist = Allowlist(AllowlistSettings(entries=allowed))
    made = Policy(PolicySettings(), allowlist, "node1", lambda _source: clean)
    found = decided(made, alert("192.0.2.9", proven=True, length=24))
    assert found is not None
    assert str(found.network) == value


def test_many_new_sources_of_one_crowd_are_a_forged_flood() -> None:
    """Twenty addresses with one unproven message each within seconds: nobody knows who they are."""
    made = policy()
    crowd = [replace(alert(f"192.0.2.{number}", number / 10), sources=20) for number in range(1, 20)]
    found = [decided(made, one) for one in crowd]
    assert made.stats.floods == 1
    assert found[9:] == [None] * 10
    known = [replace(one, source=pack(f"198.51.100.{at}"), messages=9) for at, one in enumerate(crowd)]
    assert all(decided(policy(), one) for one in known)
