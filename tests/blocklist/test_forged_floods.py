"""ForgedFloods: many accused addresses with a message each, within some seconds."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from shield.blocklist.allowlist import Allowlist, AllowlistSettings
from shield.blocklist.forged_floods import MAX_FLOODS, ForgedFloods
from shield.blocklist.policy import Policy
from shield.blocklist.policy_settings import PolicySettings
from shield.net import Network

START = 1000.0


def floods(**settings: float) -> ForgedFloods:
    return ForgedFloods(
        Policy(PolicySettings(**settings), Allowlist(AllowlistSettings()), "here")  # type: ignore[arg-type]
    )


def host(number: int) -> Network:
    return Network.host(number.to_bytes(4, "big"))


@given(seed=st.integers(0, 999), shift=st.floats(0, 10))
def test_a_burst_is_noticed_in_any_order_and_wherever_it_falls(seed: int, shift: float) -> None:
    """Nine sources in half of hold_time; all that were heard before are named, once."""
    watch, order = floods(), list(range(9))
    random.Random(seed).shuffle(order)
    caught = [watch.note("scan", host(n), START + shift + n * 0.6, 1) for n in order]
    assert [len(one) for one in caught] == [0] * 8 + [9]
    assert watch.flooded("scan", START + shift + 2, 1)
    assert watch.seen == 1
    watch.tick(START + shift + 59)
    assert watch.going_on() == ["scan"]
    watch.tick(START + shift + 66)
    assert watch.going_on() == []


def test_few_slow_loud_or_different_ones_are_no_flood() -> None:
    """Eight at once, one source again and again, one each two seconds, with many messages."""
    watch = floods()
    for n in range(8):
        assert not watch.note("eight", host(n), START, 1)
    for _ in range(50):
        assert not watch.note("one", host(1), START, 1)
    for n in range(50):
        assert not watch.note("slow", host(n), START + 2 * n, 1)
        assert not watch.note("loud", host(n), START, 6)
        assert not watch.note(f"rule {n}", host(n), START, 1)
    assert watch.going_on() == []


def test_a_flood_ends_and_spares_what_was_decided_outside_of_it() -> None:
    """flood_time after its last source; who sends much is spared at any time."""
    watch = floods(flood_sources=2, flood_time=60)
    for n in range(3):
        watch.note("scan", host(n), START, 1)
    assert watch.flooded("scan", START + 59, 1)
    assert not watch.flooded("scan", START + 61, 1)
    assert not watch.flooded("scan", START - 20, 1)
    assert not watch.flooded("scan", START, 6)
    assert not watch.flooded("other", START, 1)
    for n in range(3):
        watch.note("scan", host(n), START + 50, 1)
    assert (watch.flooded("scan", START + 100, 1), watch.seen) == (True, 1)


def test_what_is_remembered_is_bounded() -> None:
    """A node may invent names of scenarios without end."""
    watch = floods(flood_sources=1)
    for n in range(10_000):
        watch.note(f"rule {n}", host(1), START, 1)
        watch.note(f"rule {n}", host(2), START, 1)
    assert len(watch.going_on()) == MAX_FLOODS
    assert len(watch._slots) <= 4096
