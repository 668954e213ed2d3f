"""Scores say how near a source is to the limit of a rule, and what is added up."""

from __future__ import annotations

import tomllib

import pytest

from shield.detect.counters import rule_key, single
from shield.detect.rule import Rule, parse_rule
from shield.detect.scores import measure, scored, standing
from shield.detect.sources import SourceRecord
from shield.detect.window import Bucket, Window

MARKS = """
score = 3
[[mark]]
field = "user-agent"
prefix = "scan"
weight = 2
[[mark]]
field = "call-id"
prefix = "c"
weight = 7
"""


def rule(text: str, name: str = "own") -> Rule:
    return parse_rule(tomllib.loads(f"description = 'x'\n{text}"), name, f"{name}.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MARKS, "weight of marks"),
        ("", "matching message"),
        ("[match]\nrate = 250", "requests a minute"),
        ("[count]\nmax_retry = 8\nfind_time = '10m'", "matching messages in 10m"),
        (f"{MARKS}[count]\nmax_retry = 8\nfind_time = '1h'", "matching messages in 1h"),
        (
            "[count]\nmax_retry = 8\nalgorithm = 'score'\nhalf_life = '2h'",
            "matching messages, halved every 2h",
        ),
        (
            "[count]\nmax_retry = 6\ndistinct = 'user'\nfind_time = '1m'\nby = ['client', 'target']",
            "different values of user for the same target in 1m",
        ),
    ],
)
def test_what_a_score_counts(text: str, words: str) -> None:
    """People read what was added up without looking into the rule."""
    assert measure(rule(text)) == words


def test_marks_weigh_against_the_score_of_the_rule() -> None:
    """Two marks of 2 and 7 where 3 were enough: 9 of 3."""
    found = rule(MARKS)
    assert scored(found, SourceRecord(0.0), 0.0, count=1, limit=1, marks=found.marks) == (9, 3)


def test_a_rate_is_told_as_it_is() -> None:
    """300 requests within the minute where 250 were enough."""
    record = SourceRecord(0.0)
    for _ in range(300):
        record.count(5.0)
    found = rule("[match]\nrate = 250")
    assert scored(found, record, 5.0, count=1, limit=1, marks=()) == (300, 250)


def test_everything_else_is_counted() -> None:
    """Of a rule that counts, marks or not, the count stands against its limit."""
    found = rule(f"{MARKS}[count]\nmax_retry = 8")
    assert scored(found, SourceRecord(0.0), 0.0, count=8, limit=8, marks=found.marks) == (8, 8)


def test_what_stands_against_a_source() -> None:
    """Counts within find_time, the nearest to its limit first, of several counters the fullest."""
    rules = [
        rule("[count]\nmax_retry = 10", "slow"),
        rule("[count]\nmax_retry = 4\ndistinct = 'user'\nby = ['client', 'target']", "users"),
        rule("[count]\nmax_retry = 2\nalgorithm = 'bucket'", "leaky"),
        rule("", "once"),
    ]
    record = SourceRecord(0.0)
    assert standing(rules, record, 0.0, trusted=False) == []
    slow, few, many, leaky, once, gone = Window(), Window(), Window(), Bucket(), Window(), Window()
    record.counters = {
        rules[0].key: slow, rules[1].key + 1: few, rules[1].key + 2: many, rules[2].key: leaky,
        rules[3].key: once, rule_key("gone"): gone,
    }  # fmt: skip
    for counter, times in ((slow, 5), (few, 1), (many, 3), (leaky, 1), (once, 1), (gone, 1)):
        for number in range(times):
            counter.add(number, 1.0, proven=False, limit=10, find_time=600.0)
    found = standing(rules, record, 2.0, trusted=False)
    assert [(row["scenario"], row["score"], row["limit"]) for row in found] == [
        ("users", 3, 4),
        ("slow", 5, 10),
        ("leaky", 1, 2),
    ]
    assert {row["limit"] for row in standing(rules, record, 2.0, trusted=True)} == {16, 40, 8}
    assert [row["scenario"] for row in standing(rules, record, 9e3, trusted=False)] == ["leaky"]


def test_a_single_thing_stands_against_a_source_too() -> None:
    """It is held in less memory than a counter and told in the same way."""
    users = rule("[count]\nmax_retry = 4\ndistinct = 'user'\nby = ['client', 'target']", "users")
    record = SourceRecord(0.0)
    record.counters = single(None, users.key + 7, 1, 5.0)
    (row,) = standing([users], record, 6.0, trusted=False)
    assert (row["scenario"], row["score"], row["limit"]) == ("users", 1, 4)
