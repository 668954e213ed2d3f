"""shield.firewall.feed_stats: counters of the Feed for status and metrics."""

from __future__ import annotations

import json

from shield.firewall.feed_stats import FeedStats


def test_a_new_feed_has_done_nothing_and_failed_nowhere() -> None:
    """All counters start at zero; what has not happened has no time."""
    stats = FeedStats()
    counters = [value for value in stats.as_json().values() if type(value) is int]
    assert set(counters) == {0}
    assert not stats.failing
    assert (stats.last_error, stats.last_error_time) == ("", None)
    assert (stats.last_repair, stats.last_repair_time) == ("", None)


def test_every_counter_is_shown() -> None:
    """Status is JSON: all fields by name with their present values."""
    stats = FeedStats()
    stats.commits += 3
    stats.failing, stats.last_error, stats.last_error_time = True, "no such table", 12.5
    shown = json.loads(json.dumps(stats.as_json()))
    assert set(shown) == set(vars(stats))
    assert (shown["commits"], shown["failing"]) == (3, True)
    assert (shown["last_error"], shown["last_error_time"]) == ("no such table", 12.5)


def test_what_was_shown_does_not_change_afterwards() -> None:
    """A status that is being sent is a copy."""
    stats = FeedStats()
    shown = stats.as_json()
    stats.failed += 1
    assert shown["failed"] == 0
