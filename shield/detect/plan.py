"""Which rules look at which events, arranged so that a harmless request costs little.

A fingerprint needs at least one of its heavier marks. So for each kind of event and method the
marks without which no rule can fire become *gates*, merged into one test for each field. Only when a
gate opens are the rules behind it asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from shield.detect.fields import Field
from shield.detect.match import MAX_VALUE, Condition
from shield.detect.rule import Rule
from shield.sip.event import Kind, SipEvent

__all__ = ["Plan", "make_plan"]

_REPEATING = ("user-agent", "method", "header.")
"""Fields with few different values: their gate remembers its answers."""
MAX_REMEMBERED = 4_096


class _Gate:
    """All gate conditions on one field as one test."""

    __slots__ = ("_answers", "_test", "absent", "behind", "read")

    def __init__(self, read: Field, conditions: Sequence[Condition], behind: Sequence[Rule]) -> None:
        self.read = read
        self.behind = tuple(behind)
        self.absent = any(condition.test is None for condition in conditions)
        self._test = _merged([condition for condition in conditions if condition.test is not None])
        self._answers: dict[bytes, bool] | None = (
            {} if conditions[0].name.startswith(_REPEATING) else None
        )

    def open(self, value: bytes) -> bool:
        """Whether some condition may hold for the value of the field."""
        answers = self._answers
        if answers is None:
            return bool(self._test(value[:MAX_VALUE]))
        answer = answers.get(value)
        if answer is None:
            if len(answers) >= MAX_REMEMBERED:
                answers.clear()
            answer = answers[value] = bool(self._test(value[:MAX_VALUE]))
        return answer


class Plan:
    """Rules for one kind of event and one method."""

    __slots__ = ("_always", "_gates")

    def __init__(self, rules: Sequence[Rule]) -> None:
        always: list[Rule] = []
        fields: dict[str, list[Condition]] = {}
        behind: dict[str, list[Rule]] = {}
        for rule in rules:
            gates = _gates_of(rule)
            if not gates:
                always.append(rule)
            for condition in gates:
                fields.setdefault(condition.name, []).append(condition)
                waiting = behind.setdefault(condition.name, [])
                if rule not in waiting:
                    waiting.append(rule)
        self._always = tuple(always)
        self._gates = tuple(_Gate(found[0].read, found, behind[name]) for name, found in fields.items())

    def rules(self, event: SipEvent) -> tuple[Rule, ...]:
        """Rules that may fit the event."""
        found = self._always
        for gate in self._gates:
            value = gate.read(event)
            if gate.absent if value is None else gate.open(value):
                found += tuple(rule for rule in gate.behind if rule not in found)
        return found


def make_plan(rules: Sequence[Rule], kind: Kind, method: bytes) -> Plan:
    """The plan for events of this kind and method."""
    chosen = [
        rule
        for rule in rules
        if kind in rule.events and not rule.rate and (not rule.methods or method in rule.methods)
    ]
    return Plan(chosen)


def _gates_of(rule: Rule) -> list[Condition]:
    """Conditions of which at least one must hold before the rule can fire; empty if there are none."""
    for condition in rule.conditions:
        if condition.test is not None and not condition.negate:
            return [condition]
    if not rule.marks:
        return []
    marks = sorted(rule.marks, key=lambda mark: mark.weight, reverse=True)
    left = sum(mark.weight for mark in marks)
    gates: list[Condition] = []
    for mark in marks:
        if left < rule.score:
            break
        if mark.condition.negate:
            return []
        gates.append(mark.condition)
        left -= mark.weight
    return gates


def _merged(conditions: Sequence[Condition]) -> Callable[[bytes], object]:
    """One function for several tests; expressions become one alternation."""
    tests = [condition.test for condition in conditions if condition.test is not None]
    if not tests:
        return lambda _value: False
    if len(tests) == 1:
        return tests[0]
    patterns = [condition.pattern for condition in conditions if condition.pattern is not None]
    if len(patterns) == len(tests):
        return re.compile(b"|".join(patterns)).search

    def some(value: bytes) -> object:
        for test in tests:  # noqa: SIM110 - any() costs twice as much on so few
            if test(value):
                return True
        return False

    return some
