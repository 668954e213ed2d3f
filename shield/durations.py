"""Durations as people write them: ``1h30m``, ``90``, ``7 days``, ``59m49s764ms``.

One reader and one writer for configuration, command line, imports and tables, so that what one
part prints every other part reads. Reads what nft, ipset, CrowdSec and fail2ban print too.
"""

from __future__ import annotations

import re
from math import isfinite

from shield.errors import InputError

__all__ = ["MAX_DURATION", "format_duration", "parse_duration"]

MAX_DURATION = 10 * 366 * 86400.0
"""Ten years in seconds: a longer one is a mistake of units."""

MAX_TEXT = 64
"""Characters: the longest sensible spelling with all units and nanoseconds has under 40."""

_UNITS = {
    "w": 604800.0,
    "week": 604800.0,
    "weeks": 604800.0,
    "d": 86400.0,
    "day": 86400.0,
    "days": 86400.0,
    "h": 3600.0,
    "hour": 3600.0,
    "hours": 3600.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "minutes": 60.0,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
}
_PART = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)\s*([a-zµ]{1,7})\s*")
_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,18})?")
_STEPS = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def parse_duration(text: str) -> float:
    """Read a duration in seconds; a bare number is seconds.

    Raises InputError for anything else, for a repeated unit and for more than MAX_DURATION.
    """
    plain = text.strip().lower()
    if not plain or len(plain) > MAX_TEXT:
        raise InputError(f"not a duration: {text[:MAX_TEXT]!r} (write 90, 10m, 1h30m or 7d)")
    seconds = float(plain) if _NUMBER.fullmatch(plain) else _sum_of_parts(plain)
    if not isfinite(seconds) or seconds > MAX_DURATION:
        raise InputError(f"duration too long: {text!r} (at most {format_duration(MAX_DURATION)})")
    return seconds


def _sum_of_parts(plain: str) -> float:
    total, position, seen = 0.0, 0, set[float]()
    while position < len(plain):
        part = _PART.match(plain, position)
        unit = _UNITS.get(part[2]) if part else None
        if part is None or unit is None or unit in seen:
            raise InputError(f"not a duration: {plain!r} (write 90, 10m, 1h30m or 7d)")
        seen.add(unit)
        total += float(part[1]) * unit
        position = part.end()
    return total


def format_duration(seconds: float) -> str:
    """Show the two largest units, all that a reader wants: ``1h 30m``, ``2.5s``, ``250ms``."""
    if not isfinite(seconds):
        return "forever"
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds < 0.9995:
        return f"{round(seconds * 1000)}ms" if seconds >= 0.0005 else "0s"
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    rest = round(seconds)
    parts: list[str] = []
    for name, size in _STEPS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{name}")
        elif parts:
            break  # "1w 5s" would pretend a precision that "1w" does not need
        if len(parts) == 2:
            break
    return " ".join(parts)
