"""``shield cluster topology``: connections between members, and the ways of this node's messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import typer

from shield.cli.cluster_daemon import ask_cluster
from shield.cli.options import Output, OutputOption, SocketOption
from shield.cli.render import (
    Column,
    fit,
    plural,
    printable,
    terminal_width,
    wrap,
    write_json,
    write_plain,
    write_table,
)

__all__ = ["matrix", "missing", "topology"]

Row = Mapping[str, Any]

MATRIX_NODES = 24
"""A larger matrix is no picture any more; what is missing from the mesh is listed instead."""

SHORTEST_NAME = 8
"""Characters of a name that must be left beside a matrix."""

BOTH, ONE, NONE, SELF = "=", "!", ".", "\\"
"""Marks of the matrix."""

_ROUTES = (
    Column("node", "to", keep=9, cut=True),
    Column("next_hop", "over", keep=8, cut=True),
    Column("hops", "hops", keep=7, right=True),
    Column("cost", "cost", keep=5, right=True),
)


def topology(output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Show which members are connected, and which of them this node reaches over another one.

    In the matrix = is a connection that both sides know, ! one that only one side knows, and
    a dot is none. JSON has also cost, all routes and the counters of this node's connections.

    Example: `shield cluster topology`

    Example: `shield cluster topology -o json | jq '.links[] | select(.both | not)'`
    """
    answer: Row = ask_cluster(socket, "cluster.topology")
    links: Sequence[Row] = answer.get("links") or ()
    routes: Sequence[Row] = answer.get("routes") or ()
    if output is Output.JSON:
        write_json(answer)
    elif output is Output.PLAIN:
        write_plain(({**row, "what": "link"} for row in links), ("what", "a", "b", "cost", "both"))
        route_keys = ("what", "node", "next_hop", "cost", "hops")
        write_plain(({**row, "what": "route"} for row in routes), route_keys)
    else:
        _print(links, routes)


def _print(links: Sequence[Row], routes: Sequence[Row]) -> None:
    nodes = _nodes(links, routes)
    if not links:
        typer.echo("no connections to other members")
    else:
        for line in matrix(nodes, links, terminal_width()) or missing(nodes, links):
            typer.echo(line)
    indirect = [route for route in routes if route.get("hops", 1) > 1]
    if indirect:
        typer.echo("")
        write_table(indirect, _ROUTES)
        typer.echo("")
    one_sided = sum(not link["both"] for link in links)
    parts = [plural(len(nodes), "node"), plural(len(links), "connection")]
    parts += [f"{one_sided:,} known to one side only"] if one_sided else []
    if routes:
        parts.append(f"{len(indirect):,} reached over others" if indirect else "all reached directly")
    typer.echo(wrap(", ".join(parts), 2))


def _nodes(links: Iterable[Row], routes: Iterable[Row]) -> list[str]:
    found = {str(link[end]) for link in links for end in ("a", "b")}
    return sorted(found | {str(route["node"]) for route in routes})


def _marks(links: Iterable[Row]) -> dict[frozenset[str], str]:
    return {frozenset((link["a"], link["b"])): BOTH if link["both"] else ONE for link in links}


def matrix(nodes: Sequence[str], links: Iterable[Row], width: int | None) -> list[str]:
    """Lines of a matrix with numbered nodes; none when it would not fit."""
    digits = len(str(len(nodes)))
    cells = (digits + 1) * len(nodes)
    room = None if width is None else width - digits - 2 - cells
    if len(nodes) > MATRIX_NODES or (room is not None and room < SHORTEST_NAME):
        return []
    longest = max(map(len, nodes))
    size = longest if room is None else min(longest, room)
    marks = _marks(links)
    numbers = "".join(f" {number:>{digits}}" for number in range(1, len(nodes) + 1))
    lines = [" " * (digits + 1 + size + 1) + numbers]
    for number, node in enumerate(nodes, 1):
        row = "".join(
            f" {SELF if node == other else marks.get(frozenset((node, other)), NONE):>{digits}}"
            for other in nodes
        )
        lines.append(f"{number:>{digits}} {printable(node)[:size]:<{size}} {row}")
    return lines


def missing(nodes: Sequence[str], links: Iterable[Row]) -> Iterator[str]:
    """Lines with the connections that a full mesh would have and this one has not."""
    marks = _marks(links)
    for index, node in enumerate(nodes):
        for other in nodes[index + 1 :]:
            mark = marks.get(frozenset((node, other)))
            if mark is None:
                yield fit(f"{node} - {other}: not connected")
            elif mark == ONE:
                yield fit(f"{node} - {other}: known to one side only")
