"""shield.detect.pooling: what is told, to whom, how much of it, and what is not taken."""

from __future__ import annotations

import random

import pytest

from shield.cluster.member import MemberState
from shield.detect.pooling_messages import key_mark
from shield.detect.settings import EvidenceSettings
from shield.detect.tallies import MAX_OF_NODE
from shield.errors import ConfigError
from shield.net import pack
from shield.wire import pack_value
from tests.builders import CLIENT
from tests.detect.pooling_lab import Lab
from tests.detect.test_pool import USERS, wrong_users
from tests.detect.test_together import asked


def mark(lab: Lab) -> bytes:
    return key_mark(lab["a"].pooling.pool.key)


def say(lab: Lab, body: object) -> None:
    """Let b say something to a."""
    lab.say("a", "b", pack_value(body))


def test_all_nodes_come_to_hash_with_the_oldest_secret() -> None:
    """Also one that joins later, and two halves that meet."""
    lab = Lab("abc", USERS)
    assert len({node.pooling.pool.key for node in lab.nodes.values()}) == 1
    lab.cut = {"c"}
    lab["c"].pooling.pool.rekey(b"z" * 16)
    lab["c"].pooling._stamp += 5
    lab.cut = set()
    lab["c"].see(*wrong_users(2, lab))
    lab.settle()
    assert len({node.pooling.pool.key for node in lab.nodes.values()}) == 1


def test_no_user_and_no_number_travels_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only hashes, and two clusters do not have the same."""
    lab = Lab("ab", USERS)
    said: list[bytes] = []
    monkeypatch.setattr(lab, "say", lambda _node, _sender, packed: said.append(packed))
    lab["a"].see(asked(CLIENT, "alice-the-first", lab.now))
    lab.settle()
    assert said
    assert not any(b"alice" in packed for packed in said)


def test_a_scan_of_a_thousand_sources_stays_within_the_budget() -> None:
    """What does not fit waits; after some seconds all of it has been told."""
    lab = Lab("ab", USERS, rate=8_192)
    start, before = lab.now, lab.octets["a"]
    for number in range(1000):
        source = f"192.0.{2 + number // 250}.{number % 250 + 1}"
        lab["a"].see(*(asked(source, f"{number}-{n}", lab.now) for n in range(2)))
    while lab["a"].pooling.pool.tallies.dirty:
        lab.settle(1.0)
        assert lab.octets["a"] - before <= 8_192 * (lab.now - start + 4.0) * 1.1
        assert lab.now - start < 30
    assert len(lab["b"].pooling.pool.tallies.others["a"]) == 1000
    assert not lab["b"].pooling.stats.over_budget


def test_the_most_suspicious_sources_go_first() -> None:
    """Of five with one thing and one with five the last is told within the smallest budget."""
    lab = Lab("ab", USERS, rate=1_024)
    for number in range(200):
        lab["a"].see(asked(f"192.0.2.{number + 1}", f"{number}", lab.now))
    lab["a"].see(*wrong_users(5, lab, source="203.0.113.5"))
    lab["a"].pooling.tick(lab.now + 0.5)
    lab.say(*lab.waiting.popleft())
    heard = {aim.client for aim in lab["b"].pooling.pool.tallies.others["a"].young}
    assert pack("203.0.113.5") in heard
    assert len(heard) < 200


def test_a_node_that_tells_more_than_it_may_is_not_listened_to() -> None:
    """Its tallies are counted by its name, and no memory is spent on them."""
    lab = Lab("ab", USERS, rate=1_024)
    for number in range(100):
        many = tuple((0, bytes([198, 51, number, n]), 0, b"", b"") for n in range(250))
        say(lab, ("seen", mark(lab), (("r0", many),)))
    stats = lab["a"].pooling.stats
    assert stats.over_budget["b"] > 20_000
    assert len(lab["a"].pooling.pool.tallies.others["b"]) <= min(MAX_OF_NODE, 400)


def test_the_aims_of_one_node_are_bounded() -> None:
    """Whatever it tells within its budget; the oldest go."""
    lab = Lab("ab", USERS, rate=10_000_000)
    for number in range(40):
        many = tuple((0, bytes([198, 51, number, n]), 0, b"", b"") for n in range(250))
        say(lab, ("seen", mark(lab), (("r0", many),)))
    assert len(lab["a"].pooling.pool.tallies.others["b"]) <= MAX_OF_NODE


def test_who_comes_hears_of_everything_there_is() -> None:
    """A node that was away confirms with what the others saw meanwhile."""
    lab = Lab("ab", USERS)
    lab.cut = {"b"}
    lab["a"].see(*wrong_users(3, lab))
    lab.settle()
    lab.cut = set()
    for name in "ab":
        lab.member(name, MemberState.ALIVE)
    lab["b"].see(*wrong_users(3, lab, first=10))
    lab.settle()
    assert lab.accused()


@pytest.mark.parametrize(
    "body",
    [
        None,
        (),
        ("key",),
        ("key", "1", b"x" * 16),
        ("key", 1, b"short"),
        ("good", b"x"),
        ("good", (b"abc",)),
        ("good", ("192.0.2.1",)),
        ("other", 1),
        ("seen", b"mark"),
    ],
)
def test_what_cannot_be_read_is_an_error_of_its_sender(body: object) -> None:
    """And changes nothing."""
    lab = Lab("ab", USERS)
    say(lab, body)
    assert len(lab["a"].errors) == 1


@pytest.mark.parametrize(
    "rules",
    [
        7,
        (7,),
        (("r0",),),
        ((7, ()),),
        (("r0", 7),),
        (("r0", (7,)),),
        (("r0", ((0, b"abcd", 0, b"x", b""),)),),
        (("r0", ((0, b"abc", 0, b"", b""),)),),
        (("r0", (((1 << 64) - 1, b"abcd", 0, b"", b""),)),),
        (("r0", ((0, b"abcd", 0, b"x" * 13 * 65, b""),)),),
        (("r0", ((0, b"abcd", 0, b"", b"x"),)),),
    ],
)
def test_a_tally_that_cannot_be_read_costs_one_message(rules: object) -> None:
    """What stood before it is taken, alerts included."""
    lab = Lab("ab", USERS)
    lab["a"].see(*wrong_users(3, lab))
    before = ("r0", ((0, pack("198.51.100.77"), 0, b"", b""),))
    say(lab, ("seen", mark(lab), (before, *rules) if isinstance(rules, tuple) else rules))
    assert len(lab["a"].errors) == 1
    heard = lab["a"].pooling.pool.tallies.others.get("b")
    assert (heard is not None and len(heard) == 1) is isinstance(rules, tuple)


def test_a_rule_that_is_unknown_here_is_passed_over() -> None:
    """Nodes with different rules work together in what they share."""
    lab = Lab("ab", USERS)
    say(lab, ("seen", mark(lab), (("unknown", ((0, b"abcd", 0, b"", b""),)),)))
    assert lab["a"].errors == []
    assert not lab["a"].pooling.pool.tallies.others


def test_random_octets_never_raise_anything_else() -> None:
    """A thousand messages of random shape end in an error of the sender, or in nothing."""
    chance = random.Random(4)
    lab = Lab("ab", USERS)

    def value(depth: int) -> object:
        kind = chance.randrange(6 if depth < 4 else 4)
        if kind == 0:
            return chance.randrange(-(1 << 63), 1 << 63)
        if kind == 1:
            return chance.randbytes(chance.randrange(30))
        if kind == 2:
            return chance.choice(["key", "seen", "good", "r0"])
        return None if kind == 3 else tuple(value(depth + 1) for _ in range(chance.randrange(6)))

    for _ in range(1000):
        body = value(0)
        say(lab, body if isinstance(body, tuple) else (chance.choice(["seen", "good", "key"]), body))
    lab["a"].see(*wrong_users(6, lab))
    assert lab["a"].accused == [CLIENT]


def test_alone_nothing_is_told_and_leaving_forgets_the_others() -> None:
    """A node without a cluster works as before."""
    lab = Lab("ab", USERS)
    lab["b"].see(*wrong_users(2, lab))
    lab.settle()
    pooling = lab["a"].pooling
    assert pooling.as_json()["others"] == {"b": 1}
    pooling.disconnect()
    assert pooling.as_json()["others"] == {}
    pooling.tick(lab.now)
    assert not lab.waiting


@pytest.mark.parametrize("rate", [0, 1_023, 10_000_001])
def test_a_budget_that_makes_no_sense_is_refused(rate: int) -> None:
    """The key is named."""
    with pytest.raises(ConfigError, match=r"evidence\.rate"):
        EvidenceSettings(rate=rate)
