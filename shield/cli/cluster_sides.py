"""``shield cluster list``: the further clusters of this node, and its bridges to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from shield.cli.cluster_daemon import ask_cluster
from shield.cli.options import Output, OutputOption, SocketOption
from shield.cli.render import Column, dash, emit

__all__ = ["list_clusters"]

Row = Mapping[str, Any]

_COLUMNS = (
    Column("label", "name", keep=9, cut=True),
    Column("cluster", "cluster", dash, keep=8, cut=True),
    Column("node", "node here", dash, keep=7, cut=True),
    Column("seen", "in reach", dash, keep=6, right=True),
    Column("blocklist", "blocklist", dash, keep=5, cut=True),
    Column("bridged", "bridge", dash, keep=8),
    Column("carried", "carried", dash, keep=4, right=True),
    Column("problem", "problem", dash, keep=3, cut=True),
)
_PLAIN = ("label", "joined", "cluster", "node", "reachable", "members", "blocklist", "bridge", "problem")


def list_clusters(output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """List the further clusters of this node (`[clusters.NAME]`), and whether it bridges to them.

    BRIDGE: active is the one node that carries between this cluster and the main one, backup one that
    takes over when that is gone. Of one cluster: `shield cluster --cluster NAME status`.

    Example: `shield cluster list`
    """
    rows: Sequence[Row] = ask_cluster(socket, "cluster.list")
    if output is Output.TABLE:
        rows = [_shown(row) for row in rows]
    emit(rows, _COLUMNS, output, _PLAIN)
    if output is Output.TABLE and not rows:
        typer.echo("no further clusters are configured ([clusters.NAME])")


def _shown(row: Row) -> dict[str, Any]:
    bridge = row.get("bridge") or {}
    into = (bridge.get("into") or {}).values()
    return {
        **row,
        "seen": f"{row['reachable']:,}" if row.get("joined") else None,
        "bridged": ("active" if bridge["active"] else "backup") if bridge else None,
        "carried": f"{sum(stats['carried'] for stats in into):,}" if bridge else None,
    }
