"""``shield cdr`` and ``shield calls``: the journal of calls, and the calls that are on now."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from shield.cdr.rows import COLUMNS, csv_line
from shield.cli.daemon import ask, follow
from shield.cli.group import CONTEXT, commands, complain
from shield.cli.options import Output, OutputOption, SocketOption, as_duration
from shield.cli.render import (
    Column,
    dash,
    emit,
    local_time,
    plural,
    printable,
    seconds,
    write_json,
    write_plain,
)
from shield.cli.status import flatten, status_lines

__all__ = ["app", "calls"]

PORTION = 1_000
"""Calls in one answer of the daemon."""

CALLS = (
    Column("number", "no", dash, keep=2, right=True),
    Column("state", "state", keep=9),
    Column("caller", "caller", keep=8, cut=True),
    Column("called", "called", keep=8, cut=True),
    Column("started", "started", local_time, keep=7),
    Column("duration", "lasted", seconds, keep=6, right=True),
    Column("status", "status", dash, keep=4, right=True),
    Column("node", "node", keep=3, cut=True),
    Column("marks", "marks", lambda marks: " ".join(marks) or "-", keep=1, cut=True),
)
LIVE = (
    Column("state", "state", keep=8),
    Column("caller", "caller", keep=8, cut=True),
    Column("called", "called", keep=8, cut=True),
    Column("account", "account", dash, keep=3, cut=True),
    Column("source", "source", keep=6),
    Column("started", "since", local_time, keep=5),
    Column("duration", "talking", seconds, keep=7, right=True),
)
LIVE_PLAIN = ("state", "caller", "called", "account", "source", "started", "duration", "call_id")

UserOption = Annotated[
    str, typer.Option("--user", "-u", metavar="USER", help="Caller, callee or account.")
]
StateOption = Annotated[
    str, typer.Option("--state", metavar="STATE", help="talking, answered, failed or lost.")
]
SinceOption = Annotated[
    str, typer.Option("--since", metavar="DURATION", help="Begun in the last 1h, 2d ...")
]

app = commands("The journal of all calls of the cluster: tail, list, show, export, stats.")


@app.command("list", context_settings=CONTEXT)
def list_calls(
    *,
    user: UserOption = "",
    state: StateOption = "",
    since: SinceOption = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=PORTION)] = 50,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """List calls, the newest first; a node that is no collector asks one.

    Example: `shield cdr list --user 1001 --since 1d`
    """
    rows = ask(socket, "cdr.list", wait=5.0, **_query(user, state, since), limit=limit)
    emit(rows, CALLS, output, COLUMNS)
    if output is Output.TABLE:
        typer.echo(plural(len(rows), "call") if rows else "no calls")


@app.command("show", context_settings=CONTEXT)
def show(
    call: Annotated[str, typer.Argument(metavar="CALL", help="Number, key or Call-ID.")],
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Show everything about a call."""
    rows = ask(socket, "cdr.show", wait=5.0, call=call)
    if output is Output.JSON:
        write_json(rows)
        return
    for row in rows:
        if output is Output.PLAIN:
            write_plain([row], COLUMNS)
            continue
        for name in COLUMNS:
            value = row[name]
            if name in {"started", "rang", "answered", "ended"} and value is not None:
                value = f"{local_time(value)} ({value})"
            elif isinstance(value, list):
                value = " ".join(map(str, value))
            typer.echo(printable(f"{name:<10}{dash(value)}"))


@app.command("tail", context_settings=CONTEXT)
def tail(
    *,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=PORTION)] = 10,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Show the last calls, then each one as the journal learns of it, until Ctrl-C. On a collector."""
    rows = ask(socket, "cdr.list", limit=lines) if lines else []
    for row in [*reversed(rows), None]:
        if row is not None:
            _print_one(row, output)
    for row in follow(socket, "cdr.watch"):
        _print_one(row, output)


@app.command("export", context_settings=CONTEXT)
def export(
    *,
    form: Annotated[
        str, typer.Option("--format", "-f", metavar="csv|jsonl", help="csv or jsonl.")
    ] = "csv",
    user: UserOption = "",
    state: StateOption = "",
    since: SinceOption = "",
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Else to standard output.")
    ] = None,
    socket: SocketOption = "",
) -> None:
    """Write the newest calls, 1,000 at most, as CSV or JSON lines, the oldest first.

    What a spreadsheet would take for a formula, numbers with + too, gets an apostrophe in front.

    Example: `shield cdr export --since 1d --to calls.csv`
    """
    import json

    if form not in {"csv", "jsonl"}:
        raise typer.BadParameter("--format: csv or jsonl")
    rows = ask(socket, "cdr.list", wait=5.0, **_query(user, state, since), limit=PORTION)
    lines = [csv_line(row) for row in reversed(rows)]
    if form == "jsonl":
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in reversed(rows)]
    else:
        lines.insert(0, ",".join(COLUMNS) + "\n")
    if to is None:
        sys.stdout.writelines(lines)
    else:
        to.write_text("".join(lines), "utf-8")
        typer.echo(f"{plural(len(rows), 'call')} written to {to}")
    if len(rows) == PORTION:
        complain(f"only the newest {PORTION} calls: cdr.export in the configuration writes all")


@app.command("stats", context_settings=CONTEXT)
def stats(output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Show what was reported, what waits for which collector, and calls by state."""
    answer: Mapping[str, Any] = ask(socket, "cdr.stats")
    if output is Output.JSON:
        write_json(answer)
    elif output is Output.PLAIN:
        write_plain(({"key": k, "value": v} for k, v in flatten(answer)), ("key", "value"))
    else:
        for line in status_lines(answer):
            typer.echo(line)


def calls(output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """List the calls that ring or are answered at this node now."""
    rows = ask(socket, "calls")
    emit(rows, LIVE, output, LIVE_PLAIN)
    if output is Output.TABLE:
        typer.echo(plural(len(rows), "call") if rows else "no calls")


def _query(user: str, state: str, since: str) -> dict[str, Any]:
    found: dict[str, Any] = {"user": user or None, "state": state or None}
    ago = as_duration(since, "--since") if since else None
    found["since"] = None if ago is None else time.time() - ago
    return found


def _print_one(row: Mapping[str, Any], output: Output) -> None:
    if output is Output.JSON:
        write_json(row)
    elif output is Output.PLAIN:
        write_plain([row], COLUMNS)
    else:
        lasted = f" {seconds(row['duration'])}" if row["state"] == "answered" else ""
        status = f" {row['status']}" if row["state"] == "failed" else ""
        marks = f" ({' '.join(row['marks'])})" if row["marks"] else ""
        who = f"{row['caller']} -> {row['called']}"
        typer.echo(
            printable(f"{local_time(row['started'])} {row['state']}{lasted}{status} {who}{marks}")
        )
    sys.stdout.flush()
