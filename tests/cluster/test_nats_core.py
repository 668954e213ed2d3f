"""NatsCore: who is there is known by signs of life, and nobody but members is believed."""

from __future__ import annotations

import pytest

from shield.cluster.capability import SendResult
from shield.cluster.messages import Data, Hello, Here, Kind, Part, Routed
from shield.cluster.nats_core import MAX_WORK
from shield.cluster.nats_presence import MAX_GREETED
from shield.cluster.nats_wire import inner, packed, read
from shield.cluster.parcels import Parcel
from shield.cluster.requests import Answers
from shield.wire import pack_value
from tests.cluster.fakebus import FakeBus
from tests.cluster.fakenet import WALL, authority, identity

MESSAGE = Data("test", Kind.MESSAGE, 0, "hello")


def started(bus: FakeBus, name: str) -> int:
    return bus[name].core.membership.incarnation


def parcel(bus: FakeBus, origin: str, by: str, sequence: int, to: str = "", **other: object) -> bytes:
    """A parcel as a program would make it that has a key, perhaps not that of the origin."""
    fields: dict[str, object] = {
        "incarnation": started(bus, origin), "destination": to, "capability": "test", "kind": 0,
        "tag": 0, "body": "ban them all",
        "destination_incarnation": started(bus, to) if to else 0, **other,
    }  # fmt: skip
    return packed(Parcel(origin=origin, sequence=sequence, **fields).sign(identity(by)))  # type: ignore[arg-type]


def test_nodes_meet_and_talk() -> None:
    """One publication for a broadcast, one for a message; answers come back to who asked."""
    bus = FakeBus("a", "b", "c")
    bus.settle()
    bus.kinds.clear()
    a = bus["a"].core.post
    assert a.broadcast(MESSAGE, bus.now) is SendResult.SENT
    assert a.send("b", MESSAGE._replace(body="you"), bus.now) is SendResult.SENT
    bus.pump()
    assert bus.kinds == {"all": 1, "node": 1}
    assert bus["b"].recorder.bodies == ["hello", "you"]
    assert bus["c"].recorder.bodies == ["hello"]
    assert a.stats["test"].sent == 3
    done: list[Answers] = []
    a.ask(("b", "c"), "test", 5, timeout=2.0, now=bus.now, done=done.append)
    bus.pump()
    assert done[0].replies == {"b": 5, "c": 5}
    assert bus.kinds["all"] == 2, "a question to everybody is one publication"


def test_reports_travel_in_signs_of_life() -> None:
    """Everybody knows what everybody reports, at the cost of one publication each."""
    bus = FakeBus("a", "b", "c")
    bus.settle()
    bus.run(1.5)
    assert all(set(node.recorder.reports) == set("abc") - {name} for name, node in bus.nodes.items())
    bus.kinds.clear()
    bus.run(10)
    assert 27 <= bus.kinds["here"] <= 33
    assert bus.kinds.total() == bus.kinds["here"], "an idle cluster says nothing else"


def test_a_hundred_nodes_meet_with_few_messages() -> None:
    """Two greetings for each pair at most, even when all start at once; broadcasts stay single."""
    names = [f"n{number}" for number in range(40)]
    bus = FakeBus(*names)
    bus.settle()
    assert bus.kinds["node"] <= 4 * 2 * 40 * 39 / 2
    before = bus.kinds.copy()
    bus.add("late")
    bus.settle()
    assert bus.kinds["node"] - before["node"] <= 4 * 2 * 40
    assert bus.kinds["here"] - before["here"] < 3 * 41


def test_silence_means_suspect_then_dead() -> None:
    """Three signs that are missing; nobody waits for its answer any longer."""
    bus = FakeBus("a", "b", "c")
    bus.settle()
    bus["c"].stopped = True
    bus.run(2.5)
    assert bus.sees("a") == {"b", "c"}
    bus.run(1.0)
    assert bus.sees("a") == {"b"}
    assert bus["a"].core.membership.members["c"].state == "suspect"
    bus.run(1.5)
    assert bus["a"].core.membership.members["c"].state == "dead"
    bus["c"].start()
    bus.settle()
    assert bus["a"].core.membership.members["c"].state == "alive"


def test_without_the_server_nobody_is_reached_and_nothing_is_kept() -> None:
    """What is old by then is not sent; who was met needs no new greeting."""
    bus = FakeBus("a", "b")
    bus.settle()
    core = bus["a"].core
    core.post.broadcast(MESSAGE, bus.now)
    bus.stop()
    assert bus.sees("a") == set()
    assert core.post.broadcast(MESSAGE, bus.now) is SendResult.UNREACHABLE
    bus.run(5)
    bus.kinds.clear()
    bus.start()
    bus.run(0.1)
    assert bus.sees("a") == {"b"}
    assert bus.kinds["node"] == 0
    assert bus["b"].recorder.bodies == []


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xc1", b"x" * 100, pack_value([]), pack_value(["text"]), pack_value({"a": 1}),
     pack_value([6, "test", 0, 0, "unsigned"]), pack_value([3, 1, {}]), pack_value([7, 1, b"", b""]),
     pack_value([7, 1, pack_value(["a"]), b"\x00" * 64]), pack_value([5, b"", b""]),
     pack_value([8, b"x", b"y"]), pack_value([12, 1, 1, b"", {}]), b"\x00" * (1 << 21)],
)  # fmt: skip
def test_garbage_is_counted_and_has_no_effect(payload: bytes) -> None:
    """On every subject."""
    bus = FakeBus("a", "b")
    bus.settle()
    core = bus["a"].core
    for subject in bus["a"].places:
        bus.publish(subject, payload)
    assert core.errors.total() == 3
    assert bus["a"].recorder.bodies == []
    assert bus.sees("a") == {"b"}


def test_a_message_of_a_newer_version_is_left_out() -> None:
    """It costs nothing but itself."""
    bus = FakeBus("a", "b")
    bus.settle()
    bus.publish(bus["a"].core.subjects.all, pack_value([99, "new"]))
    assert bus["a"].core.unknown == 1
    assert not bus["a"].core.errors


def test_forged_parcels_have_no_effect() -> None:
    """Signed by another member, for another node, or of a name that is no member."""
    bus = FakeBus("a", "b", "c")
    bus.settle()
    a = bus["a"].core
    bus.publish(a.subjects.all, parcel(bus, "b", "c", 10_000))
    bus.publish(a.subjects.node("a"), parcel(bus, "b", "c", 10_000, "a"))
    assert a.errors["forged_origin"] == 2
    bus.publish(a.subjects.node("a"), parcel(bus, "b", "b", 10_001, "c"))
    bus.publish(a.subjects.all, parcel(bus, "b", "b", 10_002, "a"))
    bus.publish(a.subjects.here, parcel(bus, "b", "b", 10_003))
    assert a.errors["wrong_subject"] == 3
    forged = Parcel("ghost", 5, 5, "", "test", 0, 0, "x", 0).sign(identity("ghost"))
    bus.publish(a.subjects.all, packed(forged))
    assert a.unmet >= 1
    assert bus["a"].recorder.bodies == []


def test_what_was_published_once_is_not_taken_again() -> None:
    """By a node that was there, nor by one that has started since: what was undone stays undone."""
    bus = FakeBus("a", "b")
    bus.settle()
    bus["b"].core.post.broadcast(MESSAGE, bus.now)
    bus["b"].core.post.send("a", MESSAGE, bus.now)
    bus.pump()
    assert len(bus["a"].recorder.bodies) == 2
    old, bus.published = bus.published, []
    for subject, payload in old:
        bus.publish(subject, payload, by=bus["b"])
    assert len(bus["a"].recorder.bodies) == 2
    assert bus["a"].core.errors["replayed"] > 0
    bus["a"].start()
    for subject, payload in old:
        bus.publish(subject, payload, by=bus["b"])
    assert bus["a"].recorder.bodies == []
    assert bus.sees("a") == set(), "old signs of life do not make a node alive"
    bus.settle()
    for subject, payload in old:
        bus.publish(subject, payload, by=bus["b"])
    assert bus["a"].recorder.bodies == []


def test_an_old_sign_does_not_keep_a_dead_node_alive() -> None:
    """Recorded ones mean nothing."""
    bus = FakeBus("a", "b")
    bus.settle()
    bus.run(3)
    signs = [one for one in bus.published if one[0] == bus["a"].core.subjects.here]
    bus["b"].stopped = True
    for _ in range(8):
        bus.run(0.5)
        for subject, payload in signs:
            bus.publish(subject, payload)
    assert bus.sees("a") == set()


def test_a_restarted_node_is_met_anew() -> None:
    """With its sequence from 1; what its earlier start sent counts no more."""
    bus = FakeBus("a", "b")
    bus.settle()
    before = parcel(bus, "b", "b", 50_000)
    bus.run(1)
    bus["b"].start()
    bus.settle()
    bus.publish(bus["a"].core.subjects.all, before)
    assert bus["a"].recorder.bodies == []
    bus["b"].core.post.broadcast(MESSAGE, bus.now)
    bus.pump()
    assert bus["a"].recorder.bodies == ["hello"]


def test_large_messages_come_in_parts() -> None:
    """Below what the server takes; a part that is missing costs its message only."""
    bus = FakeBus("a", "b", max_payload=16 * 1024)
    bus.settle()
    body = bytes(range(256)) * 1000
    bus["a"].core.post.broadcast(MESSAGE._replace(body=body), bus.now)
    bus["a"].core.post.send("b", MESSAGE._replace(body=body), bus.now)
    bus.pump()
    assert bus["b"].recorder.bodies == [body, body]
    assert max(len(payload) for _, payload in bus.published) <= 16 * 1024
    bus["a"].core.post.broadcast(MESSAGE._replace(body=body), bus.now)
    bus["a"].core.next_publication()
    bus.pump()
    assert len(bus["b"].recorder.bodies) == 2
    assert bus["b"].core.errors["parts"] > 0
    bus["a"].core.post.broadcast(MESSAGE, bus.now)
    bus.pump()
    assert bus["b"].recorder.bodies[-1] == "hello"


def test_what_waits_has_a_budget() -> None:
    """Beyond it messages are dropped and counted; signs of life go on."""
    bus = FakeBus("a", "b", send_budget=65536)
    bus.settle()
    core = bus["a"].core
    results = [core.post.broadcast(MESSAGE._replace(body=b"x" * 20_000), bus.now) for _ in range(5)]
    assert results == [SendResult.SENT] * 3 + [SendResult.FAILED] * 2
    assert core.outbox.waiting <= 65536
    assert core.outbox.dropped == 2
    bus.run(1)
    assert len(bus["b"].recorder.bodies) == 3
    assert any(event.kind == "overflow" for event in core.events.latest())
    assert core.post.broadcast(MESSAGE, bus.now) is SendResult.SENT


def test_revocations_reach_who_was_away() -> None:
    """The digest in a sign of life tells that something is missing."""
    bus = FakeBus("a", "b", "bad", "away")
    bus.settle()
    bus["away"].stopped = True
    core = bus["a"].core
    revocation = authority().revoke("bad", WALL + bus.now)
    core.revocations.add(revocation)
    core.revoked(revocation, bus.now)
    bus.run(5)
    assert bus.sees("b") == {"a"}
    bus["away"].start()
    bus.run(8)
    assert bus.sees("away") == {"a", "b"}
    assert "bad" in bus["away"].core.revocations.times
    bus.kinds.clear()
    bus.run(10)
    assert bus.kinds["node"] < 40, "who is put out is not told without end"


def test_a_newcomer_learns_of_members_that_are_gone() -> None:
    """So that it takes their records from others; it is told by a few, and not again and again."""
    bus = FakeBus(*(f"n{number}" for number in range(12)), "gone")
    bus.settle()
    bus["gone"].stopped = True
    bus.nodes.pop("gone")
    bus.run(10)
    bus.add("late")
    bus.run(20)
    assert bus["late"].core.membership.members["gone"].state == "dead"
    bus.kinds.clear()
    bus.run(30)
    assert bus.kinds["node"] == 0


def test_strangers_cannot_exhaust_greetings() -> None:
    """Invented names are greeted within bounds, and members are met all the same."""
    bus = FakeBus("a", "b")
    bus.settle()
    a = bus["a"].core
    for number in range(3 * MAX_GREETED):
        ghost = Parcel(f"ghost{number}", 5, 5, "", "test", 0, 0, "x", 0)
        a.receive(bus["a"].places[a.subjects.all], packed(Routed(1, pack_value(ghost), b"")), bus.now)
    assert len(a.outbox) <= 2 * 50
    assert a.unmet >= 3 * MAX_GREETED
    bus["b"].start()
    bus.settle()


def test_a_flood_of_forged_parcels_is_not_looked_at_without_end() -> None:
    """Looking at signatures has a bound until the timers run; then what is real is heard again."""
    bus = FakeBus("a", "b")
    bus.settle()
    a = bus["a"].core
    forged = [parcel(bus, "b", "a", 10_000 + number) for number in range(10)]
    sent = 0
    while not a.busy:
        bus.publish(a.subjects.all, forged[sent % len(forged)])
        sent += 1
    assert MAX_WORK - 10 <= sent <= MAX_WORK
    assert a.errors["forged_origin"] == sent
    bus.run(1.5)
    assert not a.busy
    assert bus.sees("a") == {"b"}


def test_another_version_of_the_protocol_is_refused() -> None:
    """It is shown, and nothing of it is taken."""
    bus = FakeBus("a", "b")
    a = bus["a"].core
    bus.settle()
    hello = Hello(7, 9, "test", "b", 1, "", (), 0.0, ())
    fields = inner(hello, Kind.REPLY)
    bus.publish(a.subjects.node("a"), parcel(bus, "b", "b", 10_000, "a", **fields._asdict()))
    assert a.errors["version"] == 1
    bus.run(0.3)
    assert bus.sees("a") == set()


def test_messages_of_the_cluster_are_taken_where_they_belong() -> None:
    """A sign of life counts as one only where signs are: each place has its own memory of numbers."""
    bus = FakeBus("a", "b")
    bus.settle()
    a = bus["a"].core
    here = inner(Here(1, 1000, bytes(8), {}))
    bus.publish(a.subjects.all, parcel(bus, "b", "b", 10_000, **here._asdict()))
    part = inner(Part(1, 0, 1, b"x"))
    bus.publish(a.subjects.here, parcel(bus, "b", "b", 10_001, **part._asdict()))
    hello = inner(Hello(1, 1, "test", "b", 1, "", (), 0.0, ()))
    bus.publish(a.subjects.all, parcel(bus, "b", "b", 10_002, **hello._asdict()))
    assert a.errors["wrong_subject"] == 3


def test_our_own_name_from_elsewhere_is_counted() -> None:
    """Two nodes with one identity are an operator's mistake, which is shown."""
    bus = FakeBus("a", "b")
    bus.settle()
    a = bus["a"].core
    bus.publish(a.subjects.all, parcel(bus, "a", "a", 10_000))
    assert a.errors["own_name"] == 1


def test_payloads_are_messages_without_length() -> None:
    """As they are in a frame behind its length."""
    message = Routed(1, b"body", b"signature")
    assert read(packed(message)) == message
