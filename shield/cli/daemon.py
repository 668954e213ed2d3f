"""Talking to the daemon: one question, one answer, in the shapes that commands print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from shield.cli.group import FAILURE, complain
from shield.cli.options import Output, socket_path
from shield.cli.render import seconds, write_json
from shield.control.client import Client

__all__ = ["ask", "connect", "finish"]


def connect(socket: str) -> Client:
    """Give a client for the socket of the option, the configuration or the default."""
    return Client(socket_path(socket))


def ask(socket: str, command: str, **arguments: Any) -> Any:
    """Ask one question; raises a ShieldError that is fit to be shown."""
    with connect(socket) as client:
        return client.call(command, **arguments)


def finish(answer: Any, output: Output, *, done: str) -> None:
    """Report what a change did: a line for each value; refusals go to standard error and fail.

    ``answer`` is ``{"results": [{"value", "ok", "message", "decision"}], "count"}``; ``count`` is
    given where not every result is named.
    """
    results: Sequence[dict[str, Any]] = answer.get("results", ()) if isinstance(answer, dict) else ()
    refused = [result for result in results if not result.get("ok", True)]
    if output is Output.JSON:
        write_json(answer)
    else:
        for result in results:
            if result.get("ok", True):
                typer.echo(result["value"] if output is Output.PLAIN else f"{done} {_sentence(result)}")
        if output is Output.TABLE:
            _total(answer, len(results), done)
    if refused:
        complain(*(f"{result['value']}: {result.get('message') or 'refused'}" for result in refused))
        raise typer.Exit(FAILURE)


def _total(answer: Any, named: int, done: str) -> None:
    """Say what the lines before do not: that there was nothing, or more than the answer names."""
    count = answer.get("count", named) if isinstance(answer, dict) else named
    if count > named:
        typer.echo(f"... {count:,} {done} in all")
    elif not named:
        typer.echo(f"nothing {done}")


def _sentence(result: dict[str, Any]) -> str:
    decision = result.get("decision") or {}
    text = str(result["value"])
    if decision.get("remaining") is not None:
        text += f" for {seconds(decision['remaining'])}"
    return f"{text} ({result['message']})" if result.get("message") else text
