"""shield.detect.window: sliding windows, distinct values and leaky buckets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.detect.window import Bucket, Score, Window


def put(
    counter: Window | Bucket, key: object, time: float, *, proven: bool = False, limit: int = 5
) -> tuple[int, int]:
    """Count in a window of 10 s."""
    return counter.add(hash(key), time, proven=proven, limit=limit, find_time=10.0)


# Window


def test_distinct_keys_are_counted_once() -> None:
    """The same user asked again is no further user."""
    window = Window()
    assert [put(window, key, 1.0)[0] for key in ("a", "b", "a", "c")] == [1, 2, 2, 3]
    assert window.total == 4


def test_keys_leave_after_find_time() -> None:
    """Exactly find_time ago still counts, a moment more does not."""
    window = Window()
    put(window, "a", 0.0)
    put(window, "b", 5.0)
    assert put(window, "c", 10.0) == (3, 0)
    assert put(window, "d", 10.1) == (3, 0)
    assert window.count(15.0, 10.0) == 3
    assert window.count(15.1, 10.0) == 2
    assert window.count(100.0, 10.0) == 0


def test_a_key_seen_again_stays() -> None:
    """Its time is the latest one."""
    window = Window()
    put(window, "a", 0.0)
    put(window, "b", 1.0)
    put(window, "a", 8.0)
    assert put(window, "c", 12.0) == (2, 0)


def test_no_more_than_the_limit_is_kept() -> None:
    """To know whether N happened in time the last N are enough."""
    window = Window()
    assert [put(window, key, 1.0, limit=3)[0] for key in range(6)] == [1, 2, 3, 3, 3, 3]


def test_slow_things_never_reach_the_limit() -> None:
    """One each find_time / 2 is at most three in a window of any place."""
    window = Window()
    assert max(put(window, key, key * 5.0)[0] for key in range(50)) == 3


def test_proven_keys_are_counted_apart() -> None:
    """A proven alert must not rest on forged evidence: both numbers are given."""
    window = Window()
    assert put(window, "a", 1.0) == (1, 0)
    assert put(window, "b", 1.0, proven=True) == (2, 1)
    assert put(window, "c", 1.0) == (3, 1)
    assert put(window, "a", 2.0, proven=True) == (3, 2)
    assert put(window, "d", 11.5) == (2, 1)


def test_a_flood_of_unproven_keys_does_not_push_out_the_proven() -> None:
    """Who forges an address cannot hide what was proven of its owner."""
    window = Window()
    put(window, "p", 1.0, proven=True)
    for key in range(20):
        result = put(window, key, 2.0)
    assert result == (5, 1)


def test_forgiven_keys_do_not_count() -> None:
    """A wrong password that was followed by the right one; unknown keys are no error."""
    window = Window()
    put(window, "a", 1.0, proven=True)
    put(window, "b", 1.0)
    window.forgive(hash("a"))
    window.forgive(hash("b"))
    window.forgive(hash("never seen"))
    assert put(window, "c", 1.0, proven=True) == (1, 1)
    fresh = Window()
    fresh.forgive(hash("a"))
    assert fresh.count(1.0, 10.0) == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 4), st.booleans()), max_size=80))
def test_the_window_is_exact(things: list[tuple[int, float, bool]]) -> None:
    """Equal to counting distinct keys of the last find_time in a full list, up to the limit."""
    window, now, seen = Window(), 0.0, []
    for key, gap, proven in things:
        now += gap
        seen.append((key, now, proven))
        recent = [(k, p) for k, then, p in seen if now - then <= 10.0]
        found = window.add(key, now, proven=proven, limit=6, find_time=10.0)
        assert found[0] == min(6, len({k for k, _ in recent}))
        assert found[1] == min(6, len({k for k, p in recent if p}))


# Bucket


def test_a_burst_fills_the_bucket() -> None:
    """Things at the same time add up; the level stops at the limit."""
    bucket = Bucket()
    assert [put(bucket, None, 1.0)[0] for _ in range(7)] == [1, 2, 3, 4, 5, 5, 5]
    assert bucket.total == 7


def test_the_bucket_leaks_its_limit_per_find_time() -> None:
    """5 per 10 s: one drop leaves every two seconds."""
    bucket = Bucket()
    for _ in range(4):
        put(bucket, None, 1.0)
    assert put(bucket, None, 5.0) == (3, 0)
    assert put(bucket, None, 1_000.0) == (1, 0)


def test_a_steady_rate_below_the_limit_never_fills_it() -> None:
    """What comes as fast as it leaks stays; twice as fast fills."""
    slow, fast = Bucket(), Bucket()
    assert max(put(slow, None, 1.0 + 2.0 * step)[0] for step in range(200)) == 1
    assert max(put(fast, None, 1.0 + 1.0 * step)[0] for step in range(200)) >= 4


def test_proven_drops_are_counted_apart() -> None:
    """Both levels leak; the proven one is never above the other."""
    bucket = Bucket()
    put(bucket, None, 1.0)
    assert put(bucket, None, 1.0, proven=True) == (2, 1)
    assert put(bucket, None, 1.0, proven=True) == (3, 2)
    assert put(bucket, None, 5.0) == (2, 0)


def test_a_success_lets_one_drop_out_of_both() -> None:
    """Else a proven alert could come before the level is reached at all."""
    bucket = Bucket()
    for _ in range(4):
        put(bucket, None, 1.0, proven=True)
    bucket.forgive(1)
    assert bucket.count(1.0, 10.0) == 3
    assert put(bucket, None, 1.0, proven=True) == (4, 4)


def test_forgiving_an_empty_bucket_gives_no_credit() -> None:
    """Levels do not fall below zero."""
    bucket = Bucket()
    bucket.forgive(1)
    assert put(bucket, None, 1.0, proven=True) == (1, 1)


def test_time_that_goes_back_leaks_nothing() -> None:
    """A late packet neither empties nor fills the bucket twice."""
    bucket = Bucket()
    put(bucket, None, 10.0)
    assert put(bucket, None, 4.0) == (2, 0)
    assert put(bucket, None, 10.0) == (3, 0)


@pytest.mark.parametrize("counter", [Window, Bucket])
def test_a_new_counter_may_alert_at_once(counter: type[Window | Bucket]) -> None:
    """Nothing is silenced before the first alert."""
    assert (counter().quiet_until, counter().total) == (0.0, 0)


def test_more_than_the_limit_is_remembered_for_tiers() -> None:
    """The count stops at the limit, what longer windows need is there."""
    window = Window()
    for key in range(8):
        found = window.add(key, float(key), proven=key > 3, limit=3, find_time=2.0, keep=6)
    assert found == (3, 3)
    assert (window.kept, window.count(7.0, 100.0), window.proven(7.0, 100.0)) == (6, 6, 4)
    assert Window().proven(1.0, 1.0) == 0


# Score


def test_a_score_halves() -> None:
    """Eight at once are one after three half-lives, and the new one."""
    score = Score()
    for _ in range(8):
        put(score, None, 1.0, proven=True, limit=50)
    assert put(score, None, 31.0, limit=50) == (2, 1)


def test_steady_things_add_up_to_their_sum_and_no_further() -> None:
    """One each half-life comes to two and not beyond, ten in a half-life to fourteen."""
    slow, fast = Score(), Score()
    assert max(put(slow, None, 1.0 + 10.0 * step, limit=50)[0] for step in range(100)) == 2
    assert max(put(fast, None, 1.0 + step, limit=50)[0] for step in range(100)) == 14
