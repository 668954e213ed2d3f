"""Sync: maps over a bad net become equal and stay quiet; nobody speaks in the name of a living node."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shield.cluster.capability import SendResult
from shield.cluster.entry import Limits, Record, make_seal
from shield.cluster.sync import MAX_RUNS, OUT_OF_REACH
from shield.errors import RemoteError
from tests.cluster.replica_net import Net, Node
from tests.cluster.schedules import Schedule


def words(net: Net, since: int = 0) -> Counter[str]:
    return Counter(word for _, _, word, _ in net.sent[since:])


def fill(node: Node, count: int, prefix: bytes = b"key") -> None:
    for number in range(count):
        node.table.put(b"%s %d" % (prefix, number), b"value", 5000, node.now, node.wall)


def planted(node: Node, key: bytes = b"planted", seal: int = 5) -> Record:
    return key, (int(node.wall * 1000) << 16) + 7, 500_000, b"forged", seal


@pytest.mark.parametrize("block", range(20))
def test_after_any_schedule_of_faults_all_maps_are_equal_and_nothing_is_lost(block: int) -> None:
    """Loss, delay, duplicates, reordering, cut links, old journals; 15 schedules a block."""
    for seed in range(15 * block, 15 * block + 15):
        Schedule(seed, 3 + seed % 3).run()


def test_a_write_is_everywhere_at_once() -> None:
    """It is pushed, with what the feature sends along; digests say equal and nothing else is sent."""
    net = Net("abc")
    net.run(3)
    before = len(net.sent)
    net.nodes["a"].put(b"key", b"value")
    net.run(0.1)
    assert net.equal()
    net.run(30)
    assert set(words(net, before)) == {"put", "ping"}
    assert [change[0] for change in net.nodes["b"].applied] == [b"key"]
    assert {node.sync.state(node.now) for node in net.nodes.values()} == {"synced"}


def test_a_push_of_many_records_comes_in_parts_and_only_of_our_own() -> None:
    """Each fits a message; what others wrote they push themselves."""
    net = Net("ab")
    a, b = net.nodes["a"], net.nodes["b"]
    a.table.merge_many("x", [planted(a)], a.now, a.wall)
    fill(a, 2500)
    a.table.put(b"short", b"v", 2, a.now, a.wall)
    assert a.sync.push([key for key, _ in a.table.entries(a.now)], a.now) == SendResult.SENT
    assert a.sync.push([b"missing", b"planted"], a.now) == SendResult.UNREACHABLE
    assert words(net) == {"put": 3}
    net.run(0.4)
    assert len(b.table) == 2500


def test_a_report_of_a_node_that_is_out_of_reach_is_not_kept() -> None:
    """It would be asked, and could not answer."""
    net = Net("ab")
    net.down.add("b")
    node = net.nodes["a"]
    node.sync.reported("b", bytes(12), node.now)
    assert node.sync.status(node.now)["peers"] == {}


def test_what_goes_along_with_a_push_reaches_the_feature_also_without_a_change() -> None:
    """Alerts travel with decisions that are known already."""
    net = Net("ab")
    heard: list[Any] = []
    net.nodes["b"].on_applied = lambda *args: heard.append(args[:3])  # type: ignore[method-assign]
    net.nodes["b"].boot({})
    a = net.nodes["a"]
    a.table.put(b"k", b"v", 100, a.now, a.wall)
    for _ in range(2):
        a.sync.push([b"k"], a.now, extra=("why", 1))
    net.run(1)
    assert [(origin, len(applied), extra) for origin, applied, extra in heard] == [
        ("a", 1, ("why", 1)),
        ("a", 0, ("why", 1)),
    ]


def test_a_partition_heals_within_three_seconds() -> None:
    """A thousand changes on both sides of ten seconds, of the same keys in part."""
    net = Net("abc")
    net.run(3)
    net.cut = {frozenset("ab"), frozenset("ac")}
    for number in range(1000):
        net.nodes["a"].put(b"k%d" % (number % 700), b"a")
        net.nodes["b"].put(b"k%d" % (number + 300), b"b")
        net.run(0.01)
    assert net.nodes["a"].sync.state(net.nodes["a"].now) == "not synced"
    net.cut.clear()
    before = len(net.sent)
    assert net.run_until_equal() <= 3
    assert sum(size for *_, size in net.sent[before:]) < 300_000
    for key in (b"k0", b"k299", b"k1299"):
        assert net.nodes["a"].table.get(key) == net.nodes["a"].table.get(key)
    assert net.nodes["c"].contents() == net.nodes["a"].contents()


def test_a_joiner_fetches_everything_in_chunks_and_resumes_where_it_was_cut_off() -> None:
    """What it has already is not sent again."""
    net = Net("ab")
    fill(net.nodes["a"], 5000)
    net.run_until_equal()
    joiner = net.add("j")
    net.delay = 0.3
    net.run(2.2)
    half = len(joiner.table)
    assert 0 < half < 5000
    assert joiner.sync.state(joiner.now).startswith("in progress")
    net.cut.add(frozenset("aj"))
    net.run(2)
    have = len(joiner.table)
    assert have < 5000
    net.cut.clear()
    net.delay = 0.005
    before = len(net.sent)
    net.run_until_equal()
    sent = sum(size for _, target, word, size in net.sent[before:] if (target, word) == ("j", "chunk"))
    everything = sum(size for _, target, word, size in net.sent if (target, word) == ("b", "chunk"))
    assert sent < everything * (1.2 - have / 5000)
    assert joiner.sync.state(joiner.now) == "synced" or net.run(2) is None


def test_records_of_a_dead_node_come_from_whoever_has_them_once() -> None:
    """And only after it has been out of reach for a while."""
    net = Net("abcd")
    fill(net.nodes["d"], 3000)
    net.run_until_equal()
    net.down.add("d")
    net.run(2)
    joiner = net.add("j")
    net.run(OUT_OF_REACH - 1)
    assert len(joiner.table) == 0
    net.run(15)
    assert len(joiner.table) == 3000
    chunks = [source for source, target, word, _ in net.sent if (target, word) == ("j", "chunk")]
    assert len(set(chunks)) == 1, "one is asked at a time"


def test_a_captured_node_cannot_speak_for_a_living_one() -> None:
    """Neither by pushing nor by answering with what it has made up; its own word it has."""
    net = Net("abc")
    fill(net.nodes["a"], 10)
    net.run_until_equal()
    b, c = net.nodes["b"], net.nodes["c"]
    forged = planted(c)
    c.table.merge_many("a", [forged], c.now, c.wall)
    before = len(net.sent)
    net.run(40)
    assert b"forged" not in [entry.value for _, entry, _ in b.applied]
    assert ("b", "c", "pull") not in [entry[:3] for entry in net.sent[before:]]
    assert c.table.live(b"planted", c.now) is None, "the living one has answered"
    forged = (b"planted", c.clock_stamp(), *forged[2:])
    b.sync.receive("c", ("put", (forged,), None), b.now, b.wall)
    entry = b.table.get(b"planted")
    assert entry is not None
    assert entry.origin == "c"


def test_an_answer_about_an_origin_that_came_back_is_not_taken() -> None:
    """While it was away others may have made things up."""
    net = Net("abc")
    fill(net.nodes["a"], 10)
    net.run_until_equal()
    b, c = net.nodes["b"], net.nodes["c"]
    net.down.add("a")
    net.run(OUT_OF_REACH + 1)
    c.table.merge_many("a", [planted(c)], c.now, c.wall)

    def tamper(source: str, target: str, body: Any) -> Any:
        if body[0] == "chunk" and target == "b":
            net.down.discard("a")
        return body

    net.tamper = tamper
    net.run(6)
    assert "a" not in net.down
    assert b"forged" not in [entry.value for _, entry, _ in b.applied]
    assert b.table.counters["not_its_origin"] > 0


def test_what_was_planted_in_an_absent_nodes_name_is_answered_when_it_is_back() -> None:
    """By the node itself, with newer tombstones: all are equal again."""
    net = Net("abc")
    fill(net.nodes["a"], 10)
    net.run_until_equal()
    b, c = net.nodes["b"], net.nodes["c"]
    net.down.add("a")
    net.run(OUT_OF_REACH + 1)
    c.table.merge_many("a", [planted(c)], c.now, c.wall)
    net.run(10)
    assert b.table.live(b"planted", b.now) is not None
    net.down.discard("a")
    net.run_until_equal()
    assert b.table.live(b"planted", b.now) is None
    assert net.nodes["a"].table.counters["forged_origin"] == 1


def test_a_node_without_its_journal_gets_its_own_records_back() -> None:
    """It knows them by their seals."""
    net = Net("ab")
    fill(net.nodes["a"], 100)
    net.run_until_equal()
    net.nodes["a"].boot({})
    net.run_until_equal()
    assert len(net.nodes["a"].table) == 100
    assert net.nodes["a"].table.counters == {}
    assert make_seal(b"secret a", b"x", 1, b"") == net.nodes["a"].table.seal(b"x", 1, b"")


def test_an_origin_over_its_limits_makes_no_endless_work() -> None:
    """The nodes hold different parts of it; that is left alone, and everything else is kept equal."""
    net = Net("abc", limits=Limits(per_origin=200))
    net.nodes["a"].table.limits = Limits()
    fill(net.nodes["a"], 2000)
    fill(net.nodes["b"], 50, b"other")
    net.run(60)
    before = len(net.sent)
    net.run(120)
    assert words(net, before)["chunk"] <= 12
    assert len(net.nodes["c"].table) == 250
    assert net.nodes["c"].table.counters["over_limit"] > 0
    net.nodes["b"].put(b"later", b"v")
    net.loss = 1
    net.nodes["b"].put(b"lost", b"v")
    net.loss = 0
    net.run(60)
    assert net.nodes["c"].table.get(b"lost") is not None


def test_records_that_we_refuse_make_no_endless_work() -> None:
    """A node whose clock is days ahead is not believed, and not asked again and again."""
    net = Net("abc")
    net.nodes["a"].wall_offset += 5 * 86400
    fill(net.nodes["a"], 100)
    net.run(60)
    assert len(net.nodes["b"].table) == 0
    assert net.nodes["b"].table.counters["future_stamp"] > 0
    before = len(net.sent)
    net.run(60)
    assert words(net, before)["chunk"] == 0
    assert net.nodes["b"].sync.state(net.nodes["b"].now) == "synced"


def test_ends_make_no_work() -> None:
    """A thousand bans end within a minute, at slightly different times everywhere."""
    net = Net("abc")
    for node in net.nodes.values():
        node.offset += 0.3 * net.random.random()
    for number in range(1000):
        node = net.nodes["abc"[number % 3]]
        node.put(b"k%d" % number, b"v", 20 + number * 0.06)
    net.run(5)
    before = len(net.sent)
    net.run(90)
    assert net.equal()
    assert all(len(node.table) == 0 for node in net.nodes.values())
    assert words(net, before)["chunk"] <= 12
    assert words(net, before)["ask"] < 60


def test_a_peer_that_is_reached_over_others_is_told_in_messages() -> None:
    """Pings go to neighbours only."""
    net = Net("ab")
    net.pings = False
    net.loss = 1
    fill(net.nodes["a"], 10)
    net.loss = 0
    assert net.run_until_equal() < 20
    assert words(net)["report"] > 0


def test_each_tells_the_other_when_both_are_reached_over_others() -> None:
    """To have heard of the other is no reason to be silent: it would never learn what it lacks."""
    net = Net("ab")
    net.run_until_equal()
    net.pings = False
    a, b = net.nodes.values()
    for _ in range(40):
        b.sync.receive("a", ("report", a.sync.report(a.now)), b.now, b.wall)
        net.run(0.5)
    told = [source for source, _, word, _ in net.sent if word == "report"]
    assert told.count("b") >= 3


def test_what_was_lost_with_a_link_is_found_within_some_seconds() -> None:
    """The first report that comes over others is enough, be it from whoever lacks something or not."""
    for writer in "ab":
        net = Net("ab")
        fill(net.nodes["a"], 3)
        net.run_until_equal()
        net.run(2)
        net.pings, net.loss = False, 1
        net.nodes[writer].put(b"lost", b"value")
        net.run(1)
        net.loss = 0
        assert net.run_until_equal() < 6


def test_a_peer_that_never_answers_is_given_up_for_a_while() -> None:
    """And holds up nobody else."""
    net = Net("abc")
    net.tamper = lambda source, target, body: None if source == "a" else body
    fill(net.nodes["a"], 10)
    fill(net.nodes["b"], 10, b"other")
    net.run(60)
    c = net.nodes["c"]
    assert len(c.table) == 10
    assert c.table.counters["sync_timeout"] >= 1
    assert words(net)["ask"] < 60


@pytest.mark.parametrize(
    "change",
    [
        lambda body: (body[0], body[1]),
        lambda body: (body[0], body[1], None, None, None),
        lambda body: (*body[:2], b"garbage", *body[3:]),
        lambda body: (*body[:2], (b"",), *body[3:]),
        lambda body: (*body[:2], (("x", 1, 2, "3"),), *body[3:]),
        lambda body: (*body[:2], (("x", -1, 2, 3),), *body[3:]),
        lambda body: (*body[:2], (("x", 1, 2, 3),) * 3000, *body[3:]),
        lambda body: (*body[:3], 0, b"") if body[0] == "chunk" else body,
        lambda body: (*body[:3], 9999, b"") if body[0] == "chunk" else body,
    ],
)
def test_garbled_answers_end_the_run_and_hurt_nobody(change: Any) -> None:
    """They raise RemoteError, which the caller counts; what others have still comes."""
    net = Net("abc")
    answers = ("origins", "digest", "chunk")
    net.tamper = lambda source, target, body: (
        change(body) if source == "a" and body[0] in answers else body
    )
    fill(net.nodes["a"], 10)
    fill(net.nodes["b"], 10, b"other")
    net.run(30)
    assert net.errors
    assert {name for name, _ in net.errors} <= {"b", "c"}
    c = net.nodes["c"]
    assert c.table.get(b"other 1") is not None
    assert sum(peer.comparison is not None for peer in c.sync._peers.values()) <= 1
    net.tamper = lambda source, target, body: body
    net.run_until_equal(90)


@pytest.mark.parametrize(
    "body",
    [
        None,
        7,
        "put",
        (),
        ("what",),
        ("put", 1, None),
        ("put", ((),) * 2001, None),
        ("report", b"x"),
        ("chunk",),
    ],
)
def test_messages_that_make_no_sense_are_refused(body: Any) -> None:
    """By RemoteError, whatever they are."""
    node = Net("a").nodes["a"]
    with pytest.raises(RemoteError):
        node.sync.receive("x", body, node.now, node.wall)


SCALARS = (
    st.none() | st.booleans() | st.integers(-1, 2**64 - 1) | st.binary(max_size=9) | st.text(max_size=3)
)
WORDS = st.sampled_from(
    ["put", "report", "ask", "digests", "pull", "origins", "digest", "chunk", "busy", "a"]
)
VALUES = st.recursive(
    SCALARS | WORDS, lambda inner: st.lists(inner, max_size=6).map(tuple), max_leaves=20
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["b", "stranger"]), VALUES | st.tuples(WORDS, st.integers(0, 3), VALUES)
        )
    )
)
def test_no_message_does_more_than_to_be_refused(messages: list[tuple[str, Any]]) -> None:
    """Whatever it is, while a comparison is waiting for an answer."""
    net = Net("ab")
    node = net.nodes["a"]
    node.table.put(b"k", b"v", 100, node.now, node.wall)
    node.sync.tick(node.now)
    node.sync.reported("b", b"different 12", node.now)
    for sender, body in messages:
        with suppress(RemoteError):
            node.sync.receive(sender, body, node.now, node.wall)
    assert node.table.live(b"k", node.now)
    node.sync.tick(node.now)
    node.sync.status(node.now)


def test_answers_that_nobody_asked_for_are_counted() -> None:
    """Their content is not even looked at."""
    net = Net("ab")
    net.run(3)
    node = net.nodes["a"]
    for sender in ("b", "stranger"):
        node.sync.receive(sender, ("chunk", 1, b"", None, b""), node.now, node.wall)
    assert node.table.counters == {"late_answer": 2}


def test_not_more_than_a_few_comparisons_run_at_once() -> None:
    """After a partition of many nodes the chunks of all of them would fill the memory."""
    names = [f"n{number}" for number in range(20)]
    net = Net(names)
    for name in names:
        fill(net.nodes[name], 5, name.encode())
    joiner = net.nodes["n0"]
    most = 0
    while not net.equal():
        net.run(0.5)
        most = max(most, sum(peer.comparison is not None for peer in joiner.sync._peers.values()))
        assert net.time < 60
    assert most <= MAX_RUNS


def test_status_says_what_operators_ask() -> None:
    """Digests as hexadecimal digits, ages in seconds, counters by reason."""
    net = Net("ab")
    node = net.nodes["a"]
    assert node.sync.state(node.now) == "not synced"
    node.put(b"k", b"v")
    node.put(b"l", b"v")
    node.remove(b"l")
    net.run(0.5)
    assert node.sync.state(node.now) == "pending"
    net.run(3)
    status = node.sync.status(node.now)
    assert status["state"] == "synced"
    assert (status["map"], status["records"], status["tombstones"]) == ("test", 2, 1)
    assert status["digest"] == status["origins"]["a"]["digest"] == f"{node.table.digest(node.now):016x}"
    assert status["peers"]["b"]["equal"] is True
    assert 0 <= status["peers"]["b"]["equal_age"] <= 1.5
