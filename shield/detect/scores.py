"""Scores: how near a source is to the limit of a rule, in words that say what was added up.

A rule about what one message looks like adds the weights of its marks, a rule about rate takes requests
a minute, every other rule counts. A count goes no further than its limit: a source is judged there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shield.detect.counters import KEY_BITS, opened
from shield.detect.rule import Mark, Rule
from shield.detect.sources import SourceRecord
from shield.durations import format_duration

__all__ = ["measure", "scored", "standing"]


def measure(rule: Rule) -> str:
    """What the score of a rule counts."""
    if rule.rate:
        return "requests a minute"
    if rule.max_retry == 1:
        return "weight of marks" if rule.marks else "matching message"
    what = f"different values of {rule.distinct_name}" if rule.distinct_name else "matching messages"
    same = [f"the same {name}" for name in rule.group if name != "client"]
    if same:
        what += f" for {' and '.join(same)}"
    return f"{what} in {format_duration(rule.find_time)}"


def scored(
    rule: Rule, record: SourceRecord, time: float, *, count: int, limit: int, marks: Sequence[Mark]
) -> tuple[int, int]:
    """Score of an alert, and the score that was needed for it."""
    if rule.rate:
        return record.rate(time), rule.rate
    if rule.max_retry == 1 and rule.marks:
        return sum(mark.weight for mark in marks), rule.score
    return count, limit


def standing(
    rules: Sequence[Rule], record: SourceRecord, time: float, *, trusted: bool
) -> list[dict[str, Any]]:
    """What every counting rule has against a source now, the nearest to its limit first."""
    named = {rule.key: rule for rule in rules if rule.max_retry > 1}
    found: dict[str, dict[str, Any]] = {}
    for key, counter in opened(record.counters).items():
        rule = named.get(key & ~KEY_BITS)
        score = counter.count(time, rule.find_time) if rule is not None else 0
        if rule is None or not score or score <= found.get(rule.name, {}).get("score", 0):
            continue
        limit = rule.max_retry * (rule.trusted_factor if trusted else 1)
        found[rule.name] = {
            "scenario": rule.name,
            "score": score,
            "limit": limit,
            "measure": measure(rule),
        }
    return sorted(found.values(), key=lambda row: row["score"] / row["limit"], reverse=True)
