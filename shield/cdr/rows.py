"""How a call is shown: one shape for JSON, one line of columns for CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from shield.cdr.merge import CallRow
from shield.errors import InputError
from shield.net import unpack

__all__ = ["COLUMNS", "call_json", "csv_line"]

COLUMNS = (
    "number", "key", "state", "caller", "called", "account", "source", "server", "started", "rang",
    "answered", "ended", "duration", "status", "node", "nodes", "marks", "call_id", "from_tag", "to_tag",
)  # fmt: skip
"""Keys of a call, in the order of the columns: new ones are only ever added at the end."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a text that begins with one of these for a formula."""


def call_json(number: int | None, row: CallRow) -> dict[str, Any]:
    """One call. Times are seconds since the epoch, null for what has not happened."""
    return {
        "number": number,
        "key": row.key.hex(),
        "state": row.state.value,
        "caller": _text(row.caller),
        "called": _text(row.called),
        "account": _text(row.account),
        "source": _address(row.source),
        "server": _address(row.server),
        "started": _time(row.started),
        "rang": _time(row.rang),
        "answered": _time(row.answered),
        "ended": _time(row.ended),
        "duration": round(row.duration, 3),
        "status": row.status or None,
        "node": row.node,
        "nodes": list(row.nodes),
        "marks": sorted(row.marks),
        "call_id": _text(row.call_id),
        "from_tag": _text(row.from_tag),
        "to_tag": _text(row.to_tag),
    }


def csv_line(call: dict[str, Any]) -> str:
    """The same as a line of CSV (RFC 4180); what a spreadsheet would run gets an apostrophe in front.

    Numbers that are called begin with ``+`` and get one too: ``'+49301234``.
    """
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([_cell(call[name]) for name in COLUMNS])
    return line.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


def _text(octets: bytes) -> str:
    text = octets.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _address(packed: bytes) -> str:
    try:
        return unpack(packed) if packed else ""
    except (InputError, ValueError):
        return ""


def _time(time: float) -> float | None:
    return round(time, 3) if time else None
