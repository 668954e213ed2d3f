"""``shield cluster listen``: texts of other nodes as they come, and a command that replies to them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import IO, Annotated, Any

import typer

from shield.cli.cluster_daemon import ask_cluster
from shield.cli.daemon import follow
from shield.cli.group import complain
from shield.cli.options import Output, OutputOption, SocketOption
from shield.cli.render import local_time, printable, seconds, wrap, write_plain
from shield.errors import ShieldError, SystemFailure

__all__ = ["NoReplyError", "listen", "run_command"]

Event = Mapping[str, Any]

COMMAND_SECONDS = 5.0
"""A command that takes longer is ended: who asked waits no longer, and the next request does."""

MAX_OUTPUT = 16_384
"""Octets of a reply; the daemon takes no more for a text."""

READ_BYTES = 4096

SHELL = "/bin/sh"


class NoReplyError(ShieldError):
    """The command gave no reply; the text says why."""


def listen(
    *,
    command: Annotated[
        str,
        typer.Option(
            "--exec",
            metavar="COMMAND",
            help="Run this in a shell for each request; what it prints is the reply.",
            show_default=False,
        ),
    ] = "",
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Print texts of other nodes as they come, until Ctrl-C. JSON output is one object a line.

    With --exec every request is replied to: the command gets the text on standard input, and
    SHIELD_NODE and SHIELD_KIND in its environment. Requests are taken one at a time; a command
    that fails, or takes longer than 5 s, is told on standard error and gives no reply.

    Example: `shield cluster listen`

    Example: `shield cluster listen --exec 'grep -m1 -F -- "$(cat)" users.txt'`
    """
    with contextlib.suppress(KeyboardInterrupt):
        for event in follow(socket, "cluster.listen"):
            _print_event(event, output)
            if command and event.get("kind") == "request":
                _reply(event, command, socket)


def _print_event(event: Event, output: Output) -> None:
    row = {"time": round(time.time(), 3), **event}
    if output is Output.JSON:
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
    elif output is Output.PLAIN:
        write_plain([row], ("time", "node", "kind", "text", "id"))
    else:
        head = f"{local_time(row['time'])}  {row.get('node')}  {row.get('kind')}"
        typer.echo(wrap(printable(f"{head}: {row.get('text')}"), 4))
    sys.stdout.flush()


def _reply(event: Event, command: str, socket: str) -> None:
    """Run the command and send what it says; whatever goes wrong, the next request has its turn."""
    node = str(event.get("node"))
    environment = {"SHIELD_NODE": node, "SHIELD_KIND": str(event.get("kind"))}
    try:
        text = run_command(command, str(event.get("text")), environment)
        answer = ask_cluster(socket, "cluster.reply", id=event.get("id"), text=text)
    except SystemFailure:
        raise  # without the daemon there is nothing to listen to
    except ShieldError as error:
        complain(f"no reply to {node}: {error}")
    else:
        if answer.get("result", "sent") != "sent":
            complain(f"no reply to {node}: {str(answer['result']).replace('_', ' ')}")


def run_command(
    command: str, text: str, environment: Mapping[str, str], limit: float = COMMAND_SECONDS
) -> str:
    """Run a command with a text on its standard input; gives what it prints, without the last line end.

    Raises NoReplyError. A command that is ended takes with it all that it has started: it has a process
    group of its own.
    """
    process = subprocess.Popen(  # noqa: S603 - the operator's own command; texts are only its input
        [SHELL, "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    deadline = time.monotonic() + limit
    try:
        # A text is shorter than a pipe is long (64 kB), so this never waits.
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(text.encode())
        said = _read(process.stdout, deadline)
        code = process.wait(max(0.0, deadline - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired):
        raise NoReplyError(f"{command!r} took longer than {seconds(limit)}") from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()
    if code:
        raise NoReplyError(f"{command!r} ended with exit code {code}")
    return said.decode(errors="replace").removesuffix("\n")


def _read(pipe: IO[bytes], deadline: float) -> bytes:
    """Read to the end, but neither longer nor more than a reply may be."""
    said = b""
    while select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
        data = os.read(pipe.fileno(), READ_BYTES)
        said += data
        if len(said) > MAX_OUTPUT:
            raise NoReplyError(f"it printed more than {MAX_OUTPUT:,} octets")
        if not data:
            return said
    raise TimeoutError
