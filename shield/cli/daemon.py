"""Talking to the daemon: one question, one answer, in the shapes that commands print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import typer

from shield.cli.group import FAILURE, complain
from shield.cli.options import Output, socket_path
from shield.cli.render import seconds, write_json
from shield.control.client import TIMEOUT, Client

__all__ = ["ask", "connect", "finish", "follow"]

NAMED = 40
"""Values that people are told one by one; plain and JSON output name all."""


def connect(socket: str) -> Client:
    """Give a client for the socket of the option, the configuration or the default."""
    return Client(socket_path(socket))


def ask(socket: str, command: str, *, wait: float = 0.0, **arguments: Any) -> Any:
    """Ask one question; raises a ShieldError that is fit to be shown.

    ``wait``: seconds that the daemon needs for the answer beyond what it needs for any other.
    """
    with Client(socket_path(socket), timeout=TIMEOUT + wait) as client:
        return client.call(command, **arguments)


def follow(socket: str, command: str, wait: float | None = None, **arguments: Any) -> Iterator[Any]:
    """Give events as they come, however long it is until the first one; end after ``wait`` seconds."""
    with Client(socket_path(socket), wait=wait) as client:
        yield from client.stream(command, **arguments)


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
        accepted = [result for result in results if result.get("ok", True)]
        if output is Output.PLAIN:
            typer.echo("".join(f"{result['value']}\n" for result in accepted), nl=False)
        else:
            for result in accepted[:NAMED]:
                typer.echo(f"{done} {_sentence(result)}")
            _total(answer, len(accepted), done, refused=bool(refused))
    if refused:
        complain(*map(_refusal, refused))
        raise typer.Exit(FAILURE)


def _refusal(result: dict[str, Any]) -> str:
    value, message = str(result["value"]), str(result.get("message") or "refused")
    return message if message.startswith(value) else f"{value}: {message}"


def _total(answer: Any, accepted: int, done: str, *, refused: bool) -> None:
    """Say what the lines before do not: that there was nothing, or more than they name."""
    count = answer.get("count", accepted) if isinstance(answer, dict) else accepted
    if count > min(accepted, NAMED):
        typer.echo(f"... {count:,} {done} in all")
    elif not accepted and not refused:
        typer.echo(f"nothing {done}")


def _sentence(result: dict[str, Any]) -> str:
    made = result.get("decision") or result.get("entry") or {}
    text = str(result["value"])
    if made.get("remaining") is not None:
        text += f" for {seconds(made['remaining'])}"
    return f"{text} ({result['message']})" if result.get("message") else text
