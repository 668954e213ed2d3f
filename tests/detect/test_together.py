"""shield.detect.together: everybody who took part is accused, each on his own evidence."""

from __future__ import annotations

from shield.detect.alert import Alert, Proof
from shield.detect.engine import Engine
from shield.detect.report import QUIET_TIME
from shield.net import pack
from shield.sip.event import NONCE, Kind, SipEvent
from tests.builders import SERVER, request
from tests.detect.test_engine import START, engine, event, fed

GUESSING = """
kind = "bruteforce"
[match]
event = "refused"
[exempt]
trusted = true
[count]
group_by = "account"
distinct = "call-id"
max_retry = 6
find_time = "1h"
[require]
sources = 3
each = 2
"""
NETWORK = """
[match]
event = "answer"
[count]
group_by = "network"
distinct = "user"
max_retry = 4
[require]
sources = 3
[decision]
network = [24, 64]
"""


def refused(
    source: str, call_id: str, time: float = 0.0, *, user: str = "100", proofs: int = NONCE
) -> SipEvent:
    """A password that was wrong."""
    return event(
        time, request(call_id=call_id), Kind.REFUSED, source=source, status=403, user=user, proofs=proofs
    )


def round_of(sources: list[str], tries: int = 2, *, proofs: int = NONCE) -> list[SipEvent]:
    return [
        refused(source, f"{source}-{number}", number, proofs=proofs)
        for number in range(tries)
        for source in sources
    ]


def asked(source: str, user: str, time: float = 0.0) -> SipEvent:
    """Somebody who does not exist."""
    return event(time, request("INVITE", user=user), Kind.ANSWER, source=source, status=404)


def accused(alerts: list[Alert]) -> list[str]:
    return sorted(alert.address for alert in alerts)


BOTS = [f"192.0.2.{number}" for number in (1, 2, 3)]


def test_all_that_took_part_are_accused_at_once_and_later_ones_as_they_come() -> None:
    """And each alert says whom they aim at and how many they are."""
    made = engine(GUESSING)
    alerts = fed(made, round_of(BOTS))
    assert accused(alerts) == BOTS
    assert {alert.sources for alert in alerts} == {3}
    details = dict(alerts[0].details)
    assert (details["aimed_at"], details["sources"]) == ("account 100", "3")
    assert len(details["campaign"]) == 10
    assert all(alert.evidence for alert in alerts)
    assert accused(fed(made, round_of(["192.0.2.9"]))) == ["192.0.2.9"]


def test_below_its_limits_a_crowd_accuses_nobody() -> None:
    """Two sources however eager, three with one guess each, three at other accounts."""
    assert not fed(engine(GUESSING), round_of(BOTS[:2], 9))
    assert not fed(engine(GUESSING), round_of(BOTS, 1))
    other = [refused(bot, f"{bot}-{number}", user=bot) for bot in BOTS for number in range(3)]
    assert not fed(engine(GUESSING), other)


def test_who_shows_too_little_stays_out() -> None:
    """The owner's phone with the old password is no part of the attack on its account."""
    alerts = fed(engine(GUESSING), [refused("198.18.0.7", "phone"), *round_of(BOTS)])
    assert accused(alerts) == BOTS


def test_trusted_sources_stay_out_even_if_they_earned_it_later() -> None:
    """Trust is asked for when somebody is accused, not only when he was counted."""
    made = engine(GUESSING)
    office = event(kind=Kind.ACCEPTED, source=BOTS[0], user="200")
    first, *rest = round_of(BOTS)
    alerts = fed(made, [first, office, *rest, *round_of(["192.0.2.4"])])
    assert BOTS[0] not in accused(alerts)
    assert accused(alerts) == [*BOTS[1:], "192.0.2.4"]


def test_a_success_takes_its_source_out() -> None:
    """Somebody remembered his password."""
    made = engine(GUESSING.replace("[exempt]\ntrusted = true\n", ""))
    events = round_of(BOTS)
    ok = event(1.5, kind=Kind.ACCEPTED, source=BOTS[0], user="100")
    assert not fed(made, [*events[:-1], ok, events[-1]])


def test_each_is_proven_by_its_own_evidence() -> None:
    """One of four sent nothing that proves its address; the others are certain without it."""
    forged = round_of(["192.0.2.4"], proofs=0)
    alerts = fed(engine(GUESSING), [*round_of(BOTS, 1), *forged, *round_of(BOTS)])
    proofs = {alert.address: alert.proof for alert in alerts}
    assert proofs.pop("192.0.2.4") is Proof.UNPROVEN
    assert set(proofs.values()) == {Proof.PROVEN}


def test_a_forged_crowd_proves_nothing_about_one_who_is_in_it() -> None:
    """Who forges a crowd around a phone with an old password gets no proven alert about the phone."""
    crowd = round_of([f"192.0.2.{number}" for number in range(10, 30)], proofs=0)
    alerts = fed(engine(GUESSING), [crowd[0], *round_of(["198.18.0.7"]), *crowd])
    (phone,) = [alert for alert in alerts if alert.address == "198.18.0.7"]
    assert phone.proof is Proof.UNPROVEN


def test_an_alert_is_repeated_once_a_minute_or_with_better_proof() -> None:
    """As of rules that count by client."""
    made = engine(GUESSING)
    fed(made, round_of(BOTS, proofs=0))
    assert not made.observe(refused(BOTS[0], "again", 2.0, proofs=0))
    later = [refused(bot, f"{bot}-later-{n}", 5 + QUIET_TIME) for n in range(2) for bot in BOTS]
    assert set(accused(fed(made, later))) == set(BOTS)


def test_who_was_found_alone_is_not_counted_with_others() -> None:
    """A guesser whom another rule has just found says nothing about those beside it."""
    single = "[match]\nevent = 'refused'"
    made = engine(single, GUESSING)
    alerts = fed(made, round_of(BOTS, 4))
    assert {alert.scenario for alert in alerts} == {"r0"}


# Networks


def test_one_alert_is_about_the_whole_network() -> None:
    """Four users from three addresses; the policy is asked for the /24."""
    alerts = fed(engine(NETWORK), [asked(f"192.0.2.{10 + n % 3}", f"u{n}", n) for n in range(4)])
    (alert,) = alerts
    assert (alert.length, alert.sources) == (24, 3)
    assert dict(alert.details)["aimed_at"] == "network 192.0.2.0/24"
    six = fed(engine(NETWORK), [asked(f"2001:db8::{10 + n % 3}", f"u{n}", n) for n in range(4)])
    assert six[0].length == 64
    assert dict(six[0].details)["aimed_at"] == "network 2001:db8::/64"


def good_neighbour(made: Engine) -> None:
    made.observe(event(kind=Kind.ACCEPTED, source="192.0.2.99", user="1"))


def test_among_good_neighbours_more_is_needed_and_everybody_answers_for_himself() -> None:
    """Sixteen in place of four, and one dead account in a home is nothing."""
    made = engine(NETWORK)
    good_neighbour(made)
    homes = [asked(f"192.0.2.{10 + n}", f"dead{n}", n) for n in range(9)]
    assert not fed(made, homes)
    alerts = fed(made, [asked("192.0.2.200", f"u{n}", 20 + n) for n in range(7)])
    assert [(alert.address, alert.length) for alert in alerts] == [("192.0.2.200", None)]


def test_a_network_of_a_server_is_never_accused_as_a_whole() -> None:
    """We would lock ourselves out."""
    made = engine(NETWORK)
    near = SERVER.rpartition(".")[0]
    assert not made.together.clean(pack(f"{near}.77"))
    assert made.together.clean(pack("198.18.0.1"))
    assert not fed(made, [asked(f"{near}.{100 + n % 3}", f"u{n}", n) for n in range(5)])


def test_a_campaign_is_a_group() -> None:
    """Sources that run one program are counted together, others apart."""
    text = "[count]\ngroup_by = 'campaign'\nmax_retry = 3\n[require]\nsources = 3"
    alike = [event(n, request(call_id=f"abcdefg{n}"), source=bot) for n, bot in enumerate(BOTS)]
    alerts = fed(engine(text), alike)
    assert accused(alerts) == BOTS
    assert len({alert.campaign for alert in alerts}) == 1
    assert max(int(dict(alert.details)["campaign_sources"]) for alert in alerts) == 3
    mixed = [*alike[:2], event(2, request("INVITE", "X-Other: 1"), source=BOTS[2])]
    assert not fed(engine(text), mixed)


def test_exempt_events_do_not_count() -> None:
    """By network and by what the message says."""
    text = "[exempt]\nnetwork = '192.0.2.0/30'\n[exempt.field]\nuser = { set = 'echo' }"
    assert [bool(engine(text).observe(event(source=f"192.0.2.{n}"))) for n in (3, 4)] == [False, True]
    assert not engine(text).observe(event(payload=request(user="echo"), source="192.0.2.4"))


# Tiers


def test_tiers_find_what_is_slow() -> None:
    """Three in ten minutes, or four in an hour."""
    text = "[count]\ndistinct = 'user'\nmax_retry = 3\ntiers = { 1h = 4 }"
    slow = [event(900.0 * n, request("INVITE", user=f"u{n}")) for n in range(4)]
    assert not fed(engine(text), slow[:3])
    (alert,) = fed(engine(text), slow)
    assert (alert.score, alert.limit, alert.measure) == (4, 4, "different values of user in 1h")
    assert not fed(
        engine(text), [event(1_300.0 * n, request("INVITE", user=f"u{n}")) for n in range(20)]
    )


def test_a_success_begins_the_tiers_anew() -> None:
    """What came before it is the usual share of failures of somebody good."""
    text = "[count]\ndistinct = 'user'\nmax_retry = 3\ntrusted_factor = 9\ntiers = { 1d = 4 }"
    made = engine(text)
    for number in range(40):
        at = 1_000.0 * number
        assert not made.observe(event(at, request("INVITE", user=f"u{number}")))
        if number % 3 == 2:
            made.observe(event(at + 1, request("INVITE", user="friend"), Kind.ACCEPTED, user="1"))
    assert made.trusted(pack("192.0.2.4"), START) is False


def test_a_score_finds_what_does_not_end() -> None:
    """One each ten minutes with a half-life of two hours comes to eight, one each half hour never."""
    text = "[count]\nalgorithm = 'score'\nhalf_life = '2h'\nmax_retry = 8"
    found = [bool(made.observe(event(600.0 * n))) for made in [engine(text)] for n in range(12)]
    assert found.index(True) == 10
    assert not fed(engine(text), [event(1_800.0 * n) for n in range(200)])
