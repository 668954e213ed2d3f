"""Section ``[conference]`` of the configuration: numbers whose calls must meet at one node."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from shield.errors import ConfigError

__all__ = ["MAX_NUMBER", "ConferenceSettings"]

MAX_NUMBERS = 64
MAX_PATTERN = 128
"""Characters of a pattern."""
MAX_NUMBER = 64
"""Octets of a number; longer ones are no conference."""


@dataclass(frozen=True, slots=True)
class ConferenceSettings:
    """Which numbers are conferences: the first node that answers a call to one hosts it."""

    numbers: tuple[str, ...] = ()
    """Numbers of conferences, such as ``3xxx``, where ``x`` is one digit, or a regular expression
    between slashes, such as ``/conf-[a-z]+/``. The whole user part must fit. Empty: none."""
    advertise: str = ""
    """Where other proxies reach the SIP server of this node: ``host``, ``host:port``, SIP URI. Empty:
    ``location.advertise``, or the address to which the first call went."""

    def __post_init__(self) -> None:
        problems = []
        if len(self.numbers) > MAX_NUMBERS:
            problems.append(f"conference.numbers: at most {MAX_NUMBERS}")
        for text in self.numbers[:MAX_NUMBERS]:
            try:
                _compile(text)
            except ValueError as error:
                problems.append(f"conference.numbers: {text[:MAX_PATTERN]!r}: {error}")
        if any(c.isspace() or c in '<>"' for c in self.advertise) or len(self.advertise) > 255:
            problems.append("conference.advertise: must be a host, host:port or SIP URI")
        if problems:
            raise ConfigError(*problems)

    def matches(self, number: bytes) -> bool:
        """Whether calls to this user part are a conference."""
        if not 0 < len(number) <= MAX_NUMBER:
            return False
        text = number.decode("utf-8", "surrogateescape")
        return any(_compile(pattern).fullmatch(text) for pattern in self.numbers)


@lru_cache(4 * MAX_NUMBERS)
def _compile(text: str) -> re.Pattern[str]:
    """Expression of a pattern; raises ValueError that says what is wrong."""
    if len(text) > MAX_PATTERN:
        raise ValueError(f"longer than {MAX_PATTERN} characters")
    if len(text) > 1 and text.startswith("/") and text.endswith("/"):
        try:
            return re.compile(text[1:-1], re.ASCII)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"no regular expression: {error}") from None
    if not re.fullmatch(r"[0-9A-Za-z+*#._-]+", text):
        raise ValueError("must be like 3xxx, or a regular expression between slashes")
    return re.compile("".join("[0-9]" if c in "xX" else re.escape(c) for c in text), re.ASCII)
