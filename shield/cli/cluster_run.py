"""``shield cluster run`` and ``audit``: commands on other nodes, and who had them run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from shield.cli.cluster_daemon import ask_cluster, checked, checked_node, complete_node
from shield.cli.cluster_talk import not_sent
from shield.cli.group import FAILURE, complain
from shield.cli.options import Output, OutputOption, SocketOption, as_duration
from shield.cli.render import Column, dash, emit, local_time, printable, seconds, write_json, write_plain
from shield.control.remote import read_words

__all__ = ["audit", "run_command"]

LATEST = 50
"""Entries shown when nobody says how many: about a screen."""

LONGEST_SECONDS = 300.0

TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="NODE|all", help="Name of the node; all is everybody.", autocompletion=complete_node
    ),
]
WordsArgument = Annotated[
    list[str], typer.Argument(metavar="COMMAND...", help="The command, then name=value or values.")
]

_AUDIT = (
    Column("time", "time", local_time, keep=8),
    Column("what", "what", keep=7),
    Column("who", "who", keep=8, cut=True),
    Column("node", "node", dash, keep=7, cut=True),
    Column("command", "command", keep=9, cut=True),
    Column("arguments", "arguments", dash, keep=4, cut=True),
    Column("outcome", "outcome", dash, keep=8, cut=True),
)


def run_command(
    node: TargetArgument,
    words: WordsArgument,
    *,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="How long to wait for answers.")
    ] = "5s",
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Have another node run a command, or all of them and this one; shows what each answers.

    A node runs only what its own configuration allows, for the nodes that it names (`[remote]`); that
    is nothing unless an operator wrote it there. Both sides keep an audit (`shield cluster audit`).

    Commands: status, stats, list, show, rules, firewall status, allow list, cluster status, cluster
    members, cluster topology, cluster events, capability list, tag list, tag history; ban, unban,
    allow, unallow, reload, capability enable, capability disable, tag set.

    Exit code 0 only when everybody asked has done it.

    Example: `shield cluster run all status`

    Example: `shield cluster run pbx-2 ban 203.0.113.7 duration=1h reason="called the police"`
    """
    patience = as_duration(timeout, "--timeout") or 0.0
    if patience > LONGEST_SECONDS:
        raise typer.BadParameter(f"--timeout: at most {seconds(LONGEST_SECONDS)}")
    if node != "all":
        checked_node(node)
    order, arguments = checked(lambda: read_words(words))
    answer: Mapping[str, Any] = ask_cluster(
        socket, "cluster.run", wait=patience, node=node, order=order,
        arguments=json.dumps(arguments), timeout=patience,
    )  # fmt: skip
    results: Mapping[str, Any] = answer.get("results") or {}
    if output is Output.JSON:
        write_json(answer)
    elif output is Output.PLAIN:
        rows = ({"node": name, "answer": json.dumps(found)} for name, found in results.items())
        write_plain(rows, ("node", "answer"))
    else:
        for name, found in results.items():
            typer.echo(f"{name}:")
            for line in json.dumps(found, indent=2, ensure_ascii=False).splitlines():
                typer.echo(f"  {printable(line)}")
    _report_failures(answer, "" if node == "all" else node, socket, patience)


def audit(
    *,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, metavar="N", help="The latest N.")
    ] = LATEST,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Show who had commands run: asked (here, for others), answer (what came of it), run (for others).

    It is kept in `audit.log` beside the keys of the node, 1 to 2 MB.

    Example: `shield cluster audit --limit 20`
    """
    rows: Sequence[Mapping[str, Any]] = ask_cluster(socket, "cluster.audit", limit=limit)
    emit(rows, _AUDIT, output)
    if output is Output.TABLE and not rows:
        typer.echo("no command was run on other nodes, or for them")


def _report_failures(answer: Mapping[str, Any], node: str, socket: str, patience: float) -> None:
    failed = False
    if answer.get("result") != "sent":
        complain(f"not sent: {not_sent(answer, node, socket)}")
        failed = True
    for name, why in (answer.get("failures") or {}).items():
        complain(printable(f"{name}: {why}"))
        failed = True
    for name in answer.get("missing") or ():
        complain(printable(f"{name}: no answer within {seconds(patience)}"))
        failed = True
    if failed:
        raise typer.Exit(FAILURE)
