"""``shield conference``: which conferences are on, and at which node."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from shield.cli.daemon import ask
from shield.cli.group import CONTEXT, commands
from shield.cli.options import Output, OutputOption, SocketOption
from shield.cli.render import (
    Column,
    emit,
    local_time,
    plural,
    printable,
    write_json,
    write_plain,
)

__all__ = ["app"]

COLUMNS = (
    Column("number", "number", keep=9, cut=True),
    Column("node", "host", keep=8, cut=True),
    Column("server", "server", keep=7, cut=True),
    Column("transport", "by", keep=2),
    Column("since", "since", local_time, keep=5),
    Column("calls", "calls", keep=6, right=True),
    Column("apart", "apart", keep=4, right=True),
)
PLAIN = ("number", "node", "server", "transport", "since", "calls", "apart")

NumberArgument = Annotated[
    str, typer.Argument(metavar="NUMBER", help="Number of the conference.", show_default=False)
]

app = commands("Conferences: all calls to one number meet at the node that answered the first.")


@app.command("list", context_settings=CONTEXT)
def list_conferences(output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """List the conferences that are on, with their hosts.

    Example: `shield conference list`
    """
    rows = ask(socket, "conference.list")
    emit(rows, COLUMNS, output, PLAIN)
    if output is Output.TABLE:
        typer.echo(plural(len(rows), "conference") if rows else "no conferences")


@app.command("show", context_settings=CONTEXT)
def show(number: NumberArgument, output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Show one conference; exit code 1 when it is not on.

    Example: `shield conference show 3001`
    """
    row: dict[str, Any] = ask(socket, "conference.show", number=number)
    if output is Output.JSON:
        write_json(row)
    elif output is Output.PLAIN:
        write_plain([row], PLAIN)
    else:
        for name in PLAIN:
            value = local_time(row[name]) if name == "since" else row[name]
            typer.echo(printable(f"{name:<10}{value}"))


@app.command("release", context_settings=CONTEXT)
def release(
    number: NumberArgument, output: OutputOption = Output.TABLE, socket: SocketOption = ""
) -> None:
    """Take a conference away from its host, on all nodes; the next answered call claims it anew.

    Calls that are on go on where they are.

    Example: `shield conference release 3001`
    """
    answer: dict[str, Any] = ask(socket, "conference.release", number=number)
    if output is Output.JSON:
        write_json(answer)
    elif output is Output.PLAIN:
        write_plain([answer["released"]], PLAIN)
    else:
        row = answer["released"]
        typer.echo(printable(f"{row['number']} was taken from {row['node']} ({row['calls']} calls)"))
