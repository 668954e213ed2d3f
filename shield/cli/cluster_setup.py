"""``shield cluster init``, ``join``, ``invite``, ``revoke``: who belongs to the cluster.

``init`` and ``join`` write the directory themselves, so they work before the daemon runs, and then
tell a running daemon to take part.
"""

from __future__ import annotations

import sys
import time as clock
from pathlib import Path
from typing import Annotated, Any

import typer

from shield.cli.cluster_daemon import (
    RESTART,
    NodeArgument,
    ask_chosen,
    ask_cluster,
    checked,
    checked_node,
    chosen,
    complete_node,
    confirm,
    is_unknown,
)
from shield.cli.group import FAILURE, complain
from shield.cli.options import Output, OutputOption, SocketOption, as_duration, configured
from shield.cli.render import seconds, write_json, write_plain
from shield.errors import ShieldError, SystemFailure

__all__ = ["init", "invite", "join", "revoke"]

NodeOption = Annotated[
    str,
    typer.Option(
        "--node",
        metavar="NODE",
        help="Name of this node. Default: that of the host.",
        show_default=False,
    ),
]
DirectoryOption = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        metavar="DIR",
        help="Where keys and certificates go. Default: as configured, or /var/lib/shield/cluster.",
        show_default=False,
    ),
]
AdvertiseOption = Annotated[
    str,
    typer.Option(
        "--advertise",
        metavar="HOST[:PORT]",
        help="Where other nodes reach this one. Default: the addresses of this host.",
        show_default=False,
    ),
]


def init(
    *,
    name: Annotated[
        str, typer.Option("--name", metavar="CLUSTER", help="Name of the cluster.")
    ] = "shield",
    node: NodeOption = "",
    advertise: AdvertiseOption = "",
    directory: DirectoryOption = None,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Make a new cluster with this host as its first node, which admits the others.

    Its directory then holds the key of the cluster's authority: keep a copy of it in a safe place.

    Example: `shield cluster init`

    Example: `shield cluster init --name voip --node pbx-1 --advertise pbx-1.example.net`
    """
    from shield.cluster.authority import create
    from shield.cluster.identity_files import Directory
    from shield.cluster.names import check_name

    cluster = checked(check_name, name, "cluster name")
    own = checked(check_name, node or _default_node())
    place = Directory(_directory(directory))
    address = _address(advertise)
    authority, identity = create(cluster, own, clock.time())
    place.create(identity, authority, advertise=address)
    result = {"cluster": cluster, "node": own, "directory": str(place.path)}
    lines = [
        f"made cluster {cluster}; this is its first node, {own}",
        f"keys are in {place.path}; keep a copy of ca.key in a safe place",
    ]
    last = "`shield cluster invite` prints the command that adds the next host"
    _report(result, lines, _start(socket), output, last=last)


def join(
    token: Annotated[
        str,
        typer.Argument(
            metavar="TOKEN", help="What `shield cluster invite` printed; - reads it from standard input."
        ),
    ],
    node: NodeOption = "",
    directory: DirectoryOption = None,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Make this host a node of the cluster that a token is from.

    The token is shown to nobody but the node that made it.

    Example: `shield cluster join shield1.mKZzaGllbGTE...`

    Example: `shield cluster join --node pbx-2 - < token.txt`

    Example: `shield cluster --cluster west join shield1.mKZzaGllbGTE...`
    """
    from shield.cluster.identity_files import Directory
    from shield.cluster.join import join as fetch
    from shield.cluster.names import check_name
    from shield.cluster.tokens import JoinToken

    text = sys.stdin.read(MAX_INPUT) if token == "-" else token  # noqa: S105 - no password
    parsed = checked(JoinToken.parse, text)
    own = checked(check_name, node or parsed.node or _default_node())
    place = Directory(_directory(directory))
    tell = (lambda line: typer.echo(line, err=True)) if output is Output.TABLE else (lambda _line: None)
    joined = fetch(parsed, place, own, tell=tell)
    host, port = joined.address
    result = {
        "cluster": parsed.cluster,
        "node": own,
        "directory": str(place.path),
        "address": [host, port],
    }
    lines = [f"joined cluster {parsed.cluster}; this node is {own}", f"keys are in {place.path}"]
    _report(result, lines, _start(socket), output)


def invite(
    node: Annotated[
        str,
        typer.Option(
            "--node",
            metavar="NODE",
            help="Name that the new node must have; may be that of a node to replace.",
            show_default=False,
            autocompletion=complete_node,
        ),
    ] = "",
    valid: Annotated[
        str, typer.Option("--valid", metavar="DURATION", help="How long the token is good.")
    ] = "15m",
    advertise: AdvertiseOption = "",
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Print the command that makes another host a node; it is good for one host and a short time.

    Works on the node where `shield cluster init` was run.

    Example: `shield cluster invite`

    Example: `shield cluster invite --node pbx-2 --valid 1h`
    """
    if node:
        checked_node(node)
    _address(advertise)
    time = as_duration(valid, "--valid")
    answer = ask_cluster(
        socket, "cluster.invite", node=node or None, valid=time, advertise=advertise or None
    )
    command = f"shield cluster join {answer['token']}"
    if output is Output.JSON:
        write_json({**answer, "command": command})
    elif output is Output.PLAIN:
        typer.echo(answer["token"])
    else:
        left = seconds(max(0.0, float(answer["expires"]) - clock.time()))
        name = f" for node {answer['node']}" if answer.get("node") else ""
        typer.echo(
            f"run this as root on the new host within {left}; it works once{name}:\n\n{command}\n"
        )


def revoke(
    node: NodeArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Put a node out of the cluster for good: every other node refuses its certificate from now on.

    For a host that was stolen, broken into or taken away. It can come back with a new token only.
    Works on the node where `shield cluster init` was run.

    Example: `shield cluster revoke pbx-2`
    """
    checked_node(node)
    question = f"Put {node} out of the cluster? It can come back only with a new token."
    confirm(question, f"{node} would be put out for good", yes=yes)
    answer = ask_cluster(socket, "cluster.revoke", node=node)
    if output is Output.JSON:
        write_json(answer)
    else:
        typer.echo(
            node if output is Output.PLAIN else f"revoked {node}; all nodes refuse it from now on"
        )


MAX_INPUT = 65_536
"""Characters of standard input that may hold a token: more is no token."""

_NOT_RUNNING = "start `shield run` to take part"


def _start(socket: str) -> tuple[str, str]:
    """Tell a running daemon to take part; give a word for programs and a line for people."""
    try:
        answer = ask_chosen(socket, "cluster.start")
    except SystemFailure:
        return "not running", _NOT_RUNNING
    except ShieldError as error:
        if is_unknown(error):
            return "restart needed", RESTART
        return "failed", str(error)
    if answer.get("restart"):  # the node's name is in its journal and its bans: it cannot change now
        return "restart needed", str(answer["restart"])
    return "started", "the daemon takes part from now on"


def _report(
    result: dict[str, Any], lines: list[str], daemon: tuple[str, str], output: Output, *, last: str = ""
) -> None:
    """Say what was made and whether the daemon takes part; fails when it wanted to and could not."""
    state, sentence = daemon
    if output is Output.JSON:
        write_json({**result, "daemon": state})
    elif output is Output.PLAIN:
        shown = {**result, "daemon": state}
        write_plain([{"key": key, "value": value} for key, value in shown.items()], ("key", "value"))
    else:
        said = [] if state == "failed" else [sentence]
        typer.echo("\n".join([*lines, *said, *([last] if last else [])]))
    if state == "failed":
        complain(f"the daemon does not take part: {sentence}")
        raise typer.Exit(FAILURE)


def _address(text: str) -> tuple[str, int] | None:
    from shield.cluster.settings import parse_address

    return checked(parse_address, text) if text else None


def _directory(option: Path | None) -> Path:
    from shield.cluster.settings import DEFAULT_DIRECTORY

    if option is not None or not chosen:
        return (option or Path(configured("cluster", "directory") or DEFAULT_DIRECTORY)).absolute()
    found = configured(f"clusters.{chosen[-1]}", "directory")
    if not found:
        raise typer.BadParameter(f"--cluster: no [clusters.{chosen[-1]}] with a directory is configured")
    return Path(found).absolute()


def _default_node() -> str:
    import socket

    from shield.cluster.names import node_name

    return node_name(configured("node", "name") or socket.gethostname())
