"""``shield cluster capability``: which features take part in the cluster, on which node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from shield.cli.cluster_daemon import ask_cluster, checked_node, complete_node
from shield.cli.group import CONTEXT, commands
from shield.cli.options import Output, OutputOption, SocketOption
from shield.cli.render import Column, dash, emit, printable, seconds, wrap, write_json

__all__ = ["app"]

Row = Mapping[str, Any]

app = commands(
    "Features that take part in the cluster: list those of all nodes, switch those of this one.\n\n"
    "What is disabled neither sends nor takes messages; the others see that, and send it none."
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the capability.")]
NodeOption = Annotated[
    str,
    typer.Option(
        "--node",
        metavar="NODE",
        help="Only those of this node. Default: of all.",
        show_default=False,
        autocompletion=complete_node,
    ),
]

_COLOURS = {"synced": "green", "pending": "yellow", "in progress": "yellow", "disabled": "yellow"}


def _shown(row: Row) -> str:
    if not row.get("enabled"):
        return "disabled"
    fetching = row.get("state") == "in progress"
    return f"{row['state']} {row.get('percent')} %" if fetching else str(row.get("state") or "")


_COLUMNS = (
    Column("node", "node", keep=9, cut=True),
    Column("name", "capability", keep=9, cut=True),
    Column("shown", "state", dash, keep=8, colour=lambda row: _COLOURS.get(str(row.get("state")), "")),
    Column("since", "since", seconds, keep=5, right=True),
    Column("source", "from", dash, keep=4, cut=True),
)
_PLAIN = ("node", "name", "enabled", "state", "percent", "source", "since")


@app.command("list", context_settings=CONTEXT)
def list_capabilities(
    node: NodeOption = "", output: OutputOption = Output.TABLE, socket: SocketOption = ""
) -> None:
    """List the capabilities of all nodes that can be reached, this one's first.

    STATE tells whether the data is the same as on the other nodes: not synced (nobody to compare
    with), pending (something differs), in progress (it is fetched) or synced; since when, and from
    whom it came last. Traffic of this node: `shield cluster capabilities`.

    Example: `shield cluster capability list`

    Example: `shield cluster capability list --node pbx-2 -o json`
    """
    if node:
        checked_node(node)
    rows: Sequence[Row] = ask_cluster(socket, "cluster.capability.list", node=node or None)
    if output is Output.TABLE:
        rows = [{**row, "shown": _shown(row)} for row in rows]
    emit(rows, _COLUMNS, output, _PLAIN)


@app.command("enable", context_settings=CONTEXT)
def enable(name: NameArgument, output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Send and take messages of a capability again; what was missed is fetched.

    Example: `shield cluster capability enable blocklist`
    """
    _switch(name, "enable", output, socket)


@app.command("disable", context_settings=CONTEXT)
def disable(name: NameArgument, output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Neither send nor take messages of a capability, until `enable` or the daemon's next start.

    What it has learned stays. Which take part from the start says `[cluster] capabilities`.

    Example: `shield cluster capability disable evidence`
    """
    _switch(name, "disable", output, socket)


def _switch(name: str, verb: str, output: Output, socket: str) -> None:
    answer: Row = ask_cluster(socket, f"cluster.capability.{verb}", capability=name)
    if output is Output.JSON:
        write_json(answer)
    elif output is Output.PLAIN:
        typer.echo(f"{verb}d")
    else:
        already = "" if answer.get("changed") else ", as it was"
        typer.echo(wrap(printable(f"{name} is {verb}d on this node{already}"), 2))
