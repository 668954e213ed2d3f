"""``shield whereis``: where a user is registered."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from shield.cli.daemon import ask, connect
from shield.cli.group import FAILURE, complain
from shield.cli.options import Output, OutputOption, SocketOption, as_duration
from shield.cli.render import printable, seconds, write_json, write_plain

__all__ = ["whereis"]

LONGEST_SECONDS = 300.0
KEYS = ("user", "node", "server", "contact", "remaining")


def whereis(
    user: Annotated[
        str,
        typer.Argument(
            metavar="USER", help="alice, alice@example.com or a SIP URI.", show_default=False
        ),
    ] = "",
    *,
    live: Annotated[
        bool, typer.Option("--ask", help="Ask all nodes now instead of what is known here.")
    ] = False,
    everybody: Annotated[bool, typer.Option("--all", help="List all registered users.")] = False,
    timeout: Annotated[
        str,
        typer.Option("--timeout", "-t", metavar="DURATION", help="Wait so long for replies (--ask)."),
    ] = "2s",
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Say at which node a user is registered, with contacts and the time that is left.

    Nodes learn it from REGISTERs that were let in (location.track in the configuration) and tell each
    other at once. Exit code 0 when the user is registered somewhere, else 1.

    Example: `shield whereis alice@example.com`

    Example: `shield whereis --ask --timeout 500ms alice`
    """
    if bool(user) is everybody:
        raise typer.BadParameter("give a user, or --all")
    answer: Mapping[str, Any] = {}
    if everybody:
        with connect(socket) as client:
            places = list(client.stream("users"))
    else:
        patience = as_duration(timeout, "--timeout") or 0.0
        if patience > LONGEST_SECONDS:
            raise typer.BadParameter(f"--timeout: at most {seconds(LONGEST_SECONDS)}")
        arguments = {"ask": True, "timeout": patience} if live else {}
        answer = ask(socket, "whereis", wait=patience if live else 0.0, user=user, **arguments)
        places = answer["places"]
    if output is Output.JSON:
        write_json(places if everybody else answer)
    elif output is Output.PLAIN:
        write_plain(_flat(places), KEYS)
    else:
        _table(places)
    for node, why in (answer.get("failures") or {}).items():
        complain(printable(f"{node}: {why}"))
    for node in answer.get("missing") or ():
        complain(printable(f"{node}: no reply"))
    if not places:
        if output is Output.TABLE:
            complain("nobody is registered" if everybody else printable(f"{user} is not registered"))
        raise typer.Exit(FAILURE)


def _flat(places: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """One row for each contact."""
    for place in places:
        for contact in place["contacts"]:
            yield {**place, **contact}


def _table(places: Iterable[Mapping[str, Any]]) -> None:
    now = time.time()
    for place in places:
        gone = place.get("node_gone")
        since = seconds(max(0.0, now - place["registered"]))
        note = f", which went {seconds(gone)} ago" if gone is not None else ""
        typer.echo(
            printable(
                f"{place['user']} at {place['node']} ({place['server']} {place['transport']}){note}"
            )
        )
        typer.echo(f"  registered {since} ago")
        for contact in place["contacts"]:
            typer.echo(printable(f"  {contact['contact']}, {seconds(contact['remaining'])} left"))
