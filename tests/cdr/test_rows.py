"""shield.cdr.rows: a call as JSON and as a line of CSV."""

from __future__ import annotations

import csv
import io
import json

from shield.cdr.merge import CallRow, merge
from shield.cdr.rows import COLUMNS, call_json, csv_line
from tests.cdr.calls import START, failed, stop


def row(**more: object) -> CallRow:
    made = merge(None, stop()._replace(**more), "a", 0.0)  # type: ignore[arg-type]
    assert made is not None
    return made


def test_all_columns_are_there_in_both_shapes() -> None:
    """And CSV reads back as it was written."""
    call = call_json(7, row())
    assert tuple(call) == COLUMNS
    assert json.loads(json.dumps(call)) == call
    (cells,) = csv.reader(io.StringIO(csv_line(call)))
    found = dict(zip(COLUMNS, cells, strict=True))
    assert (found["number"], found["state"], found["caller"]) == ("7", "answered", "alice")
    assert (found["duration"], found["source"]) == ("60.0", "192.0.2.9")
    assert float(found["answered"]) == START + 6


def test_what_did_not_happen_is_empty() -> None:
    """Null in JSON, nothing in CSV."""
    made = merge(None, failed(), "a", 0.0)
    assert made is not None
    call = call_json(None, made)
    assert (call["number"], call["answered"], call["status"]) == (None, None, 486)
    assert dict(zip(COLUMNS, next(csv.reader([csv_line(call)])), strict=True))["answered"] == ""


def test_no_octets_break_a_line_or_a_spreadsheet() -> None:
    """Commas, quotes, line ends, 8-bit text, and what a spreadsheet would run."""
    call = call_json(1, row(caller=b'=cmd|"x",\r\n\xff', called=b"+4930", account="é".encode()))
    line = csv_line(call)
    assert line.count("\n") == 1
    found = dict(zip(COLUMNS, next(csv.reader([line])), strict=True))
    assert found["caller"].startswith("'=cmd")
    assert found["called"] == "'+4930"
    assert found["account"] == "é"
    assert call["called"] == "+4930"
