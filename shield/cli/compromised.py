"""``shield compromised``: accounts whose password somebody found out, and their calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from shield.cli.daemon import ask, finish
from shield.cli.group import CONTEXT, commands
from shield.cli.options import Output, OutputOption, SocketOption
from shield.cli.render import (
    Column,
    dash,
    emit,
    local_time,
    paint,
    plural,
    printable,
    seconds,
    wrap,
    write_json,
    write_plain,
    write_table,
)
from shield.errors import SystemFailure

__all__ = ["app", "show_account"]

app = commands("Accounts whose password was guessed, and the calls made with them.")

ACCOUNTS = (
    Column("succeeded", "since", local_time, keep=6),
    Column("account", "account", keep=9),
    Column("realm", "realm", dash, keep=4, cut=True),
    Column("value", "source", keep=8),
    Column("how", "how", keep=5),
    Column("guesses", "guesses", keep=3, right=True),
    Column("guessers", "from", keep=2, right=True),
    Column("proof", "proof", keep=3),
    Column("calls_total", "calls", keep=7, right=True),
    Column("node", "node", dash, keep=1),
    Column("id", "id", keep=5),
)
PLAIN = (
    "id", "succeeded", "account", "realm", "value", "how", "guesses", "guessers", "proof", "calls_total",
    "user_agent", "node", "reason",
)  # fmt: skip
"""Keys of a plain line; new ones are only added at the end."""
CALLS = (
    Column("time", "time", local_time, keep=6),
    Column("called", "called", keep=9),
    Column("state", "state", keep=8),
    Column("status", "status", keep=3, right=True),
    Column("duration", "duration", seconds, keep=7, right=True),
    Column("account", "account", dash, keep=4),
    Column("source", "source", keep=5),
    Column("user_agent", "user agent", dash, keep=1, cut=True),
)


@app.command("list", context_settings=CONTEXT)
def list_accounts(
    output: OutputOption = Output.TABLE,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, metavar="N", help="At most N; 0: the newest 100.")
    ] = 0,
    socket: SocketOption = "",
) -> None:
    """List accounts that were taken over, newest first; without a daemon, what its journal says."""
    try:
        rows = ask(socket, "compromised", limit=limit or None)
    except SystemFailure as error:
        from shield.cli.offline import journal_accounts

        rows = journal_accounts(limit or 100, str(error))
    emit(rows, ACCOUNTS, output, PLAIN)
    if output is Output.TABLE:
        typer.echo(plural(len(rows), "account") if rows else "no account was taken over")


@app.command("show", context_settings=CONTEXT)
def show(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="An account (1001 or 1001@realm), address, or id.")
    ],
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Show all that is known: who guessed, when it succeeded, and every call since."""
    rows = ask(socket, "compromised", about=what)
    if output is Output.JSON:
        write_json(rows)
    elif output is Output.PLAIN:
        write_plain(rows, PLAIN)
    else:
        for row in rows:
            show_account(row)


@app.command("clear", context_settings=CONTEXT)
def clear(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Reports as listed.", show_default=False)
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every report.")] = False,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Forget reports that are dealt with: the password was changed."""
    if bool(ids) == everything:
        raise typer.BadParameter("give either ids or --all")
    answer = ask(socket, "compromised.clear", values=ids or None, all=everything or None)
    finish(answer, output, done="cleared")


def show_account(row: Mapping[str, Any], indent: str = "") -> None:
    """Print one report for people."""
    who = printable(f"{row['account']}@{row['realm']}")
    typer.echo(wrap(f"{indent}account {paint(who, 'red', bold=True)} is compromised ({row['id']})", 4))
    lines = [
        printable(row["reason"]),
        f"guessing began {local_time(row['first_guess'])}, login {local_time(row['succeeded'])}",
        f"user agent {printable(dash(row['user_agent']))}",
    ]
    if row["incomplete"]:
        lines.append("it is banned and its requests are skipped: told from the answers")
    for line in lines:
        typer.echo(wrap(f"{indent}  {line}", len(indent) + 4))
    calls: Sequence[Mapping[str, Any]] = row["calls"]
    write_table(calls, CALLS, indent + "  ")
    if row["calls_total"] > len(calls):
        typer.echo(f"{indent}  {plural(row['calls_total'], 'call')} in all")
    elif not calls:
        typer.echo(f"{indent}  no calls")
