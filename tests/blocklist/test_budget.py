"""The ban budget: what a mad node may cause, and what it must not keep a good one from."""

from __future__ import annotations

import pytest

from shield.blocklist.budget import CATCH_UP, Budget
from shield.blocklist.owners import Owners
from shield.blocklist.sharing_settings import SharingSettings
from shield.net import Network

NOW = 1000.0
SETTINGS = SharingSettings(
    rate=2, burst=10, max_bans=40, max_networks=2, unproven_rate=1, unproven_burst=3, max_unproven=8
)


class Bench:
    """A budget, and the owners that a blocklist would keep."""

    def __init__(self) -> None:
        self.owners = Owners(["here"])
        self.budget = Budget(SETTINGS, self.owners)
        self.made = 0

    def ban(self, count: int, now: float, origin: str = "a", *, proven: bool = True) -> int:
        """Try to ban fresh hosts; returns how many were let."""
        let = 0
        for _ in range(count):
            self.made += 1
            network = Network.host(self.made.to_bytes(4, "big"))
            if self.budget.take(origin, network, now, proven=proven):
                self.owners.begin(network, origin, proven=proven)
                let += 1
        return let

    def free(self) -> None:
        for number in range(1, self.made + 1):
            self.owners.end(Network.host(number.to_bytes(4, "big")))


def test_at_once_the_burst_then_the_rate() -> None:
    """Of a node whose map is equal to ours; another node has its own budget."""
    bench = Bench()
    bench.budget.in_sight("a", NOW)
    bench.budget.settle(NOW)
    assert bench.ban(100, NOW) == 10
    assert bench.ban(100, NOW) == 0
    assert bench.ban(100, NOW + 3) == 6
    assert bench.ban(100, NOW + 1000) == 10
    assert bench.ban(5, NOW + 1000, "b") == 5


def test_unproven_bans_have_a_budget_of_their_own() -> None:
    """Neither grade uses up what the other may have, at once, for long, and live."""
    bench = Bench()
    bench.budget.in_sight("a", NOW)
    bench.budget.settle(NOW)
    assert bench.ban(100, NOW, proven=False) == 3
    assert bench.ban(100, NOW) == 10
    assert bench.ban(100, NOW + 2, proven=False) == 2
    assert bench.ban(100, NOW + 9, proven=False) == 3
    assert bench.ban(100, NOW + 99, proven=False) == 0, "eight are live"
    assert bench.ban(100, NOW + 99) == 10


def test_live_bans_are_limited_whatever_the_tokens_say() -> None:
    """A ban that ends makes room; a renewal of a live one needs none."""
    bench = Bench()
    assert bench.ban(100, NOW) == 40
    first = Network.host((1).to_bytes(4, "big"))
    bench.budget.settle(NOW)
    assert bench.ban(1, NOW + 100) == 0
    assert bench.budget.take("a", first, NOW + 100)
    bench.owners.end(first)
    assert bench.ban(2, NOW + 100) == 1


def test_networks_have_a_limit_of_their_own() -> None:
    """Each of them holds many addresses."""
    bench = Bench()
    networks = [Network(bytes([10, n, 0, 0]), 16) for n in range(3)]
    let = []
    for network in networks:
        let.append(bench.budget.take("a", network, NOW))
        bench.owners.begin(network, "a") if let[-1] else None
    assert let == [True, True, False]
    assert bench.ban(1, NOW) == 1


def test_what_was_decided_out_of_sight_comes_at_once() -> None:
    """After a start, and after a partition; when it is caught up the burst counts again."""
    bench = Bench()
    bench.budget.in_sight("a", NOW)
    assert bench.ban(30, NOW) == 30
    bench.free()
    bench.budget.settle(NOW)
    bench.budget.out_of_sight("a")
    bench.budget.in_sight("a", NOW + 1000)
    assert bench.ban(100, NOW + 1000) == 40
    bench.free()
    assert bench.ban(100, NOW + 1000 + CATCH_UP + 1) == 10


def test_a_node_out_of_sight_does_not_settle() -> None:
    """What it decides meanwhile is not known yet."""
    bench = Bench()
    bench.ban(1, NOW)
    bench.budget.out_of_sight("a")
    bench.budget.settle(NOW)
    assert bench.ban(100, NOW + 5) == 39


def test_a_forgotten_node_begins_anew() -> None:
    """And to forget an unknown one is no harm."""
    bench = Bench()
    bench.budget.forget("a")
    bench.budget.out_of_sight("a")
    assert bench.ban(100, NOW) == 40
    bench.free()
    assert bench.ban(100, NOW) == 0
    bench.budget.forget("a")
    assert bench.ban(100, NOW) == 40


@pytest.mark.parametrize("back", [0.0, -50.0])
def test_time_that_stands_still_gives_nothing(back: float) -> None:
    """Nor does one that goes back."""
    bench = Bench()
    bench.budget.in_sight("a", NOW)
    bench.budget.settle(NOW)
    bench.ban(10, NOW)
    assert bench.ban(1, NOW + back) == 0
