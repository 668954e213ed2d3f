"""A TOML table that is read key by key, so that every mistake in it is reported with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shield.durations import parse_duration
from shield.errors import ConfigError, InputError

__all__ = ["Table"]


class Table:
    """A TOML table that names itself in errors and knows which keys were read."""

    def __init__(self, data: Mapping[str, Any], where: str, problems: list[str]) -> None:
        self._left = dict(data)
        self.where = where
        self.problems = problems

    def take(self, key: str, kinds: type | tuple[type, ...], default: Any) -> Any:
        """Take a value of the wanted type; its default when it is missing or wrong."""
        value = self._left.pop(key, default)
        wrong = not isinstance(value, kinds) or (isinstance(value, bool) and kinds is int)
        if value is not default and wrong:
            self.problems.append(f"{self.where}.{key}: wrong type ({type(value).__name__})")
            return default
        return value

    def number(self, key: str, default: int, low: int, high: int) -> int:
        """Take a whole number within bounds."""
        value = self.take(key, int, default)
        if not low <= value <= high:
            self.problems.append(f"{self.where}.{key}: must be {low} to {high}")
            return default
        return int(value)

    def seconds(self, key: str, default: float, high: float) -> float:
        """Take a duration: seconds, or a text such as ``10m``."""
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
        """Take a text or a list of texts, each one of ``allowed``."""
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

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        """Take one of the ``allowed`` texts; empty when the key is missing."""
        words = self.words(key, (), allowed) if key in self._left else ()
        return words[0] if words else ""

    def table(self, key: str) -> Table:
        """Take a table inside this one."""
        return Table(
            self.take(key, dict, {}), f"{self.where}.{key}" if key else self.where, self.problems
        )

    def compile(self, read: Any, *arguments: Any) -> Any:
        """Give what ``read`` makes of the arguments, None after a mistake."""
        try:
            return read(*arguments)
        except ConfigError as error:
            self.problems.extend(error.problems)
            return None

    def rest(self) -> dict[str, Any]:
        """What was not taken yet."""
        return self._left

    def end(self) -> None:
        """Report the keys that nobody took."""
        self.problems += [f"{self.where}.{key}: unknown key" for key in self._left]
