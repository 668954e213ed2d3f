"""Durations: what people and other tools write is read, what we write is read back."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.durations import MAX_DURATION, format_duration, parse_duration
from shield.errors import InputError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("1.5", 1.5),
        ("10m", 600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1 Hour 30 minutes", 5400),
        ("7d", 604800),
        ("2w", 1209600),
        ("59m49s764ms", 3589.764),
        ("9m59.179124033s", 599.179124033),
        (" 4h ", 14400),
        ("1d2h3m4s", 93784),
        ("500ms", 0.5),
    ],
)
def test_reads_usual_spellings(text: str, seconds: float) -> None:
    """Bare seconds, joined and spaced units, nft's and Go's spellings all give seconds."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "  ", "h", "1x", "1h30", "-5m", "1h1h", "1m 1min", "nan", "inf", "1e9", "1..5h", "9" * 70],
)
def test_refuses_what_is_no_duration(text: str) -> None:
    """Wrong units, signs, repeated units and endless text give InputError, never a guess."""
    with pytest.raises(InputError):
        parse_duration(text)


def test_refuses_more_than_ten_years() -> None:
    """A mistake of units is refused with the limit in the message."""
    with pytest.raises(InputError, match="too long"):
        parse_duration("600w")
    assert parse_duration(str(int(MAX_DURATION))) == MAX_DURATION


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (0.9999, "1s"),
        (2.5, "2.5s"),
        (3, "3s"),
        (59.4, "59s"),
        (59.99, "1m"),
        (90, "1m 30s"),
        (3600, "1h"),
        (5400, "1h 30m"),
        (3605, "1h"),
        (604799, "6d 23h"),
        (-90, "-1m 30s"),
        (math.inf, "forever"),
    ],
)
def test_writes_two_units(seconds: float, text: str) -> None:
    """Two adjacent units at most, rounded once, no unit that is zero."""
    assert format_duration(seconds) == text


@given(st.floats(min_value=0, max_value=MAX_DURATION))
def test_what_is_written_is_read_back(seconds: float) -> None:
    """The written form parses and is off by less than the smallest unit it could show (1 part in 7)."""
    again = parse_duration(format_duration(seconds))
    assert again == pytest.approx(seconds, rel=0.15, abs=0.001)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes it fail in another way than InputError, and results are within the limit."""
    with contextlib.suppress(InputError):
        assert 0 <= parse_duration(text) <= MAX_DURATION
