"""DecisionCache: bounded, evicts what ends soonest, expires in portions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.blocklist import cache as module
from shield.blocklist.cache import DecisionCache
from shield.blocklist.decision import Decision
from shield.detect.alert import Proof
from shield.net import Network


def ban(n: int, until: float) -> Decision:
    network = Network.host(n.to_bytes(4, "big"))
    return Decision(network, "x", "node-a", Proof.PROVEN, 0.0, until, 1.0, f"id-{n}")


def number(decision: Decision) -> int:
    return int.from_bytes(decision.network.address, "big")


def test_a_full_cache_evicts_what_ends_soonest() -> None:
    """And refuses what would itself end soonest."""
    cache = DecisionCache(2)
    assert cache.put(ban(1, 100)) == []
    assert cache.put(ban(2, 200)) == []
    assert cache.put(ban(3, 100)) is None
    assert cache.put(ban(3, 150)) == [ban(1, 100)]
    assert sorted(number(d) for d in cache.values()) == [2, 3]


def test_extending_in_a_full_cache_evicts_nothing() -> None:
    """The later end then protects it from eviction."""
    cache = DecisionCache(2)
    cache.put(ban(1, 100))
    cache.put(ban(2, 200))
    assert cache.put(ban(1, 900)) == []
    assert cache.put(ban(3, 300)) == [ban(2, 200)]


def test_a_cache_of_size_zero_takes_nothing() -> None:
    """An operator may switch unproven bans off."""
    cache = DecisionCache(0)
    assert cache.put(ban(1, 100)) is None
    assert cache.soonest() is None
    with pytest.raises(KeyError, match="empty"):
        cache.popitem()


def test_expiry_comes_in_portions() -> None:
    """No call looks at more entries than its limit, also if they were extended."""
    cache = DecisionCache(100)
    for n in range(10):
        cache.put(ban(n, 50))
    cache.put(ban(0, 500))
    assert len(list(cache.pop_expired(50, 4))) == 3
    assert len(list(cache.pop_expired(49, 100))) == 0
    assert len(list(cache.pop_expired(50, 100))) == 6
    assert cache.soonest() == 500


def test_live_leaves_out_what_has_ended_and_survives_changes() -> None:
    """A list is shown while bans come and go."""
    cache = DecisionCache(10)
    for n in range(4):
        cache.put(ban(n, 10 * n + 5))
    seen = []
    for decision in cache.live(10):
        seen.append(number(decision))
        cache.discard(ban(2, 0).network)
    assert seen == [1, 3]


def test_bans_that_come_and_go_leave_no_growing_heap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unbanned entries stay in the heap only until half of it is stale."""
    monkeypatch.setattr(module, "STALE_SLACK", 8)
    cache = DecisionCache(1000)
    cache.put(ban(7, 1))
    for n in range(10_000):
        cache.put(ban(1, 1000 + n))
        cache.discard(ban(1, 0).network)
    assert len(cache._order) < 20
    assert cache.soonest() == 1


PUTS = st.tuples(st.integers(0, 9), st.integers(1, 50))


@given(steps=st.lists(PUTS | st.integers(0, 9)), size=st.integers(1, 5), now=st.integers(0, 50))
def test_any_steps_agree_with_a_dict(steps: list[tuple[int, int] | int], size: int, now: int) -> None:
    """Puts (also of earlier ends) and discards; then the soonest end and what expires."""
    cache, model = DecisionCache(size), dict[int, float]()
    for step in steps:
        if isinstance(step, int):
            found = cache.discard(ban(step, 0).network)
            assert (None if found is None else found.until) == model.pop(step, None)
            continue
        n, until = step
        evicted = cache.put(ban(n, until))
        if n not in model and len(model) >= size:
            soonest = min(model.values())
            assert (evicted is None) == (until <= soonest)
            if evicted is None:
                continue
            (victim,) = evicted
            assert model.pop(number(victim)) == victim.until == soonest
        else:
            assert evicted == []
        model[n] = until
    assert {number(d): d.until for d in cache.values()} == model
    assert cache.soonest() == min(model.values(), default=None)
    ended = [(number(d), d.until) for d in cache.pop_expired(now, 10_000)]
    assert sorted(ended) == sorted((n, u) for n, u in model.items() if u <= now)
