"""``shield cluster ask`` and ``broadcast``: texts to other nodes, for people and scripts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from shield.cli.cluster_daemon import ToOption, ask_cluster, checked_node, no_member
from shield.cli.group import FAILURE, complain
from shield.cli.options import Output, OutputOption, SocketOption, as_duration
from shield.cli.render import printable, seconds, wrap, write_json, write_plain

__all__ = ["ask_nodes", "broadcast", "not_sent"]

MAX_INPUT = 65_536
"""Characters taken from standard input; the daemon refuses what is too long for a text."""

LONGEST_SECONDS = 300.0
"""The daemon waits no longer for replies, whatever it is told."""

TextArgument = Annotated[
    str, typer.Argument(metavar="TEXT", help="One line for the other nodes; - reads standard input.")
]
SelfOption = Annotated[bool, typer.Option("--include-self", help="This node gets it too.")]

_WHY = {
    "local_disabled": "this node takes no part (shield cluster enable)",
    "unreachable": "no other node can be reached",
    "failed": "too long, or too much waits to be sent already",
}


def ask_nodes(
    text: TextArgument,
    *,
    node: ToOption = "",
    timeout: Annotated[
        str, typer.Option("--timeout", "-t", metavar="DURATION", help="Wait so long for replies.")
    ] = "2s",
    include_self: SelfOption = False,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Ask other nodes a text and print node and reply of each; `shield cluster listen` replies there.

    Nodes that could not reply or said nothing are told on standard error. Exit code 0 when there
    was at least one reply, else 1.

    Example: `shield cluster ask "where is alice"`

    Example: `shield cluster ask --node pbx-2 --timeout 500ms ping`
    """
    patience = as_duration(timeout, "--timeout") or 0.0
    if patience > LONGEST_SECONDS:
        raise typer.BadParameter(f"--timeout: at most {seconds(LONGEST_SECONDS)}")
    if node:
        checked_node(node)
    answer = ask_cluster(
        socket,
        "cluster.ask",
        wait=patience,
        text=_read(text),
        node=node or None,
        timeout=patience,
        include_self=include_self or None,
    )
    replies: Mapping[str, str] = answer.get("replies") or {}
    if output is Output.JSON:
        write_json(answer)
    elif output is Output.PLAIN:
        write_plain(({"node": name, "text": said} for name, said in replies.items()), ("node", "text"))
    else:
        width = max(map(len, replies), default=0) + 2
        for name, said in replies.items():
            typer.echo(wrap(printable(f"{name:<{width}}{said}"), width))
    if answer.get("result") != "sent":
        complain(f"not sent: {not_sent(answer, node, socket)}")
    for name, why in (answer.get("failures") or {}).items():
        complain(printable(f"{name}: {why}"))
    for name in answer.get("missing") or ():
        complain(printable(f"{name}: no reply within {seconds(patience)}"))
    if not replies:
        raise typer.Exit(FAILURE)


def broadcast(
    text: TextArgument,
    *,
    node: ToOption = "",
    include_self: SelfOption = False,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Send a text to all nodes that can be reached, or to one; `shield cluster listen` shows it there.

    The result is sent, local disabled, unreachable or failed. Exit code 0 only when it was sent.

    Example: `shield cluster broadcast "alice moved to pbx-2"`

    Example: `date | shield cluster broadcast --node pbx-2 -`
    """
    if node:
        checked_node(node)
    answer = ask_cluster(
        socket,
        "cluster.broadcast",
        text=_read(text),
        node=node or None,
        include_self=include_self or None,
    )
    result = str(answer.get("result"))
    if output is Output.JSON:
        write_json(answer)
    else:
        typer.echo(result if output is Output.PLAIN else result.replace("_", " "))
    if result != "sent":
        complain(f"not sent: {not_sent(answer, node, socket)}")
        raise typer.Exit(FAILURE)


def not_sent(answer: Mapping[str, Any], node: str, socket: str) -> str:
    """Say why a text was not sent, and which node may have been meant."""
    result = str(answer.get("result"))
    if node and result == "unreachable":
        return no_member(socket, node) or f"{node} cannot be reached"
    return _WHY.get(result, result.replace("_", " "))


def _read(text: str) -> str:
    """The text, or that of standard input without the line end that ``echo`` adds."""
    return sys.stdin.read(MAX_INPUT).removesuffix("\n") if text == "-" else text
