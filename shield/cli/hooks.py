"""``shield hooks``: web servers and programs that are told what happens."""

from __future__ import annotations

import typer

from shield.cli.daemon import ask
from shield.cli.group import CONTEXT, FAILURE, commands
from shield.cli.options import Output, OutputOption, SocketOption
from shield.cli.render import paint, printable, write_json, write_plain

__all__ = ["app"]

LONGEST = 600.0
"""Seconds that a target may take, by its own ``timeout``."""

app = commands("Web servers and programs that are told what happens: test them.")


@app.callback()
def _hooks() -> None:
    """Keep ``test`` a command of its own."""


@app.command("test", context_settings=CONTEXT)
def send_sample(output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Send a sample event to each target and say what came of it.

    Exit code 0 when all took it, 1 when one did not, or when there is none.
    """
    rows = ask(socket, "hooks.test", wait=LONGEST)
    if output is Output.JSON:
        write_json(rows)
    elif output is Output.PLAIN:
        write_plain(rows, ("target", "ok", "message"))
    else:
        for row in rows:
            word = paint("ok", "green") if row["ok"] else paint("failed", "red", bold=True)
            typer.echo(f"{printable(row['target'])}: {word}: {printable(row['message'])}")
        if not rows:
            typer.echo("no hooks are configured ([[hooks.webhook]], [[hooks.exec]])")
    if not rows or not all(row["ok"] for row in rows):
        raise typer.Exit(FAILURE)
