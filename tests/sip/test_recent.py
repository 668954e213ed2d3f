"""shield.sip.recent: bounded memory of what happened lately."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shield.sip.recent import RecentMap


def test_an_entry_lives_for_one_to_two_periods() -> None:
    """After one rotation the entry is still found, after two it is gone."""
    table: RecentMap[str, int] = RecentMap(100, 10.0)
    table.tick(5.0)
    table.put("a", 1)
    table.tick(14.9)
    assert "a" in table.young
    table.tick(15.0)
    assert table.get("a") == 1
    assert "a" in table.old
    table.tick(25.0)
    assert table.get("a") is None
    assert table.dropped == 0


def test_the_first_tick_forgets_nothing() -> None:
    """The clock of a capture starts anywhere: the first time seen only starts the period."""
    table: RecentMap[str, int] = RecentMap(100, 10.0)
    table.put("a", 1)
    table.tick(1e9)
    assert "a" in table.young


def test_writing_makes_an_entry_young_again() -> None:
    """What is written once per period never disappears, and the newer value counts."""
    table: RecentMap[str, int] = RecentMap(100, 10.0)
    table.tick(1.0)
    for turn in range(5):
        table.put("a", turn)
        table.tick(1.0 + 10.0 * (turn + 1))
        assert table.get("a") == turn


def test_a_full_map_forgets_the_oldest_and_counts_them() -> None:
    """A flood of new keys pushes out old ones; how many is known."""
    table: RecentMap[int, int] = RecentMap(10, 1000.0)
    for key in range(16):
        table.put(key, key)
    assert table.get(15) == 15
    assert table.get(0) is None
    assert table.dropped == 10
    assert len(table) == 6


def test_pop_takes_both_generations() -> None:
    """A popped key does not come back with the value it had before."""
    table: RecentMap[str, int] = RecentMap(100, 10.0)
    table.tick(1.0)
    table.put("a", 1)
    table.tick(11.0)
    table.put("a", 2)
    assert table.pop("a") == 2
    assert table.get("a") is None
    assert table.pop("a") is None


def test_an_empty_value_is_a_value() -> None:
    """Values that are false in Python are found, also behind an older one."""
    table: RecentMap[str, bytes] = RecentMap(100, 10.0)
    table.tick(1.0)
    table.put("a", b"old")
    table.tick(11.0)
    table.put("a", b"")
    assert table.get("a") == b""
    assert table.pop("a") == b""


@given(st.lists(st.integers(0, 50)), st.integers(2, 20))
def test_the_limit_holds(keys: list[int], limit: int) -> None:
    """Whatever is put in, there are never more entries than the limit."""
    table: RecentMap[int, int] = RecentMap(limit, 10.0)
    for key in keys:
        table.put(key, key)
        assert table.get(key) == key
        assert len(table) <= limit
