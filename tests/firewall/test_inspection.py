"""What differs between kernel and wanted state."""

from __future__ import annotations

import math

import pytest

from shield.firewall.inspection import SLACK, Inspection, compare
from tests.firewall.wire import net

ONE, TWO = net("192.0.2.1"), net("192.0.2.2")


@pytest.mark.parametrize(
    ("remaining", "wanted", "wrong"),
    [
        (50.0, 150.0, False),
        (50.0 - SLACK / 2, 150.0, False),
        (50.0 - SLACK * 2, 150.0, True),
        (50.0 + SLACK * 2, 150.0, True),
        (2_147_483.0, math.inf, False),
        (math.inf, math.inf, False),
        (math.inf, 150.0, True),
        (1.0, 100.0, False),
    ],
    ids=["equal", "near", "short", "long", "ipset's longest", "for ever", "should end", "just ended"],
)
def test_remaining_time(remaining: float, wanted: float, wrong: bool) -> None:
    """An element's time may differ a little, and very long is long enough."""
    missing, foreign = compare(Inspection(active={ONE: remaining}), {ONE: wanted}, (), 100.0)
    assert (missing, foreign) == ([ONE] if wrong else [], [])


def test_missing_and_foreign() -> None:
    """Missing ones that still live go in again, strangers go out, those being changed are left alone."""
    found = Inspection(active={TWO: 9.0}, missing=[ONE])
    assert compare(found, {ONE: 150.0}, (), 100.0) == ([ONE], [TWO])
    assert compare(found, {ONE: 150.0}, {ONE, TWO}, 100.0) == ([], [])
    assert compare(found, {ONE: 99.0}, (), 100.0) == ([], [TWO])


def test_unread_kernel_has_no_strangers() -> None:
    """When only missing ones were asked for, nothing is taken out."""
    assert compare(Inspection(missing=[ONE]), {ONE: 150.0}, (), 100.0) == ([ONE], [])
