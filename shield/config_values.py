"""Values of the configuration: from TOML to the types of the settings, and what to say of wrong ones.

It knows no key by name: what may be written, and of which type, is read from the dataclasses.
"""

from __future__ import annotations

import difflib
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal

from shield.durations import parse_duration
from shield.errors import InputError

__all__ = ["choices", "convert", "describe", "field_types", "meant"]


@cache
def field_types(section: type) -> dict[str, Any]:
    """Keys of a table and the type of each, without the tables within it."""
    hints = typing.get_type_hints(section)
    return {
        part.name: hints[part.name]
        for part in fields(section)
        if part.metadata.get("key", True) and part.init and not is_dataclass(hints[part.name])
    }


def convert(value: Any, kind: Any) -> Any:
    """Turn a TOML value into a field's type; raises InputError saying what was expected."""
    origin = typing.get_origin(kind)
    if origin in {typing.Union, types.UnionType}:  # X | None: TOML has no null, so only X is written
        return convert(value, next(part for part in typing.get_args(kind) if part is not type(None)))
    if origin in {tuple, frozenset}:
        if not isinstance(value, list):
            raise InputError(_expected(kind, value))
        inner = typing.get_args(kind)[0]
        if is_dataclass(inner):
            return origin(_entry(entry, inner, number) for number, entry in enumerate(value, 1))
        return origin(convert(entry, inner) for entry in value)
    if origin is Literal or (isinstance(kind, type) and issubclass(kind, Enum)):
        if not isinstance(value, str) or value not in choices(kind):
            raise InputError(_expected(kind, value))
        return value if origin is Literal else kind(value)
    if kind is float:
        return _number(value)
    # type() and not isinstance(): true is no number here, although bool is an int to Python.
    if type(value) is not kind:
        raise InputError(_expected(kind, value))
    return value


def _entry(value: Any, kind: Any, number: int) -> Any:
    """Make one element of a list of tables; raises InputError that names it and its key."""
    if not isinstance(value, dict):
        raise InputError(f"entry {number}: must be a table")
    hints, found = field_types(kind), {}
    for key, given in value.items():
        if key not in hints:
            raise InputError(f"entry {number}: {key}: unknown key{meant(key, hints)}")
        try:
            found[key] = convert(given, hints[key])
        except InputError as error:
            raise InputError(f"entry {number}: {key}: {error}") from None
    try:
        return kind(**found)
    except InputError as error:
        raise InputError(f"entry {number}: {error}") from None


def _number(value: Any) -> float:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(_expected(float, value))
    return float(value)


def choices(kind: Any) -> tuple[str, ...]:
    """Words that a Literal or an enumeration allows."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(str(member.value) for member in kind)
    return typing.get_args(kind)


_WORDS = {
    str: "text in quotes",
    int: "a whole number",
    float: 'a number, or a duration such as "10m"',
    bool: "true or false",
}


def describe(kind: Any) -> str:
    """Say in words what a field takes."""
    origin = typing.get_origin(kind)
    if origin in {typing.Union, types.UnionType}:
        return describe(next(part for part in typing.get_args(kind) if part is not type(None)))
    if origin in {tuple, frozenset}:
        inner = typing.get_args(kind)[0]
        if is_dataclass(inner):
            return "a list of tables"
        return "a list of " + {str: "texts", int: "whole numbers", float: "numbers"}.get(inner, "words")
    if kind in _WORDS:
        return _WORDS[kind]
    return "one of " + ", ".join(f'"{word}"' for word in choices(kind))


def _expected(kind: Any, value: Any) -> str:
    shown = repr(value) if isinstance(value, str | int | float | list) else type(value).__name__
    return f"must be {describe(kind)}, not {shown[:60]}"


def meant(key: str, known: Mapping[str, Any]) -> str:
    """What a wrong key may have been meant to be, for the end of an error."""
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
