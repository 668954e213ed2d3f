"""Expiry: every note comes once, after its second, in portions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shield.cluster.entry import Written
from shield.cluster.expiry import Expiry


def written(key: int, until: float) -> Written:
    return key.to_bytes(4, "big"), (1, "a", until, b"", 1), None


@given(st.lists(st.floats(0, 50)), st.lists(st.floats(0, 60)), st.integers(1, 5))
def test_each_note_is_due_once_its_second_is_over(
    ends: list[float], times: list[float], limit: int
) -> None:
    """Nothing comes early, nothing twice, nothing is left, and no call gives more than its limit."""
    expiry = Expiry()
    expiry.note(written(number, end) for number, end in enumerate(ends))
    assert expiry.noted == len(ends)
    left = {written(number, end)[0]: end for number, end in enumerate(ends)}
    for now in [*sorted(times), *[99.0] * len(ends)]:
        due = expiry.due(now, limit)
        assert len(due) <= limit
        for key in due:
            assert left.pop(key) < int(now)
        if len(due) < limit:
            assert all(int(end) >= int(now) for end in left.values())
    assert not left
    assert expiry.noted == 0


def test_cleared_notes_are_gone() -> None:
    """They are written anew when too many are stale."""
    expiry = Expiry()
    expiry.note([written(1, 1.0)])
    expiry.clear()
    assert expiry.due(99, 99) == []
    assert expiry.noted == 0
