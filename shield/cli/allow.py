"""``shield allow``: addresses, networks and names that are never banned."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from shield.cli.columns import ALLOWED, ALLOWED_PLAIN
from shield.cli.daemon import ask, finish
from shield.cli.group import CONTEXT, commands
from shield.cli.options import (
    DurationOption,
    FilterArgument,
    Output,
    OutputOption,
    ReasonOption,
    SocketOption,
    as_duration,
    as_filter,
)
from shield.cli.render import emit, plural

__all__ = ["app"]

Values = Annotated[
    list[str],
    typer.Argument(metavar="VALUE", help="Addresses, networks or host names."),
]


class _AddByDefault(TyperGroup):
    """``shield allow 192.0.2.1`` is short for ``shield allow add 192.0.2.1``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        # Something with a dot or colon is an address or host name, no command of ours.
        if args[0] not in self.commands and ("." in args[0] or ":" in args[0]):
            args = ["add", *args]
        return super().resolve_command(ctx, args)


app = commands(
    "Addresses, networks and names that are never banned: add, remove, list.", cls=_AddByDefault
)


@app.command("add", context_settings=CONTEXT)
def add(
    values: Values,
    *,
    time: DurationOption = "",
    reason: ReasonOption = "",
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Allow values, for good or --for a while; bans of them end at once.

    `shield allow VALUE` is the same.
    """
    answer = ask(
        socket, "allow.add", values=values, duration=as_duration(time, "--for"), reason=reason or None
    )
    finish(answer, output, done="allowed")


@app.command("remove", context_settings=CONTEXT)
def remove(values: Values, output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Take values out of the allowlist; those in the configuration file must be changed there."""
    finish(ask(socket, "allow.remove", values=values), output, done="no longer allowed:")


@app.command("list", context_settings=CONTEXT)
def list_allowed(
    terms: FilterArgument = None, output: OutputOption = Output.TABLE, socket: SocketOption = ""
) -> None:
    """List what is allowed, with the filters of `shield list`."""
    text = as_filter(terms)
    rows = ask(socket, "allow.list", filter=text or None)
    emit(rows, ALLOWED, output, ALLOWED_PLAIN)
    if output is Output.TABLE:
        typer.echo(plural(len(rows), "entry") if rows else "nothing is allowed")
