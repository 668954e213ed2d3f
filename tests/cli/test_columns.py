"""The columns that tables share."""

from __future__ import annotations

from typing import Any

from shield.blocklist.decision import DECISION_KEYS
from shield.cli.columns import ALLOWED, DECISIONS, proof_colour, severity_colour
from shield.cli.render import table_lines


def test_the_value_of_a_decision_is_never_dropped(decision: Any) -> None:
    """On the narrowest terminal the address is what is left."""
    lines = table_lines([decision], DECISIONS, 20, colour=False)
    assert lines[1].startswith("203.0.113.5")


def test_plain_keys_exist_in_a_decision(decision: Any) -> None:
    """No column of plain output is always empty."""
    assert set(DECISION_KEYS) == set(decision)


def test_colours() -> None:
    """Green is proven, red is critical, an unknown severity has none."""
    assert proof_colour({"proof": "proven"}) != proof_colour({})
    assert severity_colour({"severity": 4}) == "red"
    assert severity_colour({}) == ""


def test_an_entry_without_end_is_forever() -> None:
    """None is no zero."""
    row = {"value": "192.0.2.1", "remaining": None, "origin": "cli", "reason": ""}
    assert "forever" in table_lines([row], ALLOWED, None, colour=False)[1]
