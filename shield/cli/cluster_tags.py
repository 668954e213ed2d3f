"""``shield cluster tag``: which node is active for a sharing tag, and who shall be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from shield.cli.cluster_daemon import ask_cluster, checked
from shield.cli.group import CONTEXT, commands
from shield.cli.options import Output, OutputOption, ReasonOption, SocketOption
from shield.cli.render import Column, dash, emit, local_time, plural, printable, wrap, write_json

__all__ = ["app"]

Row = Mapping[str, Any]

app = commands(
    "Sharing tags: something that one node at a time does, such as collecting or bridging.\n\n"
    "Of the nodes with a tag at most one is active, all others are backup; the newest claim wins."
)

TagArgument = Annotated[str, typer.Argument(metavar="TAG", help="Name of the tag.")]


class Wanted(StrEnum):
    """What a node can be told to be."""

    ACTIVE = "active"
    BACKUP = "backup"


_STATES = {"active": "green", "pending": "yellow", "disabled": "yellow"}


def _colour(row: Row) -> str:
    return _STATES.get(str(row.get("state")), "")


def _reach_colour(row: Row) -> str:
    return "red" if row.get("node") and not row.get("reachable") else ""


_TAGS = (
    Column("name", "tag", keep=9, cut=True),
    Column("state", "here", keep=8, colour=_colour),
    Column("node", "active node", dash, keep=9, cut=True, colour=_reach_colour),
    Column("since", "since", local_time, keep=6),
    Column("reason", "reason", dash, keep=4, cut=True),
)
_TAGS_PLAIN = ("name", "state", "node", "reachable", "since", "reason", "configured", "candidates")
_HISTORY = (
    Column("time", "time", local_time, keep=9),
    Column("state", "here", keep=8, colour=_colour),
    Column("node", "active node", dash, keep=7, cut=True),
    Column("reason", "reason", keep=6, cut=True),
)


@app.command("list", context_settings=CONTEXT)
def list_tags(output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """List the tags that are known: what this node is for each, who is active, since when and why.

    PENDING: this node was active before it started anew and asks the others first. An active node in
    red cannot be reached.

    Example: `shield cluster tag list`
    """
    rows: Sequence[Row] = ask_cluster(socket, "cluster.tag.list")
    emit(rows, _TAGS, output, _TAGS_PLAIN)
    if output is Output.TABLE:
        typer.echo(plural(len(rows), "tag") if rows else "no tags are known")


@app.command("set", context_settings=CONTEXT)
def set_tag(
    tag: TagArgument,
    state: Annotated[Wanted, typer.Argument(metavar="active|backup", help="What this node shall be.")],
    *,
    reason: ReasonOption = "",
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Make this node active for a tag, or backup; who was active steps down as soon as it hears.

    With backup nobody is active until a node is told to be.

    Example: `shield cluster tag set cdr active --reason "pbx-1 gets a new disk"`
    """
    _set(tag, state, reason, output, socket)


@app.command("release", context_settings=CONTEXT)
def release(
    tag: TagArgument,
    *,
    reason: ReasonOption = "",
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Give a tag back for which this node is active; the same as `set TAG backup`.

    Example: `shield cluster tag release cdr`
    """
    _set(tag, Wanted.BACKUP, reason, output, socket)


@app.command("history", context_settings=CONTEXT)
def history(tag: TagArgument, output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Show the latest changes of a tag as this node saw them, with their reasons; it outlives restarts.

    Example: `shield cluster tag history cdr`
    """
    emit(ask_cluster(socket, "cluster.tag.history", tag=tag), _HISTORY, output)


def _set(tag: str, state: Wanted, reason: str, output: Output, socket: str) -> None:
    from shield.cluster.tag_plan import check_tag

    checked(check_tag, tag)
    answer: Row = ask_cluster(
        socket, "cluster.tag.set", tag=tag, state=state.value, reason=reason or None
    )
    if output is Output.JSON:
        write_json(answer)
    elif output is Output.PLAIN:
        typer.echo(state.value)
    else:
        after = "the others are backup" if state is Wanted.ACTIVE else "nobody is active"
        sentence = f"{answer.get('node')} is {state.value} for {answer.get('tag')}; {after}"
        typer.echo(wrap(printable(sentence), 2))
