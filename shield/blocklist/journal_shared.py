"""Replicated records in the journal: what the cluster said survives a restart, unbans included.

A row is written again whenever its record changes, in portions like all other changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isfinite
from typing import Any, NamedTuple

from shield.cluster.entry import Row
from shield.errors import InputError

__all__ = ["FORGET_SHARED", "PUT_SHARED", "SharedRow", "read_shared", "shared_columns"]

PUT_SHARED = "INSERT OR REPLACE INTO shared VALUES (?,?,?,?,?,?,?)"
FORGET_SHARED = "DELETE FROM shared WHERE key = ?"

MAX_BYTES = 1 << 16
"""Octets of a key or value; what is larger was not written by shield."""


class SharedRow(NamedTuple):
    """One record of the replicated map, and what this node does with it."""

    row: Row
    held: bool
    """Not applied: it waits for an operator."""


def shared_columns(rows: Iterable[SharedRow]) -> Iterator[tuple[Any, ...]]:
    """Columns of records; ``read_shared`` is the way back."""
    for row, held in rows:
        yield (*row, int(held))


def read_shared(columns: tuple[Any, ...]) -> SharedRow:
    """Read a row of ``shared``; raises InputError for one that makes no sense."""
    key, origin, stamp, until, value, seal, held = columns
    if (
        type(key) is not bytes
        or not 0 < len(key) <= MAX_BYTES
        or type(origin) is not str
        or type(stamp) is not int
        or type(seal) is not int
        or (value is not None and (type(value) is not bytes or len(value) > MAX_BYTES))
        or type(until) not in (float, int)
        or not isfinite(until)
    ):
        raise InputError("not a shared record")
    return SharedRow((key, origin, stamp, float(until), value, seal), bool(held))
