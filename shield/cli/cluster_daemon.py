"""What the commands of ``shield cluster`` share: questions to the daemon, names of nodes, a last yes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar

import typer

from shield.cli.daemon import ask
from shield.cli.group import FAILURE
from shield.cli.options import socket_path
from shield.control.client import Client
from shield.errors import InputError, ShieldError

__all__ = [
    "RESTART",
    "NodeArgument",
    "ToOption",
    "ask_chosen",
    "ask_cluster",
    "checked",
    "checked_node",
    "chosen",
    "complete_node",
    "confirm",
    "is_unknown",
    "no_member",
]

RESTART = "restart `shield run` to take part"

COMPLETION_SECONDS = 1.0
"""A shell that completes a name does not wait longer for the daemon."""

OF_ALL = frozenset({"cluster.list", "cluster.run", "cluster.audit"})
"""Commands that mean no single cluster, or the main one."""

chosen: list[str] = []
"""The further cluster that ``shield cluster --cluster NAME`` means; of this one command."""

Value = TypeVar("Value")


def complete_node(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of members for the shell; without a daemon there are none, and no error either."""
    try:
        with Client(socket_path(ctx.params.get("socket") or ""), timeout=COMPLETION_SECONDS) as client:
            rows = client.call("cluster.members")
    except ShieldError:
        return []
    return [row["name"] for row in rows if row["name"].startswith(incomplete)]


NodeArgument = Annotated[
    str, typer.Argument(metavar="NODE", help="Name of the node.", autocompletion=complete_node)
]
ToOption = Annotated[
    str,
    typer.Option(
        "--node",
        metavar="NODE",
        help="Only this node. Default: all that can be reached.",
        show_default=False,
        autocompletion=complete_node,
    ),
]


def ask_cluster(socket: str, command: str, *, wait: float = 0.0, **arguments: Any) -> Any:
    """Ask one question; a daemon older than the command is told as what it is."""
    try:
        return ask_chosen(socket, command, wait=wait, **arguments)
    except InputError as error:
        if is_unknown(error):
            raise InputError(f"the daemon that runs knows no clusters; {RESTART}") from None
        raise


def ask_chosen(socket: str, command: str, *, wait: float = 0.0, **arguments: Any) -> Any:
    """Ask about the cluster that is meant: the main one, or that of ``--cluster``."""
    if chosen and command not in OF_ALL:
        arguments["cluster"] = chosen[-1]
    return ask(socket, command, wait=wait, **arguments)


def is_unknown(error: ShieldError) -> bool:
    """Whether a daemon that is older than this command answered."""
    return "unknown command" in str(error)


def checked(check: Callable[..., Value], *values: str) -> Value:
    """Give what ``check`` gives; a wrong value is wrong usage."""
    try:
        return check(*values)
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


def checked_node(name: str) -> str:
    """Give back the name of a node; what can be none is wrong usage, before anybody is asked."""
    from shield.cluster.names import check_name

    return checked(check_name, name)


def no_member(socket: str, name: str) -> str:
    """Say that there is no such member, with what may have been meant; empty when there is."""
    known = [row["name"] for row in ask_cluster(socket, "cluster.members")]
    if name in known:
        return ""
    close = get_close_matches(name, known, n=1)
    return f"no member {name!r}" + (f", did you mean {close[0]!r}?" if close else "")


def confirm(question: str, refusal: str, *, yes: bool) -> None:
    """Go on after a yes; without a terminal to ask at, only --yes is one (else wrong usage)."""
    if yes:
        return
    if not _at_terminal():
        raise typer.BadParameter(f"{refusal}; --yes says that this is meant")
    if not typer.confirm(question):
        raise typer.Exit(FAILURE)


def _at_terminal() -> bool:
    return sys.stdin.isatty()
