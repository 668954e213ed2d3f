"""Partners: in a large cluster a difference is looked for where it is, at a cost that is bounded."""

from __future__ import annotations

from collections import Counter

from shield.cluster.capability import Incoming, Outlet
from shield.cluster.member import Member
from shield.cluster.partners import ASKED, SMALL, TURN, asks_for_all, own_differs
from shield.cluster.replicated import ReplicatedMap
from shield.cluster.sync import Sync
from shield.wire import unpack_value
from tests.cluster.fakebus import FakeBus
from tests.cluster.fakenet import WALL

NAMES = [f"n{number}" for number in range(40)]


class Shared:
    """A capability with a map, for a node of the bus."""

    name = "map"

    def __init__(self, bus: FakeBus, name: str) -> None:
        self.bus = bus
        self.table = ReplicatedMap("map", name, b"secret " + name.encode())
        self.outlet: Outlet = bus[name].core.add(self)
        self.sync = Sync(self.table, self.outlet, lambda *_: None)

    def put(self, key: str) -> None:
        self.table.put(key.encode(), b"v", 3600.0, self.bus.now, WALL + self.bus.now)
        self.sync.push([key.encode()], self.bus.now)

    def receive(self, incoming: Incoming, now: float) -> None:
        self.sync.receive(incoming.sender, incoming.body, now, WALL + now)

    def member_changed(self, member: Member, now: float) -> None:
        pass

    def report(self, now: float) -> bytes:
        return self.sync.report(now)

    def reported(self, sender: str, report: bytes, now: float) -> None:
        self.sync.reported(sender, report, now)

    def tick(self, now: float) -> None:
        self.sync.tick(now)


def equal(maps: dict[str, Shared], length: int) -> bool:
    digests = {one.table.digest(0.0) for one in maps.values()}
    return len(digests) == 1 and all(len(one.table) == length for one in maps.values())


def questions(bus: FakeBus, since: int) -> Counter[str]:
    """What was asked for in messages of the map, by the first word."""
    found: Counter[str] = Counter()
    for _, payload in bus.published[since:]:
        frame = unpack_value(payload)
        if frame[0] == 7:
            parcel = unpack_value(frame[2])
            if parcel[4] == "map":
                found[parcel[7][0]] += 1
    return found


def test_what_one_node_missed_is_fetched_from_its_writer_only() -> None:
    """A push that was lost costs two nodes some messages, the other 38 nothing."""
    bus = FakeBus(*NAMES)
    bus.settle()
    maps = {name: Shared(bus, name) for name in NAMES}
    for name in NAMES:
        maps[name].put(f"key of {name}")
    bus.run(1)
    assert equal(maps, 40)
    bus.run(10)
    before = len(bus.published)
    receive, maps["n7"].receive = maps["n7"].receive, lambda _incoming, _now: None  # type: ignore[method-assign]
    maps["n3"].put("missed")
    bus.pump()
    maps["n7"].receive = receive  # type: ignore[method-assign]
    assert not equal(maps, 41)
    bus.run(6)
    assert equal(maps, 41)
    asked = questions(bus, before)
    assert asked["put"] == 1
    assert asked["pull"] <= 2
    assert asked["ask"] <= 3 * ASKED, "a few look around"


def test_a_node_that_comes_back_asks_each_writer_for_its_own() -> None:
    """And a few for records of those that are gone; nobody tells it what it has not asked for."""
    bus = FakeBus(*NAMES)
    bus.settle()
    maps = {name: Shared(bus, name) for name in NAMES}
    for name in NAMES:
        maps[name].put(f"key of {name}")
    bus.run(12)
    bus["n39"].stopped = True
    del bus.nodes["n39"], maps["n39"]
    bus.run(8)
    before = len(bus.published)
    bus["n0"].start()
    maps["n0"] = Shared(bus, "n0")
    bus.run(60)
    assert equal(maps, 40), "its own key, and that of the one that is gone, too"
    asked = questions(bus, before)
    assert asked["origins"] <= 20 * ASKED
    assert asked["chunk"] <= 2 * 2 * 40


def test_in_a_small_cluster_everybody_is_asked() -> None:
    """As it was: a full mesh of a few nodes has the traffic for it."""
    assert all(asks_for_all("a", f"n{number}", SMALL, 0.0) for number in range(SMALL))


def test_in_a_large_one_a_few_are_and_all_in_time() -> None:
    """Whom, changes; nobody is left out for ever."""
    names = [f"n{number}" for number in range(500)]
    asked: set[str] = set()
    for turn in range(1000):
        now = [name for name in names if asks_for_all("a", name, len(names), turn * TURN)]
        assert len(now) < 20
        asked.update(now)
    assert asked == set(names)


def test_what_cannot_be_made_equal_is_no_difference() -> None:
    """An origin that was put out; a node that does not tell its own digest may have anything."""
    table = ReplicatedMap("map", "a", b"secret")
    assert own_differs(table, "b", 5, 0.0)
    assert own_differs(table, "b", None, 0.0)
    assert not own_differs(table, "b", 0, 0.0)
    table.forget("b")
    assert not own_differs(table, "b", 5, 0.0)
