"""Conditions of a rule, compiled once: a test on the value of one field of an event."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shield.detect.fields import Field, field
from shield.errors import ConfigError
from shield.sip.event import SipEvent

__all__ = ["Answers", "Condition", "Test", "condition", "repeating"]

MAX_PATTERN = 2_000
"""Longest regular expression in a rule, in characters."""
MAX_VALUE = 4_096
"""A field value is tested up to this many bytes, so no expression meets unbounded text."""

MAX_REMEMBERED = 4_096
"""Answers kept by one test on a field with few different values."""
_REPEATING = ("user-agent", "method", "header.")
"""Fields with few different values: tests on them remember their answers."""

Test = Callable[[bytes], object]


class Answers(dict[bytes, Any]):
    """A test that remembers its answers; looking one up is no call of Python."""

    def __init__(self, test: Test) -> None:
        super().__init__()
        self._test = test

    def __missing__(self, value: bytes) -> Any:
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        answer = self[value] = self._test(value)
        return answer


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
    anchored: bool = False
    """It can match at the start of the value only, so ``match`` says as much as ``search``."""
    negate: bool = False
    """True when a value that fits (or is missing) makes the condition fail."""

    def holds(self, event: SipEvent) -> bool:
        """Whether the event fulfils the condition."""
        value, test = self.read(event), self.test
        if value is None:
            return test is None
        return test is not None and bool(test(value[:MAX_VALUE])) is not self.negate


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
        anchored = _anchored(expression.pattern)
        test: Test = expression.match if anchored else expression.search
        pattern = _mergeable(expression, fold)
        if "needs" in table:
            test = _after(test, _words(table["needs"], fold, f"{where}.needs"), fold)
            pattern = None
        text = f"{name} matches {value}"
        return Condition(name, read, _test(name, test), text, pattern, anchored, negate)
    words = _words(value, fold, f"{where}.{kind}")
    pattern = _scoped(_PATTERNS[kind] % b"|".join(re.escape(word) for word in words), fold)
    anchored = kind != "contains"
    text = f"{name} {kind} {value}"
    return Condition(name, read, _test(name, _TESTS[kind](words, fold)), text, pattern, anchored, negate)


def repeating(name: str) -> bool:
    """Whether a field has few different values."""
    return name.startswith(_REPEATING)


def _test(name: str, test: Test) -> Test:
    # As bool: a remembered match object would keep what it was found in.
    return Answers(lambda value: bool(test(value))).__getitem__ if repeating(name) else test


def _anchored(pattern: bytes) -> bool:
    """Whether each way through the expression begins with ``^``: no branch outside of parentheses.

    ``search`` tries such an expression at every byte, in vain.
    """
    if pattern[:1] != b"^":
        return False
    outside = re.sub(rb"\\.|\[\^?\]?(?:[^\]\\]|\\.)*\]", b"", pattern, flags=re.DOTALL)
    depth = 0
    for byte in outside:
        depth += (byte == 40) - (byte == 41)
        if byte == 124 and not depth:
            return False
    return True


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
    # A byte is found ten times sooner than a word, and most texts have no byte such as a "%".
    if b"" in words:
        return test
    plain = tuple((word[0], word) for word in words if not fold or word.lower() == word.upper())
    folded = tuple(word for word in words if fold and word.lower() != word.upper())

    def found(value: bytes) -> object:
        for byte, word in plain:
            if byte in value and value.find(word) >= 0:
                return test(value)
        if folded:
            text = value.lower()
            for word in folded:
                if text.find(word) >= 0:
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
    # find() and not "in", which tries whether the word is a number before it looks: most of the time
    # that a short value takes.
    if len(words) == 1:
        only = words[0]
        return lambda value: value.find(only) >= 0

    def contains(value: bytes) -> bool:
        for word in words:  # noqa: SIM110 - any() costs twice as much on so few
            if value.find(word) >= 0:
                return True
        return False

    return contains


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
