"""Conditions of a rule, compiled once: a test on the value of one field of an event."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shield.detect.fields import Field, field
from shield.errors import ConfigError
from shield.sip.event import SipEvent

__all__ = ["Condition", "condition"]

MAX_PATTERN = 2_000
"""Longest regular expression in a rule, in characters."""
MAX_VALUE = 4_096
"""A field value is tested up to this many bytes, so no expression meets unbounded text."""

Test = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Condition:
    """One test on one field."""

    name: str
    """Field name as in the rule file."""
    read: Field
    test: Test | None
    """Truthy when the value fits; None asks for absence."""
    text: str
    """How the rule file puts it, for people."""
    pattern: bytes | None = None
    """The same test as a regular expression without groups, so that several can be merged."""
    negate: bool = False
    """True when a value that fits (or is missing) makes the condition fail."""

    def holds(self, event: SipEvent) -> bool:
        """Whether the event fulfils the condition."""
        value = self.read(event)
        if self.test is None:
            return value is None
        if value is None:
            return False
        return bool(self.test(value[:MAX_VALUE])) is not self.negate


def condition(name: str, table: Mapping[str, Any], where: str) -> Condition:
    """Compile ``{ regex = ..., ignore_case = true }``, ``{ set = [...] }``, ``{ prefix = [...] }``,
    ``{ contains = [...] }`` or ``{ absent = true }``; ``not = true`` turns a test round and
    ``needs = [...]`` spares the expression when none of these texts is in the value.

    Raises ConfigError naming ``where``.
    """  # noqa: D205
    keys = set(table)
    kinds = keys & {"regex", "set", "prefix", "contains", "absent"}
    unknown = keys - kinds - {"ignore_case", "not", *(("needs",) if "regex" in kinds else ())}
    if unknown or len(kinds) != 1:
        raise ConfigError(
            f"{where}: expected one of regex, set, prefix, contains, absent; got {sorted(keys)}"
        )
    kind = kinds.pop()
    value, fold = table[kind], bool(table.get("ignore_case", False))
    negate = bool(table.get("not", False))
    read = field(name, where)
    if kind == "absent":
        if value is not True:
            raise ConfigError(f"{where}.absent: must be true")
        return Condition(name, read, None, f"{name} is absent")
    if kind == "regex":
        expression = _expression(value, fold, f"{where}.regex")
        test: Test = expression.search
        pattern = _mergeable(expression, fold)
        if "needs" in table:
            test = _after(test, _words(table["needs"], fold, f"{where}.needs"), fold)
            pattern = None
        return Condition(name, read, test, f"{name} matches {value}", pattern, negate)
    words = _words(value, fold, f"{where}.{kind}")
    pattern = _scoped(_PATTERNS[kind] % b"|".join(re.escape(word) for word in words), fold)
    return Condition(name, read, _TESTS[kind](words, fold), f"{name} {kind} {value}", pattern, negate)


def _scoped(pattern: bytes, fold: bool) -> bytes:
    return (b"(?i:" if fold else b"(?:") + pattern + b")"


def _mergeable(expression: re.Pattern[bytes], fold: bool) -> bytes | None:
    """The expression as a part of a longer one; None when it numbers groups or sets flags for itself."""
    pattern = _scoped(expression.pattern, fold)
    try:
        return None if re.compile(pattern).groups else pattern
    except re.error:
        return None


def _after(test: Test, words: tuple[bytes, ...], fold: bool) -> Test:
    """The test, asked only when one of the words is there: searching a word costs a tenth."""
    # Words without letters are looked for as they are: folding a whole header costs as much as a search.
    plain = tuple(word for word in words if not fold or word.lower() == word.upper())
    folded = tuple(word for word in words if word not in plain)

    def found(value: bytes) -> object:
        for word in plain:
            if word in value:
                return test(value)
        if folded:
            text = value.lower()
            for word in folded:
                if word in text:
                    return test(value)
        return None

    return found


def _expression(value: Any, fold: bool, where: str) -> re.Pattern[bytes]:
    if not isinstance(value, str) or len(value) > MAX_PATTERN:
        raise ConfigError(f"{where}: must be a text of at most {MAX_PATTERN} characters")
    try:
        return re.compile(value.encode(), re.IGNORECASE if fold else 0)
    except re.error as error:
        raise ConfigError(f"{where}: {error}") from None


def _words(value: Any, fold: bool, where: str) -> tuple[bytes, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(item, str) for item in values):
        raise ConfigError(f"{where}: must be a text or a list of texts")
    return tuple((item.lower() if fold else item).encode() for item in values)


def _in_set(words: tuple[bytes, ...], fold: bool) -> Test:
    chosen = frozenset(words)
    return (lambda value: value.lower() in chosen) if fold else chosen.__contains__


def _prefix(words: tuple[bytes, ...], fold: bool) -> Test:
    return (
        (lambda value: value.lower().startswith(words))
        if fold
        else (lambda value: value.startswith(words))
    )


def _contains(words: tuple[bytes, ...], fold: bool) -> Test:
    if fold:
        return lambda value: any(word in value.lower() for word in words)
    if len(words) == 1:
        only = words[0]
        return lambda value: only in value
    return lambda value: any(word in value for word in words)


_TESTS: dict[str, Callable[[tuple[bytes, ...], bool], Test]] = {
    "set": _in_set,
    "prefix": _prefix,
    "contains": _contains,
}
_PATTERNS: dict[str, bytes] = {
    "set": rb"^(?:%s)\Z",
    "prefix": rb"^(?:%s)",
    "contains": rb"(?:%s)",
}
