"""Which rules look at which events, arranged so that a harmless request costs little.

A fingerprint needs at least one of its heavier marks. So for each kind of event and method the
marks without which no rule can fire become *gates*, merged into one test for each field. Only when a
gate opens are the rules behind it asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from shield.detect.fields import Field
from shield.detect.match import MAX_VALUE, Answers, Condition, Test, repeating
from shield.detect.rule import Rule
from shield.sip.event import Kind, SipEvent

__all__ = ["Plan", "make_plan"]


_PARTS = (
    "via", "branch", "from.tag", "to", "call-id", "user-agent", "header.User-Agent", "header.Allow",
    "body", "raw",
)  # fmt: skip
"""Fields that the parser has at hand and that fingerprints ask for in nearly every request."""


def _never(_value: bytes) -> bool:
    return False


class _Gate(NamedTuple):
    """All gate conditions on one field as one test. A tuple, since ten are unpacked for each request."""

    read: Field
    test: Test
    """Truthy when some condition may hold for the value of the field."""
    which: Callable[[bytes], tuple[Rule, ...]]
    """The rules whose own condition holds."""
    absent: tuple[Rule, ...]
    """Rules to be asked about a message without the field."""


def _gate(behind: Sequence[tuple[Condition, Rule]]) -> _Gate:
    conditions = [condition for condition, _ in behind]
    tests = [(condition.test, rule) for condition, rule in behind if condition.test is not None]

    def which(value: bytes) -> tuple[Rule, ...]:
        return tuple(rule for test, rule in tests if test(value))

    absent = tuple(rule for condition, rule in behind if condition.test is None)
    if not repeating(conditions[0].name):
        return _Gate(conditions[0].read, _merged(conditions), which, absent)
    answers = Answers(which).__getitem__
    return _Gate(conditions[0].read, answers, answers, absent)


class _OfStatus(dict[int, tuple[Rule, ...]]):
    """Of the rules without a gate those that ask for a status; there are at most 600 of these."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        super().__init__({0: rules})

    def __missing__(self, status: int) -> tuple[Rule, ...]:
        found = tuple(rule for rule in self[0] if not rule.statuses or status in rule.statuses)
        self[status] = found
        return found


class Plan:
    """Rules for one kind of event and one method."""

    __slots__ = ("_always", "_gates", "_others", "_parts", "_plain")

    def __init__(self, rules: Sequence[Rule]) -> None:
        always: list[Rule] = []
        behind: dict[str, list[tuple[Condition, Rule]]] = {}
        for rule in rules:
            gates = _gates_of(rule)
            if not gates:
                always.append(rule)
            for condition in gates:
                behind.setdefault(condition.name, []).append((condition, rule))
        self._always = _OfStatus(tuple(always))
        self._gates = {name: _gate(waiting) for name, waiting in behind.items()}
        parts = [self._gates.get(name) for name in _PARTS]
        self._parts = tuple(gate.test if gate is not None else _never for gate in parts)
        self._others = tuple(gate for name, gate in self._gates.items() if name not in _PARTS)
        self._plain = not any(gate.absent for gate in self._gates.values())

    def rules(self, event: SipEvent) -> tuple[Rule, ...]:
        """Rules that may fit the event."""
        found = self._always[event.status]
        if not self._gates or (self._plain and self._closed(event)):
            return found
        for read, test, which, absent in self._gates.values():
            value = read(event)
            if value is None:
                opened = absent
            elif test(value := value[:MAX_VALUE]):
                opened = which(value)
            else:
                continue
            if opened:
                found += tuple(rule for rule in dict.fromkeys(opened) if rule not in found)
        return found

    def _closed(self, event: SipEvent) -> bool:
        """Whether no gate opens: asked for nearly each request, so without a loop and calls of readers.

        False when it cannot be said in short.
        """
        request = event.request
        if request is None or len(request.head) + len(request.body) > MAX_VALUE:
            return False
        via, branch, tag, to, call_id, agent, user_agent, allow, body, raw = self._parts
        name = request.agent or b""
        if (
            agent(name)  # answers about it are remembered, and it is where scanners show
            or user_agent(name)
            or allow(request.allow or b"")
            or via(request.via)
            or branch(request.branch)
            or tag(request.tag or event.tag)
            or to(request.to)
            or call_id(request.call_id)
            or (request.body and body(request.body))
            or raw(request.head)
        ):
            return False
        for read, test, _, _ in self._others:
            value = read(event)
            if value is not None and test(value):
                return False
        return True


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
    if not rule.marks or rule.weighs:
        return []
    marks = sorted(rule.marks, key=lambda mark: mark.weight, reverse=True)
    left = sum(mark.weight for mark in marks)
    gates: list[Condition] = []
    for mark in marks:
        if left < rule.score:
            break
        if mark.condition is None or mark.condition.negate:
            return []
        gates.append(mark.condition)
        left -= mark.weight
    return gates


def _merged(conditions: Sequence[Condition]) -> Test:
    """One function for several tests; expressions become one alternation."""
    tests = [condition.test for condition in conditions if condition.test is not None]
    if not tests:
        return lambda _value: False
    if len(tests) == 1:
        return tests[0]
    patterns = [condition.pattern for condition in conditions if condition.pattern is not None]
    if len(patterns) == len(tests):
        merged = re.compile(b"|".join(patterns))
        return merged.match if all(condition.anchored for condition in conditions) else merged.search

    def some(value: bytes) -> object:
        for test in tests:  # noqa: SIM110 - any() costs twice as much on so few
            if test(value):
                return True
        return False

    return some
