"""Bridges between the maps of clusters: everything arrives once, nothing runs in circles."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import pytest

from shield.blocklist.bridge import Bank, Bridge
from shield.blocklist.decision import LIMIT, Decision, read_ports
from shield.blocklist.shared_record import (
    Passport,
    allow_key,
    allow_value,
    ban_key,
    ban_value,
    passport_of,
    read_ban,
    source_of,
    with_passport,
)
from shield.cluster.entry import Applied, Entry
from shield.cluster.replicated import ReplicatedMap
from shield.detect.alert import Proof
from shield.errors import RemoteError
from shield.net import Network

WALL = 1_700_000_000.0
HOUR = 3600.0


def decision(address: str) -> Decision:
    return Decision(
        Network.parse(address), "scan", "n", Proof.PROVEN, WALL, 100.0, HOUR, "n-1", "8 of 8"
    )


class Town:
    """One cluster: the maps of its members, which hear of each other's writes at once."""

    def __init__(self, world: World, name: str, *members: str) -> None:
        self.world, self.name = world, name
        self.maps = {member: ReplicatedMap("blocklist", member, member.encode()) for member in members}

    def put(self, member: str, address: str) -> bytes:
        key, table = ban_key(Network.parse(address)), self.maps[member]
        made = table.put(key, ban_value(decision(address)), HOUR, self.world.now, self.world.wall)
        assert made is not None
        self.spread(member, [(key, made, None)])
        return key

    def remove(self, member: str, key: bytes) -> None:
        entry = self.maps[member].remove(key, self.world.now, self.world.wall)
        if entry is not None:
            self.spread(member, [(key, entry, None)])

    def spread(self, member: str, applied: list[Applied]) -> None:
        for key, entry, _ in applied:
            remaining = round((entry.until - self.world.now) * 1000)
            record = (key, entry.stamp, remaining, entry.value, entry.seal)
            for other, table in self.maps.items():
                if other != member:
                    table.merge(member, record, self.world.now, self.world.wall)

    def bank(self, member: str) -> Bank:
        return Bank(self.name, self.maps[member], lambda applied, _now: self.spread(member, applied))

    def live(self) -> dict[bytes, int]:
        """Keys and stamps of what is banned, which must be the same on all members."""
        found = [
            {key: entry.stamp for key, entry in table.entries(self.world.now)}
            for table in self.maps.values()
        ]
        assert all(one == found[0] for one in found)
        return found[0]


class World:
    """Clusters and the bridges between them."""

    def __init__(self, *names: str) -> None:
        self.now, self.bridges = 100.0, list[Bridge]()
        self.towns = {name: Town(self, name, f"{name}1", f"{name}2", f"{name}3") for name in names}

    def __getitem__(self, name: str) -> Town:
        return self.towns[name]

    @property
    def wall(self) -> float:
        return WALL + self.now

    def bridge(self, left: str, right: str, number: int = 1) -> Bridge:
        """A node that is a member of both."""
        ends = [self[name].bank(f"{name}{number}") for name in (left, right)]
        bridge = Bridge(ends[0], ends[1], lambda: self.wall)
        bridge.set_active(active=True)
        self.bridges.append(bridge)
        return bridge

    def run(self, ticks: int = 10) -> None:
        for _ in range(ticks):
            self.now += 0.5
            for bridge in self.bridges:
                bridge.tick(self.now)

    def carried(self) -> int:
        return sum(stats.carried for bridge in self.bridges for stats in bridge.stats.values())


def test_bans_and_unbans_cross_in_both_directions() -> None:
    """With the name of who decided and where; an unban on the far side ends the ban on both."""
    world = World("east", "west")
    world.bridge("east", "west")
    key = world["east"].put("east2", "192.0.2.1")
    other = world["west"].put("west3", "192.0.2.2")
    world.run(2)
    assert set(world["east"].live()) == set(world["west"].live()) == {key, other}
    entry = world["west"].maps["west2"].get(key)
    assert entry is not None
    assert (entry.origin, source_of(key, entry)) == ("west1", "east2@east")
    read = read_ban(Network.parse("192.0.2.1"), entry.value or b"", entry.origin, 0.0)
    assert (read.origin, read.scenario, read.reason) == ("east2@east", "scan", "8 of 8")
    world["west"].remove("west2", key)
    world.run(2)
    assert set(world["east"].live()) == {other}
    before = world.carried()
    world.run(20)
    assert world.carried() == before, "nothing more happens"


def test_a_ban_made_again_is_not_ended_by_the_old_unban() -> None:
    """The stamps of both clusters are one order: what is newer wins, however late the other comes."""
    world = World("east", "west")
    bridge = world.bridge("east", "west")
    key = world["east"].put("east2", "192.0.2.1")
    world.run(2)
    bridge.set_active(active=False)
    world["west"].remove("west2", key)
    world.run(2)
    world["east"].put("east3", "192.0.2.1")
    bridge.set_active(active=True)
    world.run(2)
    assert set(world["east"].live()) == set(world["west"].live()) == {key}


def test_what_happened_before_and_while_no_bridge_was_active_is_made_good() -> None:
    """The next bridge looks at everything once; what is known costs nothing."""
    world = World("east", "west")
    first, second = world.bridge("east", "west", 1), world.bridge("east", "west", 2)
    second.set_active(active=False)
    keys = {world["east"].put("east3", f"192.0.2.{number}") for number in range(1, 60)}
    world.run(2)
    first.set_active(active=False)
    gone = sorted(keys)[:10]
    for key in gone:
        world["east"].remove("east3", key)
    fresh = world["east"].put("east3", "198.51.100.1")
    second.set_active(active=True)
    world.run(6)
    assert set(world["west"].live()) == (keys | {fresh}) - set(gone)
    assert second.stats["west"].carried == 11
    assert first.left.records.fresh is None, "an idle bridge keeps nothing"


def test_two_bridges_at_once_make_no_loop() -> None:
    """As for a moment while one takes over from the other: each write enters each cluster once."""
    world = World("east", "west")
    world.bridge("east", "west", 1)
    world.bridge("east", "west", 2)
    key = world["east"].put("east3", "192.0.2.1")
    world.run(20)
    assert world.carried() == 1
    world["west"].remove("west3", key)
    world.run(20)
    assert world["east"].live() == {}
    assert world.carried() == 2


def test_a_ring_of_three_ends_where_it_began() -> None:
    """Two ways lead to each cluster; the ban comes by one of them, and does not come home again."""
    world = World("east", "north", "west")
    for left, right in (("east", "north"), ("north", "west"), ("west", "east")):
        world.bridge(left, right)
    key = world["east"].put("east2", "192.0.2.1")
    world.run(20)
    assert all(set(town.live()) == {key} for town in world.towns.values())
    assert world.carried() == 2
    entry = world["east"].maps["east1"].get(key)
    assert entry is not None
    assert entry.origin == "east2"
    world["north"].remove("north3", key)
    world.run(20)
    assert not any(town.live() for town in world.towns.values())
    assert world.carried() == 4


def test_nothing_goes_further_than_a_few_clusters() -> None:
    """A chain of seven: the note of where a record has been stays short."""
    names = [f"town{number}" for number in range(7)]
    world = World(*names)
    for left, right in pairwise(names):
        world.bridge(left, right)
    key = world["town0"].put("town02", "192.0.2.1")
    world.run(20)
    assert [key in world[name].live() for name in names] == [True] * 5 + [False] * 2


def test_who_was_put_out_takes_its_bans_along() -> None:
    """Those of a revoked node end in the other cluster too, and no others."""
    world = World("east", "west")
    bridge = world.bridge("east", "west")
    key = world["east"].put("east2", "192.0.2.1")
    kept = world["east"].put("east3", "192.0.2.2")
    world.run(2)
    for table in world["east"].maps.values():
        table.forget("east2")
    bridge.withdraw("east2", "east")
    bridge.again()
    world.run(6)
    assert set(world["west"].live()) == set(world["east"].live()) == {kept}
    assert key not in world["west"].live()


def test_votes_unproven_bans_and_ended_ones_stay() -> None:
    """They mean nothing elsewhere; allowlist entries travel."""
    world = World("east", "west")
    world.bridge("east", "west")
    table = world["east"].maps["east1"]
    for key in (b"v\x20\x04\xc0\x00\x02\x01east1", b"u\x20\xc0\x00\x02\x01"):
        table.put(key, ban_value(decision("192.0.2.1")), HOUR, world.now, world.wall)
    table.put(
        ban_key(Network.parse("192.0.2.9")), ban_value(decision("192.0.2.9")), 0.2, world.now, world.wall
    )
    allowed = allow_key("192.0.2.7")
    table.put(allowed, allow_value("us", WALL, endless=True), HOUR, world.now, world.wall)
    table.put(ban_key(Network.parse("192.0.2.8")), b"\x90", HOUR, world.now, world.wall)
    world.run(3)
    entry = world["west"].maps["west2"].get(allowed)
    assert entry is not None
    assert source_of(allowed, entry) == "east1@east"
    assert set(world["west"].live()) == {allowed}
    assert world.bridges[0].stats["west"].refused >= 1
    assert world.bridges[0].as_json()["into"]["west"]["carried"] == 1


@pytest.mark.parametrize(
    "passport",
    [
        (),
        ("a", ()),
        ("a@b", ()),
        ("a@b@c", ("x",)),
        ("a@b", ("x",) * 5),
        ("A@b", ("x",)),
        ("a@b", (1,)),
    ],
)
def test_a_passport_that_makes_no_sense_is_none(passport: Any) -> None:
    """The ban is then one of the node that wrote it."""
    key, value = ban_key(Network.parse("192.0.2.1")), ban_value(decision("192.0.2.1"))
    odd = with_passport(key, value, passport)
    assert passport_of(key, odd) is None
    entry = Entry(1, "n1", 100.0, odd, 0)
    assert source_of(key, entry) == "n1"
    assert read_ban(Network.parse("192.0.2.1"), odd, "n1", 0.0).origin == "n1"
    assert source_of(key, entry._replace(value=b"\xc1")) == "n1"
    with pytest.raises(RemoteError):
        with_passport(key, b"\x90", Passport("a@b", ("b",)))


@pytest.mark.parametrize("seed", range(30))
def test_any_clusters_and_bridges_become_equal_and_calm(seed: int) -> None:
    """Random bans and unbans, bridges that come and go, two at a time: afterwards all say the same."""
    random = Random(seed)
    world = World("east", "north", "west")
    pairs = [("east", "north"), ("north", "west"), ("west", "east")][: random.choice([2, 3])]
    for left, right in pairs:
        for number in (1, 2):
            world.bridge(left, right, number)
    keys: list[bytes] = []
    for _ in range(60):
        town = random.choice([*world.towns.values()])
        member = random.choice([*town.maps])
        if keys and random.random() < 0.4:
            town.remove(member, random.choice(keys))
        else:
            keys.append(town.put(member, f"192.0.2.{random.randrange(20)}"))
        if random.random() < 0.3:
            bridge = random.choice(world.bridges)
            bridge.set_active(active=not bridge.active)
        world.run(random.randrange(3))
    for bridge in world.bridges:
        bridge.set_active(active=True)
    world.run(10)
    lives = [set(town.live()) for town in world.towns.values()]
    assert lives[0] == lives[1] == lives[2]
    calm = world.carried()
    world.run(20)
    assert world.carried() == calm


def test_a_limit_is_carried_as_one() -> None:
    """With the ports that are dropped; the passport is behind them."""
    ports = read_ports("udp/40001")
    limit = decision("192.0.2.1")._replace(type=LIMIT, ports=ports)
    key = ban_key(limit.network)
    value = with_passport(key, ban_value(limit), Passport("n2@east", ("east",)))
    read = read_ban(limit.network, value, "n1", 0.0)
    assert (read.type, read.ports, read.origin) == (LIMIT, ports, "n2@east")
    again = with_passport(key, value, Passport("n2@east", ("east", "west")))
    assert passport_of(key, again) == Passport("n2@east", ("east", "west"))
