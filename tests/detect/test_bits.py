"""shield.detect.bits: what was seen of late."""

from __future__ import annotations

from shield.detect.bits import Bits


def test_what_was_noted_is_seen_until_two_periods_have_passed() -> None:
    """At least one period, and nothing else is seen."""
    bits = Bits()
    bits.tick(0.0, 100.0)
    bits.note(b"a")
    assert (bits.seen(b"a"), bits.seen(b"b")) == (True, False)
    bits.tick(100.0, 100.0)
    assert bits.seen(b"a")
    bits.tick(200.0, 100.0)
    assert not bits.seen(b"a")


def test_noting_again_keeps_it() -> None:
    """In the generation of now."""
    bits = Bits()
    for time in range(0, 1000, 100):
        bits.tick(float(time), 100.0)
        bits.note(b"a")
    assert bits.seen(b"a")
