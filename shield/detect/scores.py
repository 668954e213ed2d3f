"""Scores: how near a source is to the limit of a rule, in words that say what was added up.

A rule about what one message looks like adds the weights of its marks, a rule about rate takes requests
a minute, every other rule counts. A count goes no further than its limit: a source is judged there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shield.detect.counters import KEY_BITS, opened, real
from shield.detect.mark import Mark
from shield.detect.rule import Rule
from shield.detect.sources import SourceRecord
from shield.durations import format_duration

__all__ = ["measure", "scored", "standing"]


def measure(rule: Rule, find_time: float | None = None) -> str:
    """What the score of a rule counts, within the time of the rule or of one of its tiers."""
    if rule.rate:
        return "requests a minute"
    if rule.max_retry == 1:
        return "weight of marks" if rule.marks else "matching message"
    what = f"different values of {rule.distinct_name}" if rule.distinct_name else "matching messages"
    same = [f"the same {name}" for name in rule.group if name != "client"]
    if same:
        what += f" for {' and '.join(same)}"
    if rule.algorithm == "score":
        return f"{what}, halved every {format_duration(rule.find_time)}"
    return f"{what} in {format_duration(find_time or rule.find_time)}"


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
    rules: Sequence[Rule],
    record: SourceRecord,
    time: float,
    *,
    trusted: bool,
    shown: Sequence[tuple[Rule, Sequence[Mark]]] = (),
) -> list[dict[str, Any]]:
    """What every counting rule has against a source now, the nearest to its limit first.

    ``shown``: rules that weigh, with the marks that the source has shown so far.
    """
    named = {rule.key: rule for rule in rules if rule.max_retry > 1}
    found: dict[str, dict[str, Any]] = {}
    for key, held in opened(record.counters).items():
        rule = named.get(key & ~KEY_BITS)
        if rule is None:
            continue
        counter = real(held)
        windows = [(rule.max_retry * (rule.trusted_factor if trusted else 1), rule.find_time)]
        windows += () if trusted else rule.tiers
        for limit, find_time in windows:
            score = counter.count(time, find_time)
            best = found.get(rule.name)
            if score and (best is None or score * best["limit"] > best["score"] * limit):
                found[rule.name] = {
                    "scenario": rule.name,
                    "score": score,
                    "limit": limit,
                    "measure": measure(rule, find_time),
                }
    for rule, marks in shown:
        found[rule.name] = {
            "scenario": rule.name,
            "score": sum(mark.weight for mark in marks),
            "limit": rule.score,
            "measure": measure(rule),
            "marks": [{"mark": mark.text, "weight": mark.weight} for mark in marks],
        }
    return sorted(found.values(), key=lambda row: row["score"] / row["limit"], reverse=True)
