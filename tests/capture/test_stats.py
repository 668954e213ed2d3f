"""Counters start at zero and are not shared between objects."""

from __future__ import annotations

from shield.capture.stats import DecoderStats, LiveStats


def test_two_decoders_count_apart() -> None:
    """Reasons counted by one decoder do not show in another's."""
    one, other = DecoderStats(), DecoderStats()
    one.errors["truncated"] += 1
    assert not other.errors
    assert other.frames == other.messages == other.skipped == 0


def test_two_live_sources_count_apart() -> None:
    """Failures of one source do not show in another's."""
    one, other = LiveStats(), LiveStats()
    one.failures["eth0: down"] += 1
    assert not other.failures
    assert other.received == other.dropped == 0
