"""The measurements of scripts/bench replica work, and what does not depend on the machine holds."""

from __future__ import annotations

from tests.bench.replica_cost import bulk, join, memory, pushes


def test_a_map_filled_by_chunks_takes_little_more_than_it_keeps() -> None:
    """A joiner's peak is at most one and a half times its final size."""
    found = memory(20_000)
    assert found["peak_by_final"] <= 1.5
    assert found["bytes_per_record"] < 600


def test_times_are_measured() -> None:
    """Each function gives numbers above zero, whatever they are on this machine."""
    for found in (bulk(2000), pushes(100), join(2000)):
        assert all(value > 0 for value in found.values())
