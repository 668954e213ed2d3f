"""Comparison: asks only for what differs, twice at once, and never for ever."""

from __future__ import annotations

from typing import Any

import pytest

from shield.cluster import comparison as module
from shield.cluster.chunks import unpack_buckets
from shield.cluster.comparison import LANES, TIMEOUT, TRIES
from shield.cluster.entry import bucket_of
from tests.cluster.replica_net import Net


def talk(net: Net) -> list[tuple[str, str, Any]]:
    """Record all messages between the nodes."""
    heard: list[tuple[str, str, Any]] = []

    def listen(source: str, target: str, body: Any) -> Any:
        heard.append((source, target, body))
        return body

    net.tamper = listen
    return heard


def filled(count: int) -> Net:
    net = Net("ab")
    net.run(3)
    a = net.nodes["a"]
    for number in range(count):
        a.table.put(b"%d" % number, b"v", 5000, a.now, a.wall)
    return net


def test_one_missing_record_costs_one_bucket() -> None:
    """Digests of groups, then of a group's buckets, then the bucket."""
    net = filled(2000)
    net.run_until_equal()
    net.loss = 1
    net.nodes["a"].put(b"lost", b"v")
    net.loss = 0
    heard = talk(net)
    net.run_until_equal()
    asked = [body for source, _, body in heard if source == "b"]
    assert [body[0] for body in asked] == ["ask", "digests", "digests", "pull"]
    assert len(asked[2][3]) == 1
    assert unpack_buckets(asked[3][3]) == [bucket_of(b"lost")]


def test_a_join_has_two_chunks_on_their_way() -> None:
    """The peer packs one while the other is merged; no digests are compared."""
    net = filled(5000)
    heard = talk(net)
    net.run_until_equal()
    words = [(source, body[0]) for source, _, body in heard if body[0] in ("pull", "chunk", "digests")]
    assert words[:LANES] == [("b", "pull")] * LANES
    waiting, most = 0, 0
    for _, word in words:
        waiting += 1 if word == "pull" else -1
        most = max(most, waiting)
    assert most == LANES
    assert "digests" not in [word for _, word in words]


def test_a_lost_request_is_made_again_and_then_given_up() -> None:
    """A peer that is silent costs a few requests."""
    net = filled(10)
    heard: list[Any] = []
    net.tamper = lambda source, target, body: heard.append((source, *body)) if body[0] == "ask" else body
    net.run(3 + TIMEOUT * TRIES + 1)
    asked = [body for body in heard if body[:3] == ("b", "ask", heard[0][2])]
    assert len(asked) == TRIES
    net.tamper = lambda source, target, body: body
    net.run_until_equal()


def test_a_busy_peer_is_asked_again_soon() -> None:
    """It had too many requests at once; waiting as for a lost answer would hold up a join."""
    net = filled(10)
    busy = 2

    def tamper(source: str, target: str, body: Any) -> Any:
        nonlocal busy
        if body[0] == "origins" and busy:
            busy -= 1
            return ("busy", body[1])
        return body

    net.tamper = tamper
    assert net.run_until_equal() < TIMEOUT
    assert busy == 0
    assert net.nodes["b"].table.counters == {}


def test_chunks_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer could lead through one bucket by keys that grow a little each time."""
    monkeypatch.setattr(module, "MAX_CHUNKS", 5)
    net = filled(10)
    count = 0

    def endless(source: str, target: str, body: Any) -> Any:
        nonlocal count
        if body[0] == "chunk":
            count += 1
            return (*body[:3], 5, b"x" * count)
        return body

    net.tamper = endless
    net.run(5)
    assert ("b", "garbled_sync") in net.errors
    assert count < 30


def test_a_peer_that_is_behind_itself_is_not_asked_for_others() -> None:
    """It has fewer records of a dead node than we: it is joining as well."""
    net = Net("abcd")
    d = net.nodes["d"]
    for number in range(500):
        d.table.put(b"%d" % number, b"v", 5000, d.now, d.wall)
    net.run_until_equal()
    net.down.add("d")
    net.run(10)
    joiner = net.add("j")
    some = [record for number in range(0, 500, 5) if (record := d.table.record(b"%d" % number, d.now))]
    joiner.table.merge_many("d", some, joiner.now, joiner.wall)
    heard = talk(net)
    net.run(1.5)
    assert not [body for _, target, body in heard if target == "j" and body[0] in ("digests", "pull")]
    net.down.discard("d")
    net.run_until_equal()
