"""shield.cluster.replica: a map that all nodes hold, as a feature sees it."""

from __future__ import annotations

import pytest

from shield.cluster.capability import Incoming
from shield.cluster.entry import Entry, Limits
from shield.cluster.messages import Kind
from shield.cluster.replica import Replica
from shield.errors import RemoteError
from tests.cluster.fakenet import WALL, FakeNet


def replica(net: FakeNet, name: str, *, join: bool = True, limits: Limits | None = None) -> Replica:
    made = Replica("notes", name, name.encode() * 8, wall=lambda: WALL + net.now, limits=limits)
    if join:
        made.connect(net[name].core.add(made), net.now)
    return made


def held(one: Replica, key: bytes, net: FakeNet) -> bytes | None:
    entry = one.records.live(key, net.now)
    return None if entry is None else entry.value


def test_what_one_writes_all_read_until_it_ends() -> None:
    """And each hears of the change and of the end, the writer only of the end."""
    net = FakeNet("a", "b")
    a, b = replica(net, "a"), replica(net, "b")
    heard: list[tuple[bytes, bytes | None]] = []
    mine: list[bytes | None] = []
    b.on_change = lambda key, entry, _before, _now: heard.append((key, entry.value))
    a.on_change = lambda _key, entry, _before, _now: mine.append(entry.value)
    net.settle()
    a.put(b"k", b"v", 10.0, net.now)
    net.run(1.0)
    assert held(b, b"k", net) == b"v"
    net.run(12.0)
    assert held(b, b"k", net) is None
    assert heard == [(b"k", b"v"), (b"k", None)]
    assert mine == [None]


def test_anybody_may_remove() -> None:
    """The removal goes to all; of what is not there nothing is told."""
    net = FakeNet("a", "b")
    a, b = replica(net, "a"), replica(net, "b")
    net.settle()
    a.put(b"k", b"v", 100.0, net.now)
    net.run(1.0)
    assert b.remove(b"k", net.now)
    assert not b.remove(b"k", net.now)
    net.run(1.0)
    assert held(a, b"k", net) is None


def test_what_was_written_alone_is_there_for_the_others_later() -> None:
    """Nothing is pushed, the comparison finds it."""
    net = FakeNet("a", "b")
    a, b = replica(net, "a", join=False), replica(net, "b")
    a.put(b"k", b"v", 1000.0, net.now)
    a.tick(net.now)
    a.connect(net["a"].core.add(a), net.now)
    net.settle()
    net.until(lambda: held(b, b"k", net) == b"v", 20.0)
    a.disconnect()
    a.put(b"k", b"w", 1000.0, net.now)
    a.tick(net.now)
    assert held(a, b"k", net) == b"w"
    assert (a.report(net.now), held(b, b"k", net)) == (b"", b"v")


def test_a_revoked_node_takes_its_records_along() -> None:
    """And is listened to again when it is a member again."""
    net = FakeNet("a", "b")
    a, b = replica(net, "a"), replica(net, "b")
    gone: list[Entry] = []
    a.on_change = lambda _key, entry, _before, _now: gone.append(entry)
    net.settle()
    b.put(b"k", b"v", 100.0, net.now)
    net.run(1.0)
    a.forget("b", net.now)
    assert [entry.value for entry in gone] == [b"v", None]
    assert held(a, b"k", net) is None
    assert a.records.is_forgotten("b")


def test_without_room_nothing_is_written() -> None:
    """None says so, and what is beyond the limits is an error of the feature."""
    net = FakeNet("a")
    a = replica(net, "a", limits=Limits(per_origin=1))
    assert a.put(b"k", b"v", 100.0, net.now) is not None
    assert a.put(b"l", b"v", 100.0, net.now) is None
    with pytest.raises(ValueError, match="beyond the limits"):
        a.put(b"", b"v", 100.0, net.now)


def test_questions_go_to_the_feature() -> None:
    """Where it does not answer any, the asker hears that."""
    net = FakeNet("a", "b")
    a, b = replica(net, "a"), replica(net, "b")
    with pytest.raises(RemoteError):
        a.receive(Incoming("b", Kind.REQUEST, 1, ("what",)), net.now)
    a.on_request = lambda incoming, _now: (*incoming.body, "that")
    net.settle()
    answers: list[object] = []
    net["b"].core.post.ask(("a",), "notes", ("what",), timeout=2.0, now=net.now, done=answers.append)
    net.run(1.0)
    assert b.outlet is not None
    assert [answer.replies for answer in answers] == [{"a": ("what", "that")}]  # type: ignore[attr-defined]
