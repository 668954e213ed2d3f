"""Clock: stamps grow, are higher than what they answer, and are not dragged into the future."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shield.cluster.clock import COUNTER_BITS, MAX_AHEAD, Clock

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
    """What is answered is earlier than what is written; what comes after it is not dragged along."""
    behind = Clock()
    stamp = Clock().next(WALL + 5 * 3600)
    assert behind.next(WALL, stamp) == stamp + 1
    assert behind.next(WALL) == Clock().next(WALL) + 1


def test_a_stamp_from_a_distant_future_is_not_followed() -> None:
    """Everybody else would refuse the answer as well."""
    clock = Clock()
    assert clock.next(WALL, clock.horizon(WALL) + 1) == Clock().next(WALL)


def test_a_node_whose_clock_was_years_ahead_is_heard_again_when_it_is_right() -> None:
    """Counting on from its wrong stamps would make everybody refuse what it writes."""
    clock = Clock()
    clock.next(WALL + 10 * 365 * 86400)
    stamp = clock.next(WALL)
    assert stamp <= Clock().horizon(WALL)
    assert clock.next(WALL) > stamp
