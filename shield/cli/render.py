"""Results on the terminal: a table that fits it, JSON, or plain lines for scripts.

One list of columns says everything about a table: titles, what may be cut, what is dropped first
on a narrow terminal. Tables of bans are laid out here and not by rich, which needs 3.5 s for
10,000 rows (measured); rich draws what is live or rare: progress, ``sniff``, help.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import typer

from shield.cli.options import Output
from shield.durations import format_duration

__all__ = [
    "Column",
    "colours",
    "dash",
    "emit",
    "fit",
    "local_time",
    "paint",
    "plural",
    "printable",
    "seconds",
    "table_lines",
    "terminal_width",
    "wrap",
    "write_json",
    "write_plain",
    "write_table",
]

GAP = "  "
READABLE = 20
"""A text cut to less says so little that its column is rather dropped."""
SHORTEST_CUT = 8
"""What is left of a cut column when there is no other to drop."""

Row = Mapping[str, Any]


class Column(NamedTuple):
    """One column of a table."""

    key: str
    """Key in the row."""
    title: str
    show: Callable[[Any], str] = str
    """Text of the value for people."""
    keep: int = 5
    """Importance 1 to 9; on a narrow terminal the lowest is dropped first, 9 never."""
    cut: bool = False
    """May be shortened with an ellipsis."""
    right: bool = False
    colour: Callable[[Row], str] | None = None
    """Name of a terminal colour for the row's cell, or an empty text."""


def emit(
    rows: Sequence[Row], columns: Sequence[Column], output: Output, plain: Sequence[str] = ()
) -> None:
    """Print rows in the format that was asked for; ``plain`` are the keys of plain output."""
    if output is Output.JSON:
        write_json(rows)
    elif output is Output.PLAIN:
        write_plain(rows, plain or [column.key for column in columns])
    else:
        write_table(rows, columns)


def write_table(rows: Sequence[Row], columns: Sequence[Column], indent: str = "") -> None:
    """Heading and rows, as wide as the terminal and ``indent`` from its left; nothing without rows."""
    if rows:
        width = terminal_width()
        lines = table_lines(rows, columns, width - len(indent) if width else None, colour=colours())
        sys.stdout.writelines(f"{indent}{line}\n" for line in lines)


def write_json(data: Any) -> None:
    """One document; a list has one record per line, so it can be compared and read while it comes."""
    if isinstance(data, list | tuple):
        lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in data)
        sys.stdout.write(f"[\n{lines}\n]\n" if data else "[]\n")
    else:
        sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")


def write_plain(rows: Iterable[Row], keys: Sequence[str]) -> None:
    """Tab separated values as they are, no heading, one row per line."""
    sys.stdout.writelines("\t".join(_flat(row.get(key)) for key in keys) + "\n" for row in rows)


def table_lines(
    rows: Sequence[Row], columns: Sequence[Column], width: int | None, *, colour: bool
) -> list[str]:
    """Heading and rows as lines of at most ``width`` characters (None: as wide as it needs)."""
    # Column by column: with 100,000 rows a call for each cell is what takes the time.
    cells = [_cells(rows, column) for column in columns]
    widths = [
        max(len(column.title), max(map(len, texts), default=0))
        for column, texts in zip(columns, cells, strict=True)
    ]
    chosen = _fit(columns, widths, width)
    heading = _lines([_padded([columns[i].title.upper()], columns[i], n) for i, n in chosen.items()])
    if colour:
        heading = [typer.style(line, bold=True) for line in heading]
    shown = []
    for index, size in chosen.items():
        column = columns[index]
        texts = _padded(cells[index], column, size)
        if colour and column.colour is not None:
            texts = [_styled(text, column.colour(row)) for text, row in zip(texts, rows, strict=True)]
        shown.append(texts)
    return heading + _lines(shown)


def _cells(rows: Sequence[Row], column: Column) -> list[str]:
    key, show = column.key, column.show
    texts = [show(row.get(key)) for row in rows]
    return texts if "".join(texts).isprintable() else [printable(text) for text in texts]


def _padded(texts: Sequence[str], column: Column, size: int) -> list[str]:
    pad = str.rjust if column.right else str.ljust
    return [pad(text if len(text) <= size else _cut(text, size), size) for text in texts]


def _styled(text: str, colour: str) -> str:
    return typer.style(text, fg=colour) if colour else text


def _lines(cells: Sequence[Sequence[str]]) -> list[str]:
    return [GAP.join(line).rstrip() for line in zip(*cells, strict=True)]


def _fit(columns: Sequence[Column], widths: Sequence[int], width: int | None) -> dict[int, int]:
    """Index to width of the columns that are shown.

    Long texts are cut as long as they stay readable, then the least important column is dropped.
    """
    chosen = dict(enumerate(widths))
    while width is not None and (over := _total(chosen) - width) > 0:
        droppable = [i for i in chosen if columns[i].keep < 9]
        least = READABLE if droppable else SHORTEST_CUT
        room = {i: chosen[i] - max(least, len(columns[i].title)) for i in chosen if columns[i].cut}
        room = {i: spare for i, spare in room.items() if spare > 0}
        if sum(room.values()) >= over or not droppable:
            for index in sorted(room, key=lambda i: columns[i].keep):
                less = min(room[index], over)
                chosen[index] -= less
                over -= less
            break
        del chosen[min(droppable, key=lambda i: (columns[i].keep, -i))]
    return chosen


def _total(chosen: Mapping[int, int]) -> int:
    return sum(chosen.values()) + len(GAP) * (len(chosen) - 1)


def _cut(text: str, size: int) -> str:
    if len(text) <= size:
        return text
    mark = "…" if _unicode() else "~"
    return text[: size - 1] + mark


def printable(value: str) -> str:
    """Give the text with what a terminal would act on replaced by question marks."""
    # Values come from attackers: nothing may move the cursor or start a new line.
    return value if value.isprintable() else "".join(c if c.isprintable() else "?" for c in value)


def _flat(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return " ".join(value.split("\t")) if value.isprintable() else printable(value)
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=True)
    return str(value)


def terminal_width() -> int | None:
    """Give the columns of the terminal; None where output goes to a file or pipe, which has no edge."""
    if os.environ.get("COLUMNS", "").isdigit() or sys.stdout.isatty():
        return max(20, shutil.get_terminal_size().columns)
    return None


def _unicode() -> bool:
    return "utf" in (getattr(sys.stdout, "encoding", None) or "").lower()


def colours() -> bool:
    """Tell whether standard output is a terminal that wants colours (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, *, bold: bool = False) -> str:
    """Colour a text where standard output takes colours."""
    return typer.style(text, fg=colour or None, bold=bold) if colours() else text


def seconds(value: Any) -> str:
    """Show a humane duration, or a dash."""
    return format_duration(float(value)) if isinstance(value, int | float) else "-"


def fit(text: str) -> str:
    """Cut a line at the edge of the terminal and make it harmless; whole in a pipe."""
    width = terminal_width()
    return printable(text) if width is None else _cut(printable(text), width)


def wrap(line: str, indent: int) -> str:
    """Break a line at the edge of the terminal, going on ``indent`` characters from its left."""
    width = terminal_width()
    if width is None or len(line) <= width:
        return line
    return textwrap.fill(line, width, subsequent_indent=" " * indent, break_on_hyphens=False)


def dash(value: Any) -> str:
    """Show the value, or a dash for nothing."""
    return "-" if value in (None, "", [], ()) else str(value)


def local_time(value: Any) -> str:
    """Show date and time where the reader is."""
    if not isinstance(value, int | float):
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))


def plural(count: int, noun: str) -> str:
    """``1 ban``, ``2,345 bans``, ``2 matches``."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{count:,} {noun[:-1]}ies"
    return f"{count:,} {noun}{'es' if noun.endswith(('s', 'ch')) else 's'}"
