"""Entry point of ``shield``: the table of all commands. Start reading here.

Importing this file loads typer and nothing of shield but the errors; each command brings what it
needs when it is called.
"""

from __future__ import annotations

from typing import Annotated

import typer

from shield.cli.group import CONTEXT, LazyCommand, RootGroup

__all__ = ["COMMANDS", "app", "main"]

_DETECT = "Look at traffic"
_BLOCK = "Blocklist"
_NODE = "Node"
_KNOWN = "What the cluster knows"

COMMANDS = {
    "sniff": LazyCommand("shield.cli.sniff", "sniff", _DETECT),
    "replay": LazyCommand("shield.cli.replay", "replay", _DETECT),
    "inject": LazyCommand("shield.cli.inject", "inject", _DETECT),
    "rules": LazyCommand("shield.cli.rules", "app", _DETECT),
    "compromised": LazyCommand("shield.cli.compromised", "app", _DETECT),
    "list": LazyCommand("shield.cli.blocklist", "list_bans", _BLOCK),
    "show": LazyCommand("shield.cli.show", "show", _BLOCK),
    "ban": LazyCommand("shield.cli.blocklist", "ban", _BLOCK),
    "unban": LazyCommand("shield.cli.blocklist", "unban", _BLOCK),
    "allow": LazyCommand("shield.cli.allow", "app", _BLOCK),
    "export": LazyCommand("shield.cli.exchange", "export", _BLOCK),
    "import": LazyCommand("shield.cli.exchange", "import_bans", _BLOCK),
    "calls": LazyCommand("shield.cli.cdr", "calls", _KNOWN),
    "cdr": LazyCommand("shield.cli.cdr", "app", _KNOWN),
    "conference": LazyCommand("shield.cli.conference", "app", _KNOWN),
    "whereis": LazyCommand("shield.cli.location", "whereis", _KNOWN),
    "run": LazyCommand("shield.cli.run", "run", _NODE),
    "status": LazyCommand("shield.cli.status", "status", _NODE),
    "watch": LazyCommand("shield.cli.status", "watch", _NODE),
    "reload": LazyCommand("shield.cli.status", "reload", _NODE),
    "hooks": LazyCommand("shield.cli.hooks", "app", _NODE),
    "firewall": LazyCommand("shield.cli.firewall", "app", _NODE),
    "cluster": LazyCommand("shield.cli.cluster", "app", _NODE),
    "config": LazyCommand("shield.cli.config", "app", _NODE),
}
"""Command name to where it lives; the order is the order of the help."""


class _Root(RootGroup):
    table = COMMANDS


app = typer.Typer(
    name="shield",
    cls=_Root,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted; replay also 3, watch 4.",
)


def _version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"shield {version('shield-sip')}")
        except PackageNotFoundError:
            typer.echo("shield (not installed)")
        raise typer.Exit


@app.callback()
def _shield(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda value: _version(wanted=value),
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Find SIP attackers on the wire, ban them in the kernel, say why."""


def main() -> None:
    """Run ``shield`` with the arguments of this process."""
    app(prog_name="shield")
