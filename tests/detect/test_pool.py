"""shield.detect.pool: what no node sees alone the sum shows, and what one node can make of it."""

from __future__ import annotations

from itertools import product

import pytest

from shield.cluster.member import MemberState
from shield.detect.alert import Alert, Proof
from shield.net import pack
from shield.sip.event import NONCE, Kind, SipEvent
from tests.builders import CLIENT, request
from tests.detect.pooling_lab import Lab, spread
from tests.detect.test_engine import event
from tests.detect.test_together import BOTS, GUESSING, asked, refused

USERS = """
kind = "enum"
[match]
event = "answer"
status = [404]
[count]
group_by = ["client", "target"]
distinct = "user"
max_retry = 6
"""
GUESSES = """
[match]
event = "refused"
[count]
max_retry = 8
tiers = { "2h" = 10 }
"""
NETWORK = """
[match]
event = "answer"
[count]
group_by = "network"
distinct = "user"
max_retry = 6
[require]
sources = 3
[decision]
network = [24, 64]
"""


def wrong_users(count: int, lab: Lab, source: str = CLIENT, first: int = 0) -> list[SipEvent]:
    """Somebody asks for so many users that do not exist."""
    return [asked(source, f"{first + number}", lab.now) for number in range(count)]


def guess(lab: Lab, number: int, source: str = CLIENT) -> SipEvent:
    return refused(source, f"call-{number}", lab.now)


def details(alert: Alert) -> dict[str, str]:
    return dict(alert.details)


def test_one_fifth_of_a_limit_at_each_of_five_nodes_is_found_by_the_sum() -> None:
    """Nobody is accused before the counts have travelled, and afterwards nobody but the client."""
    lab = Lab("abcde", GUESSES.replace("8", "10"))
    spread(lab, [guess(lab, number) for number in range(10)])
    assert lab.accused() == {}
    lab.settle()
    assert lab.accused()
    assert {name for found in lab.accused().values() for name in found} == {CLIENT}


def test_one_thing_less_than_the_limit_is_not_found() -> None:
    """The sum is judged by the same limit as the counts of one node."""
    lab = Lab("abcde", USERS)
    spread(lab, wrong_users(5, lab))
    lab.settle()
    assert lab.accused() == {}


def test_a_user_asked_for_at_two_nodes_is_one_user() -> None:
    """Different things are counted, not messages: a phone with one wrong number tries every proxy."""
    lab = Lab("abc", USERS)
    for node in lab.nodes.values():
        node.see(*wrong_users(3, lab))
    lab.settle()
    assert lab.accused() == {}


def test_an_alert_says_who_counted_what() -> None:
    """An operator sees what each node gave to the sum."""
    lab = Lab("ab", USERS)
    lab["a"].see(*wrong_users(3, lab))
    lab["b"].see(*wrong_users(3, lab, first=10))
    lab.settle()
    alert = lab["a"].alerts[0]
    assert details(alert)["counted_by"] == "here 3, b 3"
    assert (alert.count, alert.limit) == (6, 6)
    assert alert.evidence
    assert alert.scenario == "r0"


@pytest.mark.parametrize("split", [(1, 5), (5, 1), (3, 3), (2, 4)])
def test_however_two_nodes_share_the_traffic_one_of_them_finds_it(split: tuple[int, int]) -> None:
    """The half that another node may add is enough for the one that saw more."""
    lab = Lab("ab", USERS)
    lab["a"].see(*wrong_users(split[0], lab))
    lab["b"].see(*wrong_users(split[1], lab, first=10))
    lab.settle()
    assert lab.accused()


def test_another_node_adds_half_of_a_limit_at_most() -> None:
    """One that lies makes nobody guilty who did not do the other half himself."""
    lab = Lab("ab", USERS)
    lab["b"].see(*wrong_users(2, lab))
    for number in range(5):
        lab["a"].see(asked(CLIENT, f"lie-{number}", lab.now))
    lab.settle()
    assert lab["b"].alerts == []


def test_whoever_showed_nothing_at_a_node_is_not_accused_there() -> None:
    """The nodes that saw him do that."""
    lab = Lab("abc", USERS)
    for number, name in enumerate("ab"):
        lab[name].see(*wrong_users(3, lab, first=10 * number))
    lab.settle()
    assert "c" not in lab.accused()


def test_proof_counts_over_all_nodes() -> None:
    """Guesses with nonces of different nodes prove one address together."""
    lab = Lab("ab", GUESSES)
    spread(lab, [guess(lab, number) for number in range(8)])
    lab.settle()
    assert {alert.proof for node in lab.nodes.values() for alert in node.alerts} == {Proof.PROVEN}
    lab = Lab("ab", GUESSES)
    spread(lab, [refused(CLIENT, f"c{n}", lab.now, proofs=0 if n == 3 else NONCE) for n in range(8)])
    lab.settle()
    assert {alert.proof for node in lab.nodes.values() for alert in node.alerts} == {Proof.UNPROVEN}


def test_the_fullest_of_several_servers_counts() -> None:
    """A PBX that calls its phones one by one asks many for one user each: no scan, whoever sees it."""
    lab = Lab("ab", USERS)
    for number in range(12):
        lab["ab"[number % 2]].see(
            event(
                lab.now,
                request("INVITE", user=f"{number}"),
                Kind.ANSWER,
                status=404,
                destination=f"198.51.100.{50 + number}",
            )
        )
    lab.settle()
    assert lab.accused() == {}


def test_who_is_trusted_at_one_node_is_not_accused_by_the_sum() -> None:
    """A customer of one site who dials wrong numbers at all of them."""
    lab = Lab("abc", USERS)
    lab["a"].see(event(lab.now, request("INVITE"), Kind.ACCEPTED, user="100", proofs=NONCE))
    for name, number in product("bc", range(2)):
        lab[name].see(asked(CLIENT, f"{name}{number}", lab.now))
    lab.settle()
    for name in "bc":
        lab[name].see(asked(CLIENT, f"{name}more", lab.now))
    lab.settle()
    assert lab.accused() == {}
    assert lab["a"].pooling.stats.good_told == 1
    assert lab["b"].pooling.stats.good_heard == 1


def test_who_earns_trust_later_is_vouched_for_then() -> None:
    """The nodes that suspect him hear of it from the one that does no more."""
    lab = Lab("abc", USERS)
    spread(lab, wrong_users(3, lab))
    lab.settle()
    lab["a"].see(event(lab.now, request("INVITE"), Kind.ACCEPTED, user="100", proofs=NONCE))
    lab.settle()
    for name in "bc":
        lab[name].see(*wrong_users(2, lab, first=10 * ord(name)))
    lab.settle()
    assert lab.accused() == {}


def test_a_success_for_a_user_takes_that_user_back_everywhere() -> None:
    """A phone that was refused and then let in was no guess at that user."""
    lab = Lab("ab", USERS)
    lab["a"].see(*wrong_users(3, lab))
    lab.settle()
    answered = event(lab.now, request("INVITE", user="1"), Kind.ANSWER, status=200)
    lab["a"].see(answered)
    lab.settle()
    lab["b"].see(*wrong_users(3, lab, first=10))
    lab.settle()
    assert lab.accused() == {}
    lab["b"].see(*wrong_users(1, lab, first=20))
    lab.settle()
    assert lab.accused()


def test_sources_that_attack_one_account_at_different_nodes_are_a_crowd() -> None:
    """Each is accused where it was seen, and the alert names the target and how many they are."""
    lab = Lab("abc", GUESSING)
    for name, bot in zip("abc", BOTS, strict=True):
        lab[name].see(*(refused(bot, f"{bot}-{n}", lab.now) for n in range(2)))
    assert lab.accused() == {}
    lab.settle()
    assert lab.accused() == {name: [bot] for name, bot in zip("abc", BOTS, strict=True)}
    alert = lab["b"].alerts[0]
    assert (details(alert)["aimed_at"], alert.sources) == ("account 100", 3)
    assert alert.proof is Proof.PROVEN


def test_a_device_that_moves_from_node_to_node_is_one_source() -> None:
    """It takes its Call-ID along; whoever showed it first owns it."""
    lab = Lab("abc", GUESSING)
    for name, bot in zip("abc", BOTS, strict=True):
        lab[name].see(*(refused(bot, f"one-{n}", lab.now) for n in range(2)))
    lab.settle()
    assert lab.accused() == {}


def test_in_a_network_each_source_must_have_shown_two_things_and_is_accused_alone() -> None:
    """Somebody good may live there whom only another node knows."""
    lab = Lab("ab", NETWORK)
    spread(lab, [asked(bot, f"{bot}x", lab.now) for bot in BOTS])
    spread(lab, [asked(bot, f"{bot}y", lab.now) for bot in reversed(BOTS)])
    lab.settle()
    alerts = [alert for node in lab.nodes.values() for alert in node.alerts]
    assert {alert.length for alert in alerts} <= {None}
    lab = Lab("ab", NETWORK.replace("max_retry = 6", "max_retry = 3"))
    spread(lab, [asked(bot, f"{bot}x", lab.now) for bot in BOTS])
    lab.settle()
    assert lab.accused() == {}


def test_the_same_is_not_said_again_within_a_minute() -> None:
    """Whoever goes on is not accused with each message."""
    lab = Lab("ab", USERS)
    spread(lab, wrong_users(6, lab))
    lab.settle()
    told = sum(len(node.alerts) for node in lab.nodes.values())
    spread(lab, wrong_users(4, lab, first=50))
    lab.settle()
    assert sum(len(node.alerts) for node in lab.nodes.values()) == told


def test_slow_attacks_are_found_in_the_longer_windows_too() -> None:
    """One guess each ten minutes, each at another node."""
    lab = Lab("ab", GUESSES)
    for number in range(12):
        lab["ab"[number % 2]].see(guess(lab, number))
        lab.settle()
        lab.now += 600
    assert lab.accused()


def test_what_is_older_than_the_window_does_not_count() -> None:
    """Four wrong numbers, and four more an hour later."""
    lab = Lab("ab", USERS)
    spread(lab, wrong_users(4, lab))
    lab.settle()
    lab.now += 3600
    spread(lab, wrong_users(4, lab, first=10))
    lab.settle()
    assert lab.accused() == {}


def test_a_source_that_was_accused_by_a_rule_of_its_own_is_not_counted_again() -> None:
    """It is banned; its messages would only cost the others."""
    lab = Lab("ab", USERS)
    lab["a"].see(*wrong_users(6, lab))
    octets = lab.octets["a"]
    lab["a"].see(*wrong_users(20, lab, first=10))
    assert lab.octets["a"] == octets


def test_what_a_node_told_is_forgotten_when_it_is_gone() -> None:
    """Nobody can be asked about it any more."""
    lab = Lab("ab", USERS)
    lab["b"].see(*wrong_users(3, lab))
    lab.settle()
    lab.cut.add("b")
    lab.member("b", MemberState.DEAD)
    lab["a"].see(*wrong_users(3, lab, first=10))
    lab.settle()
    assert lab.accused() == {}
    assert list(lab["a"].pooling.pool.tallies.others) == []


def test_rules_of_one_message_and_of_rates_are_not_pooled() -> None:
    """One node is enough for the first, and the second do no harm where they are low."""
    lab = Lab("ab", "score = 1", "[match]\nrate = 250\n[count]\nmax_retry = 250")
    spread(lab, [event(lab.now, request(user=str(n)), source="192.0.2.77") for n in range(2)])
    lab.settle()
    assert len(lab["a"].pooling.pool.tallies.own) == 0
    assert lab["a"].engine.sources.get(pack("192.0.2.77")) is not None
