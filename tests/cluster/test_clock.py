"""Clock: stamps grow, follow what was seen, and are not dragged into the future."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.cluster.clock import COUNTER_BITS, MAX_AHEAD, Clock
from shield.errors import RemoteError

WALL = 1_700_000_000.0


def test_a_stamp_holds_the_milliseconds_of_the_wall_clock() -> None:
    """Whoever reads a stamp knows about when it was given."""
    assert Clock().next(WALL) >> COUNTER_BITS == 1_700_000_000_000


@given(st.lists(st.floats(-MAX_AHEAD / 2 + 1, MAX_AHEAD / 2 - 1)))
def test_stamps_grow_while_the_clock_is_moved_by_hours(moves: list[float]) -> None:
    """Setting the clock back does not make a node lose against its own earlier writes."""
    clock = Clock()
    stamps = [clock.next(WALL + move) for move in moves]
    assert stamps == sorted(set(stamps))


def test_many_writes_in_one_millisecond_stay_in_order() -> None:
    """The counter borrows from the milliseconds that follow."""
    clock = Clock()
    stamps = [clock.next(WALL) for _ in range(200_000)]
    assert stamps == sorted(set(stamps))


def test_an_answer_wins_against_a_clock_that_is_hours_ahead() -> None:
    """What was seen is earlier than what is written next."""
    ahead, behind = Clock(), Clock()
    stamp = ahead.next(WALL + 5 * 3600)
    behind.observe(stamp, WALL)
    assert behind.next(WALL) > stamp


def test_a_stamp_from_a_distant_future_is_refused_and_leaves_no_trace() -> None:
    """It would win for ever, and every node's clock would follow."""
    clock = Clock()
    with pytest.raises(RemoteError, match="future_stamp"):
        clock.observe(Clock().next(WALL + MAX_AHEAD + 60), WALL)
    assert clock.last == 0
    clock.observe(Clock().next(WALL + MAX_AHEAD - 60), WALL)


def test_a_node_whose_clock_was_years_ahead_is_heard_again_when_it_is_right() -> None:
    """Counting on from its wrong stamps would make everybody refuse what it writes."""
    clock = Clock()
    clock.restore(Clock().next(WALL + 10 * 365 * 86400))
    stamp = clock.next(WALL)
    Clock().observe(stamp, WALL)
    assert clock.next(WALL) > stamp
