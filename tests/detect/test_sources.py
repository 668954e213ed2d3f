"""shield.detect.sources: rate and trust of each client address, bounded in number."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.detect.sources import MAX_CREDIT, RATE_WINDOW, REFUSED_SPOILS, SourceRecord, Sources

HALF_LIFE = 100.0


def address(number: int) -> bytes:
    """A packed address."""
    return (0xC0000200 + number).to_bytes(4, "big")


# Rate


def test_requests_of_one_minute_are_counted() -> None:
    """Within one bucket the count is exact; ``messages`` never forgets."""
    record = SourceRecord(120.0)
    assert [record.count(120.0 + second) for second in range(5)] == [1, 2, 3, 4, 5]
    assert (record.messages, record.first_seen) == (5, 120.0)


def test_the_minute_before_counts_by_its_part_inside_the_window() -> None:
    """15 s into the new minute three quarters of the old one still lie within 60 s."""
    record = SourceRecord(0.0)
    for _ in range(100):
        record.count(30.0)
    assert record.count(75.0) == 1 + 75
    assert record.count(119.0) == 2 + int(100 / 60)


def test_a_pause_of_a_window_forgets_the_rate() -> None:
    """After more than a minute of silence the count starts anew."""
    record = SourceRecord(0.0)
    for _ in range(10):
        record.count(1.0)
    assert record.count(1.0 + 2 * RATE_WINDOW) == 1


def test_a_late_packet_of_the_minute_before_forgets_nothing() -> None:
    """Captures of several interfaces are not quite in order."""
    record = SourceRecord(60.0)
    for _ in range(10):
        record.count(60.5)
    assert record.count(59.9) == 11
    assert record.count(60.6) == 12


def test_a_clock_set_back_starts_anew() -> None:
    """Else the bucket of the future would fill up until its minute comes."""
    record = SourceRecord(7_200.0)
    record.count(7_200.0)
    assert record.count(60.0) == 1


@given(st.lists(st.floats(0, 30), min_size=1, max_size=200))
def test_the_rate_is_never_more_than_what_was_counted(gaps: list[float]) -> None:
    """The estimate stays between one and all requests of the last two windows."""
    record, now, times = SourceRecord(0.0), 0.0, []
    for gap in gaps:
        now += gap
        times.append(now)
        rate = record.count(now)
        assert 1 <= rate <= sum(1 for time in times if now - time <= 2 * RATE_WINDOW)


# Trust


def test_one_success_is_trusted_for_one_half_life() -> None:
    """Credit 1 falls to one half after ``half_life`` seconds, and then it is not enough."""
    record = SourceRecord(0.0)
    assert not record.trusted(0.0, HALF_LIFE)
    record.succeeded(10.0, HALF_LIFE)
    assert record.trust(10.0, HALF_LIFE) == 1.0
    assert record.trusted(10.0 + HALF_LIFE, HALF_LIFE)
    assert not record.trusted(10.1 + HALF_LIFE, HALF_LIFE)


def test_successes_add_up_to_a_limit() -> None:
    """Credit cannot be hoarded without end."""
    record = SourceRecord(0.0)
    for _ in range(3):
        record.succeeded(10.0, HALF_LIFE)
    assert record.trust(10.0, HALF_LIFE) == 3.0
    for _ in range(500):
        record.succeeded(10.0, HALF_LIFE)
    assert record.trust(10.0, HALF_LIFE) == MAX_CREDIT


def test_time_that_goes_back_makes_no_credit() -> None:
    """Trust never grows by itself."""
    record = SourceRecord(0.0)
    record.succeeded(1_000.0, HALF_LIFE)
    assert record.trust(0.0, HALF_LIFE) == 1.0


def test_a_success_after_guessing_earns_nothing() -> None:
    """It may be the guess that hit; with each success the suspicion halves."""
    record = SourceRecord(0.0)
    record.refused = 2 * REFUSED_SPOILS
    record.succeeded(1.0, HALF_LIFE)
    record.succeeded(2.0, HALF_LIFE)
    assert not record.trusted(2.0, HALF_LIFE)
    assert record.refused < REFUSED_SPOILS
    record.succeeded(3.0, HALF_LIFE)
    assert record.trusted(3.0, HALF_LIFE)


# All records


def test_a_source_keeps_its_record() -> None:
    """The first touch makes it; asking makes none."""
    sources = Sources(100)
    assert sources.get(address(1)) is None
    record = sources.touch(address(1), 5.0)
    assert sources.touch(address(1), 9.0) is record
    assert sources.get(address(1)) is record
    assert (record.first_seen, len(sources)) == (5.0, 1)


def test_a_touched_source_outlives_a_flood_between_its_packets() -> None:
    """A record of the older generation comes back when its source speaks."""
    sources = Sources(20)
    record = sources.touch(address(0), 0.0)
    for number in range(1, 60):
        sources.touch(address(number), 1.0)
        if number % 5 == 0:
            assert sources.touch(address(0), 1.0) is record


def test_silent_sources_without_history_are_forgotten_and_counted() -> None:
    """A flood of forged addresses has a ceiling."""
    sources = Sources(20)
    for number in range(1_000):
        sources.touch(address(number), 1.0)
        assert len(sources) <= 20
    assert sources.forgotten == 1_000 - len(sources)
    assert sources.get(address(0)) is None


@pytest.mark.parametrize("history", ["credit", "counters"])
def test_history_outlives_a_flood(history: str) -> None:
    """Who earned trust, or is being counted by a rule, is remembered; others make room."""
    sources = Sources(20)
    record = sources.touch(address(0), 0.0)
    if history == "credit":
        record.succeeded(0.0, HALF_LIFE)
    else:
        record.counters = {"rule": 1}
    for number in range(1, 1_000):
        sources.touch(address(number), 1.0)
    assert sources.get(address(0)) is record


def test_trust_goes_before_counters() -> None:
    """An attacker that makes many counted addresses does not push out those who earned trust."""
    sources = Sources(40)
    for number in range(18):
        sources.touch(address(number), 0.0).counters = {}
    good = sources.touch(address(18), 0.0)
    good.succeeded(0.0, HALF_LIFE)
    for number in range(19, 1_000):
        sources.touch(address(number), 1.0).counters = {}
    assert sources.get(address(18)) is good
    assert len(sources) <= 40


def test_a_record_without_suspicion_is_small() -> None:
    """300 bytes at most: there may be as many as forged addresses."""
    record = SourceRecord(1.5)
    record.count(1.5)
    own = sys.getsizeof(record) + sum(
        sys.getsizeof(value) for value in (record.first_seen, record.messages, record.credit)
    )
    assert own <= 300
    assert not hasattr(record, "__dict__")
