"""``shield cluster``: the table of its commands. Each is loaded when it is called.

``ask`` is called from scripts for every call that they route, so nothing else may be loaded for it.
"""

from __future__ import annotations

from typing import Annotated

import typer

from shield.cli.group import LazyCommand, LazyGroup, commands

__all__ = ["COMMANDS", "app"]

_MEMBERS = "Who belongs to it"
_LOOK = "Look at it"
_TALK = "Talk to nodes"
_ORDERS = "What this node does"

COMMANDS = {
    "init": LazyCommand("shield.cli.cluster_setup", "init", _MEMBERS),
    "invite": LazyCommand("shield.cli.cluster_setup", "invite", _MEMBERS),
    "join": LazyCommand("shield.cli.cluster_setup", "join", _MEMBERS),
    "revoke": LazyCommand("shield.cli.cluster_setup", "revoke", _MEMBERS),
    "remove": LazyCommand("shield.cli.cluster_orders", "remove", _MEMBERS),
    "status": LazyCommand("shield.cli.cluster_status", "status", _LOOK),
    "list": LazyCommand("shield.cli.cluster_sides", "list_clusters", _LOOK),
    "members": LazyCommand("shield.cli.cluster_view", "members", _LOOK),
    "topology": LazyCommand("shield.cli.cluster_topology", "topology", _LOOK),
    "capabilities": LazyCommand("shield.cli.cluster_view", "capabilities", _LOOK),
    "events": LazyCommand("shield.cli.cluster_view", "events", _LOOK),
    "ask": LazyCommand("shield.cli.cluster_talk", "ask_nodes", _TALK),
    "broadcast": LazyCommand("shield.cli.cluster_talk", "broadcast", _TALK),
    "listen": LazyCommand("shield.cli.cluster_listen", "listen", _TALK),
    "run": LazyCommand("shield.cli.cluster_run", "run_command", _TALK),
    "audit": LazyCommand("shield.cli.cluster_run", "audit", _TALK),
    "start": LazyCommand("shield.cli.cluster_orders", "start", _ORDERS),
    "leave": LazyCommand("shield.cli.cluster_orders", "leave", _ORDERS),
    "enable": LazyCommand("shield.cli.cluster_orders", "enable", _ORDERS),
    "disable": LazyCommand("shield.cli.cluster_orders", "disable", _ORDERS),
    "capability": LazyCommand("shield.cli.cluster_capability", "app", _ORDERS),
    "tag": LazyCommand("shield.cli.cluster_tags", "app", _ORDERS),
    "release": LazyCommand("shield.cli.cluster_orders", "release", _ORDERS),
    "drop": LazyCommand("shield.cli.cluster_orders", "drop", _ORDERS),
}
"""Command name to where it lives; the order is the order of the help."""


class _Cluster(LazyGroup):
    table = COMMANDS


app = commands(
    "Nodes that share their blocklists: what one has confirmed, all of them block.\n\n"
    "Two commands add a host: `shield cluster invite` here, and there the one that it prints.",
    cls=_Cluster,
)


@app.callback()
def _cluster(
    cluster: Annotated[
        str,
        typer.Option(
            "--cluster",
            metavar="NAME",
            help="A further cluster of this node (`[clusters.NAME]`), written before the command.",
            show_default=False,
        ),
    ] = "",
) -> None:
    from shield.cli.cluster_daemon import chosen

    chosen[:] = [cluster] if cluster else []
