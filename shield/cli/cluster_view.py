"""``shield cluster members``, ``capabilities``, ``events``: who is there and what happens."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Annotated, Any

import typer

from shield.cli.cluster_daemon import ask_cluster
from shield.cli.daemon import follow
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
)

__all__ = ["capabilities", "event_line", "events", "members"]

Row = Mapping[str, Any]

LATEST = 50
"""Events shown when nobody says how many: about a screen."""

_STATES = {"alive": "green", "suspect": "yellow", "dead": "red", "left": "bright_black"}
_ALARMING = frozenset({"warning", "refused", "overflow", "revoked"})


def _yes_no(value: Any) -> str:
    return "-" if value is None else "yes" if value else "no"


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "-"


def _round_trip(value: Any) -> str:
    """In a LAN it is parts of a millisecond, which ``seconds`` would call nothing."""
    if isinstance(value, int | float) and value < 0.01:
        return f"{value * 1000:.1f}ms"
    return seconds(value)


def _state_colour(row: Row) -> str:
    return "yellow" if not row.get("enabled", True) else _STATES.get(str(row.get("state")), "")


def _equal_colour(row: Row) -> str:
    return "yellow" if row.get("equal") is False else ""


_MEMBERS = (
    Column("mark", "", keep=9),
    Column("name", "node", keep=9, cut=True),
    Column("shown", "state", dash, keep=8, colour=_state_colour),
    Column("since", "since", seconds, keep=3, right=True),
    Column("route", "route", dash, keep=6, cut=True),
    Column("rtt", "rtt", _round_trip, keep=5, right=True),
    Column("equal", "equal", _yes_no, keep=7, colour=_equal_colour),
    Column("lag", "lag", seconds, keep=2, right=True),
    Column("bans", "bans", _count, keep=4, right=True),
    Column("saved_detections", "saved", _count, keep=5, right=True),
    Column("software", "version", dash, keep=1, cut=True),
)
_MEMBERS_PLAIN = (
    "name",
    "self",
    "authority",
    "state",
    "enabled",
    "since",
    "route",
    "rtt",
    "equal",
    "lag",
    "bans",
    "saved_detections",
    "software",
    "addresses",
    "certificate_expires",
    "clock_offset",
    "waiting",
)
"""Plain output is for scripts: new keys are only ever added at the end."""

_CAPABILITIES = (
    Column("name", "capability", keep=9, cut=True),
    Column("sent", "sent", _count, keep=7, right=True),
    Column("received", "received", _count, keep=6, right=True),
    Column("not_sent", "not sent", _count, keep=5, right=True),
    Column("bytes_sent", "bytes out", _count, keep=4, right=True),
    Column("bytes_received", "bytes in", _count, keep=4, right=True),
    Column("errors", "errors", _count, keep=6, right=True),
    Column("shown", "state", dash, keep=8, cut=True),
)
_CAPABILITIES_PLAIN = (
    *("name", "sent", "received", "not_sent", "state"),
    *("enabled", "bytes_sent", "bytes_received", "errors", "percent", "source", "since"),
)
_EVENTS_PLAIN = ("time", "kind", "node", "text")


def members(output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """List the nodes of the cluster, this one first.

    Columns: SINCE how long in this state; ROUTE how messages get there; RTT round trip of a direct
    connection; EQUAL whether its blocklist is ours; LAG how far behind it is; BANS that are in
    force here and come from it; SAVED detections that this node did not need because of them.

    Example: `shield cluster members`

    Example: `shield cluster members -o json | jq '.[] | select(.state == "dead") | .name'`
    """
    rows: Sequence[Row] = ask_cluster(socket, "cluster.members")
    if output is not Output.TABLE:
        emit(rows, _MEMBERS, output, _MEMBERS_PLAIN)
        return
    emit([_shown(row) for row in rows], _MEMBERS, output)
    alive = sum(row.get("state") == "alive" for row in rows)
    legend = ["* this node"] if any(row.get("self") for row in rows) else []
    if any(row.get("authority") for row in rows):
        legend.append("+ holds the authority")
    typer.echo(wrap(f"{plural(len(rows), 'member')}, {alive:,} alive ({', '.join(legend)})", 2))


def _shown(row: Row) -> dict[str, Any]:
    mark = ("*" if row.get("self") else "") + ("+" if row.get("authority") else "")
    state = row.get("state")
    # A node that was switched off is alive, but nothing comes from it: that must be seen.
    shown = "disabled" if state == "alive" and not row.get("enabled", True) else state
    # People read the version in a column of that name.
    version = str(row.get("software") or "").removeprefix("shield ")
    return {**row, "mark": mark, "shown": shown, "software": version, "route": _route(row)}


def _route(row: Row) -> Any:
    return None if row.get("self") else row.get("route")


def capabilities(output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """List the features that take part in the cluster, with what they have sent and received.

    `shield cluster capability list` shows those of all nodes.

    Example: `shield cluster capabilities`
    """
    rows: Sequence[Row] = ask_cluster(socket, "cluster.capabilities")
    if output is Output.TABLE:
        rows = [
            {**row, "shown": row["state"] if row.get("enabled", True) else "disabled"} for row in rows
        ]
    emit(rows, _CAPABILITIES, output, _CAPABILITIES_PLAIN)
    if output is Output.TABLE and not rows:
        typer.echo("no features take part")


def events(
    *,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, metavar="N", help="The latest N; 0 is all.")
    ] = LATEST,
    follow_on: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")
    ] = False,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Show what happened to members and connections, the latest last.

    With --follow, JSON output is one object a line.

    Example: `shield cluster events --limit 20`

    Example: `shield cluster events --follow --output json`
    """
    rows: Sequence[Row] = ask_cluster(socket, "cluster.events", limit=limit)
    if not follow_on and output is Output.JSON:
        write_json(rows)
        return
    if not follow_on and output is Output.TABLE and not rows:
        typer.echo("nothing has happened")
    coming: Iterable[Row] = follow(socket, "watch", kinds=["cluster"]) if follow_on else ()
    with contextlib.suppress(KeyboardInterrupt):
        for event in chain(rows, coming):
            _print_event(event, output)


def _print_event(event: Row, output: Output) -> None:
    if output is Output.JSON:
        kept = {key: value for key, value in event.items() if key != "event"}
        sys.stdout.write(json.dumps(kept, ensure_ascii=False) + "\n")
    elif output is Output.PLAIN:
        write_plain([event], _EVENTS_PLAIN)
    else:
        typer.echo(event_line(event))
    sys.stdout.flush()


def event_line(event: Row) -> str:
    """One event for people, broken at the edge of the terminal."""
    node = f"{event['node']}: " if event.get("node") else ""
    head = f"{local_time(event.get('time'))}  {event.get('kind')!s:<8}  {node}"
    line = wrap(printable(f"{head}{event.get('text')}"), 4)
    return paint(line, "yellow") if event.get("kind") in _ALARMING else line
