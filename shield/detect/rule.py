"""Rule: one behaviour to detect, read from one TOML document.

The document has the tables ``match`` (which events count), ``mark`` (weighted signs of a tool),
``count`` (how many, of what, in which time), ``require`` (proof of the address) and ``decision``.
docs/rules.md explains each key. Every mistake is reported with file and key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from shield.detect.counters import rule_key
from shield.detect.fields import FIELDS, Field, field
from shield.detect.match import Condition, condition
from shield.durations import parse_duration
from shield.errors import ConfigError, InputError
from shield.net import Network
from shield.sip.event import NONCE, TCP, TO_TAG, Kind, SipEvent

__all__ = ["KINDS", "Mark", "Rule", "parse_rule"]

KINDS = ("scan", "enum", "bruteforce", "flood", "tollfraud", "fuzz", "relay", "identity")
"""Classes of behaviour."""
EVENTS = {kind.name.lower(): kind for kind in Kind}
PROOFS = {"nonce": NONCE, "totag": TO_TAG, "tcp": TCP}
GROUPS = ("client", "network", "user", "domain", "called", "tail", "target")
KeyField = Callable[[SipEvent], Hashable]
KEY_FIELDS: dict[str, KeyField] = {
    "network": lambda event: Network.around(event.client, 24 if len(event.client) == 4 else 64),
    **{name: FIELDS[name] for name in GROUPS[2:]},
}
STATUS = re.compile(r"([1-6][0-9]{2})(?:-([1-6][0-9]{2}))?")
MAX_RETRY = 10_000
MAX_FIND_TIME = 86_400.0
MAX_BAN_TIME = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A sign of a tool and what it weighs."""

    condition: Condition
    weight: int


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A checked rule; field meanings as in docs/rules.md."""

    name: str
    path: str
    description: str
    kind: str
    severity: int
    confidence: int
    events: tuple[Kind, ...]
    methods: frozenset[bytes]
    """Empty: every method."""
    statuses: frozenset[int]
    credentials: bool | None
    trusted: bool | None
    repeat: bool | None
    mismatch: bool
    foreign: bool
    rate: int
    """Requests of the source in the last minute that it takes; 0 for any."""
    conditions: tuple[Condition, ...]
    marks: tuple[Mark, ...]
    score: int
    group: tuple[str, ...]
    key: int
    """Where its counters are found, see ``shield.detect.counters``."""
    by_client: bool
    """Each source has counters of its own; else all sources share them."""
    key_fields: tuple[KeyField, ...]
    """What else than the source tells one counter from another."""
    distinct: Field | None
    distinct_name: str
    max_retry: int
    trusted_factor: int
    find_time: float
    bucket: bool
    forgive: bool
    proof: int
    ban_time: float
    network: tuple[int, int] | None
    """Prefix lengths (IPv4, IPv6) that are banned in place of the address."""

    @property
    def fingerprint(self) -> bool:
        """Whether one message is enough."""
        return self.max_retry == 1 and Kind.REQUEST in self.events and not self.rate

    def as_json(self) -> dict[str, Any]:
        """What is told of a rule in lists."""
        return {
            "name": self.name,
            "description": self.description,
            "kind": self.kind,
            "severity": self.severity,
            "confidence": self.confidence,
            "max_retry": self.max_retry,
            "find_time": self.find_time,
            "ban_time": self.ban_time,
            "path": self.path,
        }

    def scores(self, event: SipEvent) -> tuple[int, list[Mark]]:
        """Sum of the weights of the marks that an event shows, and these marks."""
        weight, found = 0, []
        for mark in self.marks:
            if mark.condition.holds(event):
                weight += mark.weight
                found.append(mark)
        return weight, found


class _Table:
    """A TOML table that names itself in errors and knows which keys were read."""

    def __init__(self, data: Mapping[str, Any], where: str, problems: list[str]) -> None:
        self._left = dict(data)
        self.where = where
        self.problems = problems

    def take(self, key: str, kinds: type | tuple[type, ...], default: Any) -> Any:
        value = self._left.pop(key, default)
        wrong = not isinstance(value, kinds) or (isinstance(value, bool) and kinds is int)
        if value is not default and wrong:
            self.problems.append(f"{self.where}.{key}: wrong type ({type(value).__name__})")
            return default
        return value

    def number(self, key: str, default: int, low: int, high: int) -> int:
        value = self.take(key, int, default)
        if not low <= value <= high:
            self.problems.append(f"{self.where}.{key}: must be {low} to {high}")
            return default
        return int(value)

    def seconds(self, key: str, default: float, high: float) -> float:
        value = self.take(key, (str, int, float), default)
        if isinstance(value, bool):
            self.problems.append(f"{self.where}.{key}: wrong type (bool)")
            return default
        try:
            seconds = parse_duration(value) if isinstance(value, str) else float(value)
        except InputError as error:
            self.problems.append(f"{self.where}.{key}: {error}")
            return default
        if not 0 < seconds <= high:
            self.problems.append(f"{self.where}.{key}: must be above 0 and at most {high:.0f} s")
            return default
        return seconds

    def words(
        self, key: str, default: tuple[str, ...], allowed: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        value = self.take(key, (str, list), default)
        words = (value,) if isinstance(value, str) else tuple(value)
        if value is not default and not words:
            self.problems.append(f"{self.where}.{key}: must not be empty")
            return default
        for word in words:
            if not isinstance(word, str) or (allowed and word not in allowed):
                wanted = f"one of {', '.join(allowed)}" if allowed else "a text"
                self.problems.append(f"{self.where}.{key}: {word!r} is not {wanted}")
                return default
        return words

    def table(self, key: str) -> _Table:
        return _Table(
            self.take(key, dict, {}), f"{self.where}.{key}" if key else self.where, self.problems
        )

    def compile(self, read: Any, *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except ConfigError as error:
            self.problems.extend(error.problems)
            return None

    def end(self) -> None:
        self.problems += [f"{self.where}.{key}: unknown key" for key in self._left]


def parse_rule(data: Mapping[str, Any], name: str, path: str) -> Rule:
    """Check one rule document; raises ConfigError with one line for each mistake."""
    problems: list[str] = []
    top = _Table(data, path, problems)
    match, count = top.table("match"), top.table("count")
    require, decision = top.table("require"), top.table("decision")
    given = top.take("name", str, name)
    if given != name:
        problems.append(f"{path}.name: {given!r} differs from the file name")
    distinct_name = count.take("distinct", str, "")
    group = count.words("by", ("client",), GROUPS)
    rule = Rule(
        name=name,
        path=path,
        description=top.take("description", str, ""),
        kind=top.words("kind", ("scan",), KINDS)[0],
        severity=top.number("severity", 2, 1, 4),
        confidence=top.number("confidence", 2, 1, 3),
        events=tuple(EVENTS[word] for word in match.words("event", ("request",), tuple(EVENTS))),
        methods=frozenset(word.encode() for word in match.words("method", ())),
        statuses=_statuses(match),
        credentials=match.take("credentials", bool, None),
        trusted=match.take("trusted", bool, None),
        repeat=match.take("repeat", bool, None),
        mismatch=bool(match.take("mismatch", bool, None)),
        foreign=bool(match.take("foreign", bool, None)),
        rate=match.number("rate", 0, 0, 1_000_000),
        conditions=_conditions(match),
        marks=_marks(top),
        score=top.number("score", 1, 1, 100),
        group=group,
        key=rule_key(name),
        by_client="client" in group,
        key_fields=tuple(KEY_FIELDS[name] for name in group if name != "client"),
        distinct=count.compile(field, distinct_name, f"{count.where}.distinct")
        if distinct_name
        else None,
        distinct_name=distinct_name,
        max_retry=count.number("max_retry", 1, 1, MAX_RETRY),
        trusted_factor=count.number("trusted_factor", 4, 1, 100),
        find_time=count.seconds("find_time", 600.0, MAX_FIND_TIME),
        bucket=count.words("algorithm", ("window",), ("window", "bucket"))[0] == "bucket",
        forgive=count.take("forgive", bool, None) is not False,
        proof=sum(PROOFS[word] for word in set(require.words("proof", (), tuple(PROOFS)))),
        ban_time=decision.seconds("ban_time", 3_600.0, MAX_BAN_TIME),
        network=_network(decision),
    )
    if not rule.description:
        problems.append(f"{path}.description: missing")
    for table in (match, count, require, decision, top):
        table.end()
    if problems:
        raise ConfigError(*problems)
    return rule


def _statuses(match: _Table) -> frozenset[int]:
    """``status = [404, "480-489"]`` as a set."""
    found: set[int] = set()
    for item in match.take("status", list, []):
        fits = STATUS.fullmatch(str(item))
        if fits is None:
            match.problems.append(f"{match.where}.status: {item!r} is no status or range")
            continue
        found.update(range(int(fits[1]), int(fits[2] or fits[1]) + 1))
    return frozenset(found)


def _network(decision: _Table) -> tuple[int, int] | None:
    """``network = [24, 64]``: prefix lengths for IPv4 and IPv6."""
    lengths = decision.take("network", list, [])
    if not lengths:
        return None
    if len(lengths) != 2 or not all(
        type(length) is int and 0 < length <= most
        for length, most in zip(lengths, (32, 128), strict=True)
    ):
        decision.problems.append(
            f"{decision.where}.network: must be two prefix lengths, [1 to 32, 1 to 128]"
        )
        return None
    return lengths[0], lengths[1]


def _conditions(match: _Table) -> tuple[Condition, ...]:
    found: list[Condition] = []
    for prefix, table in (
        ("", match.take("field", dict, {})),
        ("header.", match.take("header", dict, {})),
    ):
        for name, test in table.items():
            where = f"{match.where}.{prefix or 'field.'}{name}"
            if not isinstance(test, dict):
                match.problems.append(f"{where}: must be a table such as {{ regex = '...' }}")
                continue
            made = match.compile(condition, prefix + name, test, where)
            if made is not None:
                found.append(made)
    return tuple(found)


def _marks(top: _Table) -> tuple[Mark, ...]:
    found: list[Mark] = []
    for number, item in enumerate(top.take("mark", list, []), start=1):
        mark = _Table(
            item if isinstance(item, dict) else {}, f"{top.where}.mark[{number}]", top.problems
        )
        weight, name = mark.number("weight", 1, 1, 100), mark.take("field", str, "")
        made = mark.compile(condition, name, mark._left, mark.where)
        if made is not None:
            found.append(Mark(made, weight))
    return tuple(found)
