"""shield.detect.counters: one thing in little memory counts as a real counter would."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from shield.detect.counters import MAX_COUNTERS, Counters, forgive, opened, real, single
from shield.detect.window import Window

FIND_TIME = 10.0
LIMIT = 4


class Source:
    """Counts as the engine does: alone as long as possible, then in windows."""

    def __init__(self) -> None:
        self.counters: Counters = None

    def count(
        self, key: int, thing: int | None, time: float, *, proven: bool = False
    ) -> tuple[int, int]:
        """Count one thing."""
        if not proven:
            alone = single(self.counters, key, thing, time)
            if alone is not None:
                self.counters = alone
                return 1, 0
        self.counters = held = opened(self.counters)
        held[key] = counter = real(held[key]) if key in held else Window()
        return _add(counter, thing, time, proven=proven)  # type: ignore[arg-type]


def _add(window: Window, thing: int | None, time: float, *, proven: bool) -> tuple[int, int]:
    number = window.total if thing is None else thing
    return window.add(number, time, proven=proven, limit=LIMIT, find_time=FIND_TIME)


THINGS = st.tuples(
    st.sampled_from([hash("rule"), -5, 2**63 - 1]),
    st.sampled_from([None, hash(b"100"), hash(b"101"), -(2**63)]),
    st.floats(0, 6),
    st.booleans(),
    st.sampled_from([False, False, True]),
)


@given(st.lists(THINGS, max_size=30))
def test_it_counts_as_windows_do(things: list[tuple[int, int | None, float, bool, bool]]) -> None:
    """Same numbers at every step as with a window for each key, also when a thing is forgiven."""
    source, windows, now = Source(), {}, 0.0
    for key, thing, gap, proven, forgiven in things:
        now += gap
        window = windows.setdefault(key, Window())
        assert source.count(key, thing, now, proven=proven) == _add(window, thing, now, proven=proven)
        if forgiven and thing is not None and source.counters is not None:
            source.counters = forgive(source.counters, key, thing)
            window.forgive(thing)
            if source.counters is None:  # nothing is left, so nothing is remembered
                windows.clear()


def test_one_thing_takes_little_memory() -> None:
    """Forged addresses come by the million: 65 bytes, and no object besides."""
    source = Source()
    source.count(1, 2, 3.0)
    source.count(1, 2, 4.0)
    assert sys.getsizeof(source.counters) <= 65


def test_opened_counters_know_how_often_something_was_counted() -> None:
    """A fingerprint is reported again at its third message, whatever it was held in before."""
    source = Source()
    for time in (1.0, 2.0, 3.0):
        source.count(1, 2, time)
    (held,) = opened(source.counters).values()
    window = real(held)
    assert (window.total, window.count(3.0, FIND_TIME)) == (3, 1)


def test_only_what_was_counted_is_forgiven() -> None:
    """Another user of the same rule, or the same user of another rule, stays."""
    source = Source()
    source.count(1, 2, 3.0)
    assert source.counters is not None
    assert forgive(source.counters, 1, 3) == source.counters
    assert forgive(source.counters, 2, 2) == source.counters
    assert forgive(source.counters, 1, 2) is None
    assert forgive({}, 1, 2) == {}


def test_several_rules_that_counted_one_thing_stay_small() -> None:
    """Each keeps its 65 bytes; only the one with a second thing gets a window."""
    source = Source()
    for key in (1, 2, 3):
        source.count(key, 7, 3.0)
    assert source.count(2, 8, 4.0) == (2, 0)
    kinds = {key: isinstance(held, bytes) for key, held in opened(source.counters).items()}
    assert kinds == {1: True, 2: False, 3: True}
    assert forgive(opened(source.counters), 1, 7) == {
        k: v for k, v in opened(source.counters).items() if k > 1
    }


def test_there_are_no_more_than_so_many_counters() -> None:
    """The caller is told that there is no room."""
    counters: Counters = None
    for key in range(MAX_COUNTERS):
        counters = single(counters, key, 1, 1.0)
    assert len(opened(counters)) == MAX_COUNTERS
    assert single(counters, MAX_COUNTERS, 1, 1.0) is None
