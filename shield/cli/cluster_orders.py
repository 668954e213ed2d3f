"""``shield cluster start``, ``leave``, ``enable``, ``disable``, ``remove``, ``release``, ``drop``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from shield.cli.cluster_daemon import NodeArgument, ask_cluster, checked_node, confirm, no_member
from shield.cli.options import Output, OutputOption, SocketOption
from shield.cli.render import plural, printable, wrap, write_json
from shield.errors import InputError

__all__ = ["disable", "drop", "enable", "leave", "release", "remove", "start"]

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

Answer = Mapping[str, Any]


def start(output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Take part in the cluster of this host, again after `shield cluster leave`.

    The daemon does so by itself when it starts.

    Example: `shield cluster start`
    """
    answer: Answer = ask_cluster(socket, "cluster.start")
    if answer.get("restart"):
        _finish(answer, output, "restart needed", str(answer["restart"]))
    else:
        sentence = f"takes part in cluster {answer.get('cluster')} as {answer.get('node')}"
        _finish(answer, output, "started", sentence)


def leave(
    yes: YesOption = False, output: OutputOption = Output.TABLE, socket: SocketOption = ""
) -> None:
    """Say goodbye to the other nodes and take part no more, until `start` or the daemon's next start.

    The keys of this node stay, and so does what it has learned. To put a node out for good use
    `shield cluster revoke`.

    Example: `shield cluster leave`
    """
    question = "Leave the cluster? Until it is started again this node neither gives nor gets bans."
    confirm(question, "this node would neither give nor get bans any more", yes=yes)
    answer: Answer = ask_cluster(socket, "cluster.leave")
    name = str(answer.get("node"))
    _finish(
        answer,
        output,
        name,
        f"{name} has left cluster {answer.get('cluster')}; `shield cluster start` takes part again",
    )


def enable(output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Take part in the features of the cluster again.

    Example: `shield cluster enable`
    """
    answer: Answer = ask_cluster(socket, "cluster.enable")
    _finish(answer, output, "enabled", "enabled: this node sends and takes everything again")


def disable(output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Stay connected, but neither send nor take anything: bans of others stay until they end.

    Example: `shield cluster disable`
    """
    answer: Answer = ask_cluster(socket, "cluster.disable")
    _finish(
        answer,
        output,
        "disabled",
        "disabled: this node stays connected, but neither sends nor takes anything",
    )


def remove(node: NodeArgument, output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Forget a node that is not there any more, on all nodes. It may come back with its certificate.

    To put it out for good use `shield cluster revoke`.

    Example: `shield cluster remove pbx-2`
    """
    checked_node(node)
    try:
        answer: Answer = ask_cluster(socket, "cluster.remove", node=node)
    except InputError as error:
        # The daemon knows what is wrong; the nearest name is found here.
        hint = no_member(socket, node) if str(error).startswith("no member") else ""
        raise InputError(hint or str(error)) from None
    _finish(answer, output, node, f"removed {node}: no node waits for it any more")


def release(node: NodeArgument, output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Apply what is held of a node because it was beyond its budget (see `shield cluster status`).

    Example: `shield cluster release pbx-2`
    """
    checked_node(node)
    answer: Answer = ask_cluster(socket, "cluster.release", node=node)
    _held(answer, node, output, socket, "released")


def drop(
    node: NodeArgument,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Take back, on all nodes, what is held of a node because it was beyond its budget.

    For a node that has gone mad. What of it is in force already stays: end that with
    `shield unban --filter origin=NODE`.

    Example: `shield cluster drop pbx-2`
    """
    checked_node(node)
    question = f"Take back, on all nodes, what is held of {node}?"
    confirm(question, f"what is held of {node} would be taken back on all nodes", yes=yes)
    answer: Answer = ask_cluster(socket, "cluster.drop", node=node)
    _held(answer, node, output, socket, "dropped")


def _held(answer: Answer, node: str, output: Output, socket: str, done: str) -> None:
    """Say how many records it were; that there were none may come from a wrong name."""
    count = int(answer.get("records") or 0)
    if not count and (wrong := no_member(socket, node)):
        raise InputError(f"nothing is held of {node}: {wrong}")
    text = f"{done} {plural(count, 'record')} of {node}" if count else f"nothing is held of {node}"
    _finish(answer, output, str(count), text)


def _finish(answer: Answer, output: Output, word: str, sentence: str) -> None:
    if output is Output.JSON:
        write_json(answer)
    else:
        typer.echo(word if output is Output.PLAIN else wrap(printable(sentence), 2))
