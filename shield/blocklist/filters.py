"""The filter grammar: one way to say "these decisions" in every command and on the control socket.

    filter  = *( term )                     all terms must hold
    term    = field operator values / address / network
    operator = "=" / "!=" / "~" / "<" / ">" / "<=" / ">="
    values  = value *( "," value )          any of them
    value   = text with * and ? / network / duration / number / low ".." high

``scenario=sip* proof=proven value=203.0.113.0/24 origin=node-a remaining<10m`` reads as a
sentence. Ranges (``remaining=1m..10m``) say what ``<`` and ``>`` say without a character that a
shell takes for itself. Filters look at the JSON shape of a record (``Decision.as_json``), so the
same one runs in the daemon, over a journal and over a report.

There is no regular expression on purpose: the daemon evaluates these in its event loop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import translate
from typing import Any, NamedTuple

from shield.durations import parse_duration
from shield.errors import InputError
from shield.net import Network

__all__ = ["FIELDS", "Filter", "parse_filter"]

MAX_FILTER_LENGTH = 2000
"""Characters; a person types at most a few hundred, and the control socket passes it to the daemon."""
MAX_TERMS = 32
"""Each term costs one call per record, and a blocklist holds hundreds of thousands."""
MAX_VALUES = 64
"""Alternatives in one term, for the same reason."""

Record = Mapping[str, Any]
Test = Callable[[Record, float], bool]
"""(record, wall time in seconds since the epoch) -> does it hold."""


class _Field(NamedTuple):
    kind: str
    """``text``, ``network``, ``duration``, ``age`` or ``number``."""
    key: str
    """Key in the record."""
    help: str


FIELDS: Mapping[str, _Field] = {
    "value": _Field("network", "value", "the address or network lies inside this one"),
    "covers": _Field("covers", "value", "the banned network holds this address"),
    "scenario": _Field("text", "scenario", "behaviour that led to it, or manual, import"),
    "origin": _Field("text", "origin", "node that decided, or cli, import"),
    "proof": _Field("text", "proof", "proven or unproven"),
    "scope": _Field("text", "scope", "ip or range"),
    "type": _Field("text", "type", "ban or limit"),
    "ports": _Field("text", "ports", "ports of the culprit that a limit drops: ports~udp/40001"),
    "reason": _Field("text", "reason", "the line for people"),
    "id": _Field("text", "id", "unique name of the decision"),
    "remaining": _Field("duration", "remaining", "time left: 10m, 1h30m"),
    "duration": _Field("duration", "duration", "whole length of the ban"),
    "time": _Field("age", "time", "age: time<1h is everything of the last hour"),
    "repeats": _Field("number", "repeats", "earlier bans of the same value"),
    "kind": _Field("text", "kind", "class of an alert: scan, enum, bruteforce, flood ..."),
    "severity": _Field("number", "severity", "of an alert, 1 to 4"),
    "confidence": _Field("number", "confidence", "of an alert, 1 to 3"),
    "messages": _Field("number", "messages", "of an alert: requests seen from the source"),
}

_TERM = re.compile(r"([A-Za-z_-]+)(!=|<=|>=|=|~|<|>)(.*)", re.DOTALL)
_TOKEN = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
_QUOTED = re.compile(r""""([^"]*)"|'([^']*)'""")
_IPV4 = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}")
_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled filter; an empty one matches everything."""

    text: str
    tests: tuple[Test, ...]

    def matches(self, record: Record, now: float) -> bool:
        """Tell whether all terms hold for ``record`` at wall time ``now`` (seconds since the epoch)."""
        return all(test(record, now) for test in self.tests)

    def __bool__(self) -> bool:
        return bool(self.tests)


def parse_filter(text: str) -> Filter:
    """Compile a filter; raises InputError that names the bad term and what was probably meant."""
    if len(text) > MAX_FILTER_LENGTH:
        raise InputError(f"filter longer than {MAX_FILTER_LENGTH} characters")
    tests: list[Test] = []
    for token, position in _tokens(text):
        try:
            tests.append(_term(token))
        except InputError as error:
            raise InputError(f"filter term {token!r} at character {position + 1}: {error}") from None
    if len(tests) > MAX_TERMS:
        raise InputError(f"filter of {len(tests)} terms, at most {MAX_TERMS} are allowed")
    return Filter(text.strip(), tuple(tests))


def _tokens(text: str) -> list[tuple[str, int]]:
    """Split at white space outside quotes."""
    tokens = []
    end = 0
    while end < len(text):
        if text[end].isspace():
            end += 1
            continue
        match = _TOKEN.match(text, end)
        if match is None or (match.end() < len(text) and not text[match.end()].isspace()):
            at = end if match is None else match.end()
            raise InputError(f"filter: quote opened at character {at + 1} is never closed")
        tokens.append((match.group(), end))
        end = match.end()
    return tokens


def _term(token: str) -> Test:
    match = _TERM.fullmatch(token)
    if match is None:
        return _bare(token)
    name, operator, raw = match.groups()
    field = FIELDS.get(name.lower())
    if field is None:
        raise InputError(_unknown(name))
    values = [_QUOTED.sub(lambda m: m[1] or m[2] or "", part) for part in raw.split(",")]
    if "" in values:
        raise InputError("a value is missing")
    if len(values) > MAX_VALUES:
        raise InputError(f"{len(values)} values, at most {MAX_VALUES} are allowed")
    if operator in _ORDER:
        if field.kind not in {"duration", "age", "number"} or len(values) > 1:
            raise InputError(f"{operator} compares one number or duration; {name} takes =, != and ~")
        return _compare(field, _ORDER[operator], _number(field, values[0]))
    tests = [_equal(field, value) if operator != "~" else _holds_text(field, value) for value in values]
    return _none_of(tests) if operator == "!=" else _any_of(tests)


def _bare(token: str) -> Test:
    try:
        return _inside(_QUOTED.sub(lambda m: m[1] or m[2] or "", token))
    except InputError:
        pass
    if token.lower() in FIELDS:
        raise InputError(f"needs an operator and a value: {token.lower()}=...")
    raise InputError("neither FIELD=VALUE nor an address or network")


def _unknown(name: str) -> str:
    begun = [field for field in FIELDS if field.startswith(name.lower())]
    close = begun or get_close_matches(name.lower(), FIELDS, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown field {name!r}{meant} (fields: {', '.join(FIELDS)})"


def _any_of(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda record, now: any(test(record, now) for test in tests)


def _none_of(tests: list[Test]) -> Test:
    return lambda record, now: not any(test(record, now) for test in tests)


def _equal(field: _Field, value: str) -> Test:
    if field.kind == "network" and "*" not in value:
        return _inside(value)
    if field.kind == "covers":
        wanted = Network.parse(value)
        return lambda record, _now: _contains(record, wanted)
    if field.kind in {"text", "network"}:
        return _like(field.key, value)
    if ".." in value:
        low, _, high = value.partition("..")
        return _between(field, low, high)
    return _close_to(field, _number(field, value))


def _like(key: str, pattern: str) -> Test:
    # Python's fnmatch translation backtracks little: its stars become atomic groups.
    compiled = re.compile(translate(pattern.lower()))
    return lambda record, _now: compiled.match(str(record.get(key, "")).lower()) is not None


def _holds_text(field: _Field, value: str) -> Test:
    part, key = value.lower(), field.key
    return lambda record, _now: part in str(record.get(key, "")).lower()


def _inside(value: str) -> Test:
    wanted = Network.parse(value)
    if wanted.version == 4:
        # Most records are IPv4 hosts: compare integers instead of building address objects.
        shift = 32 - wanted.length
        prefix = int.from_bytes(wanted.address, "big") >> shift

        def inside(record: Record, _now: float) -> bool:
            text = str(record.get("value", ""))
            if _IPV4.fullmatch(text) is None:
                return _within(text, wanted)
            a, b, c, d = text.split(".")
            return (int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d)) >> shift == prefix

        return inside
    return lambda record, _now: _within(str(record.get("value", "")), wanted)


def _within(text: str, wanted: Network) -> bool:
    if (":" in text) != (wanted.version == 6):
        return False
    try:
        return wanted.contains(Network.parse(text))
    except InputError:
        return False


def _contains(record: Record, wanted: Network) -> bool:
    try:
        return Network.parse(str(record.get("value", ""))).contains(wanted)
    except InputError:
        return False


def _number(field: _Field, text: str) -> float:
    if field.kind != "number":
        return parse_duration(text)
    try:
        return float(int(text))
    except ValueError:
        raise InputError(f"not a whole number: {text!r}") from None


def _read(field: _Field) -> Callable[[Record, float], float | None]:
    key, age = field.key, field.kind == "age"

    def read(record: Record, now: float) -> float | None:
        value = record.get(key)
        if not isinstance(value, int | float):
            return None
        return now - value if age else value

    return read


def _compare(field: _Field, holds: Callable[[float, float], bool], limit: float) -> Test:
    read = _read(field)

    def test(record: Record, now: float) -> bool:
        value = read(record, now)
        return value is not None and holds(value, limit)

    return test


def _between(field: _Field, low: str, high: str) -> Test:
    if not low and not high:
        raise InputError("a range needs at least one end: 1m..10m")
    tests = []
    if low:
        tests.append(_compare(field, _ORDER[">="], _number(field, low)))
    if high:
        tests.append(_compare(field, _ORDER["<="], _number(field, high)))
    return lambda record, now: all(test(record, now) for test in tests)


def _close_to(field: _Field, wanted: float) -> Test:
    # A duration is shown in whole seconds, so equal means "would be shown as this".
    margin = 0.0 if field.kind == "number" else 1.0
    return _compare(field, lambda left, right: abs(left - right) <= margin / 2, wanted)
