"""Tables, plain lines and JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shield.cli.options import Output
from shield.cli.render import Column, dash, emit, local_time, plural, printable, seconds, table_lines

COLUMNS = (
    Column("a", "address", keep=9),
    Column("b", "note", keep=3, cut=True),
    Column("c", "count", keep=1, right=True),
)
ROWS = [{"a": "192.0.2.1", "b": "x" * 40, "c": 5}]


def test_a_table_as_wide_as_it_needs() -> None:
    """Without an edge nothing is cut."""
    head, row = table_lines(ROWS, COLUMNS, None, colour=False)
    assert head.split() == ["ADDRESS", "NOTE", "COUNT"]
    assert row.split() == ["192.0.2.1", "x" * 40, "5"]


@pytest.mark.parametrize("width", [20, 30, 45])
def test_a_table_fits(width: int) -> None:
    """What may be cut is cut, then the least important is dropped; the address stays."""
    lines = table_lines(ROWS, COLUMNS, width, colour=False)
    assert max(map(len, lines)) <= width
    assert lines[1].startswith("192.0.2.1")


def test_a_column_is_dropped_before_a_more_important_one_is_cut_to_nothing() -> None:
    """At 40 characters the note goes, not the scenario; at 60 the note is cut and still readable."""
    columns = (
        Column("a", "address", keep=9),
        Column("s", "scenario", keep=8, cut=True),
        Column("b", "note", keep=2, cut=True),
    )
    rows = [{"a": "192.0.2.1", "s": "options-enumeration", "b": "y" * 50}]
    assert table_lines(rows, columns, 40, colour=False)[1] == "192.0.2.1  options-enumeration"
    assert len(table_lines(rows, columns, 60, colour=False)[1]) == 60


def test_plain_is_one_line_per_row(capsys: Any) -> None:
    """Tabs and line ends inside a value cannot make another column or row."""
    emit([{"a": "x\ty\nz", "b": None}], COLUMNS, Output.PLAIN, ("a", "b"))
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert out.count("\t") == 1


@pytest.mark.parametrize("rows", [[], ROWS, ROWS * 3])
def test_json_is_one_document(rows: list[Any], capsys: Any) -> None:
    """Any number of rows gives a list."""
    emit(rows, COLUMNS, Output.JSON)
    assert json.loads(capsys.readouterr().out) == rows


def test_small_words() -> None:
    """Counts, durations, nothing."""
    assert [plural(n, "ban") for n in (0, 1, 2345)] == ["0 bans", "1 ban", "2,345 bans"]
    assert (plural(2, "entry"), plural(2, "match")) == ("2 entries", "2 matches")
    assert (seconds(90), seconds(None)) == ("1m 30s", "-")
    assert (dash(None), dash(0), dash("x")) == ("-", "0", "x")
    assert local_time(None) == "-"
    assert printable("a\x1bb") == "a?b"
