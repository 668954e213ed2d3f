"""``shield status``, ``watch`` and ``reload``: how the daemon is doing."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from shield.cli.daemon import ask, follow
from shield.cli.group import FAILURE
from shield.cli.options import FilterArgument, Output, OutputOption, SocketOption, as_duration, as_filter
from shield.cli.render import (
    local_time,
    paint,
    printable,
    seconds,
    wrap,
    write_json,
    write_plain,
)

__all__ = ["event_line", "flatten", "reload", "status", "status_lines", "watch"]

_DURATIONS = frozenset({"uptime", "lag", "retry_wait", "age"})
_KINDS = ("alert", "change", "compromised", "cluster")
SILENCE = 4
"""Exit code of ``watch --timeout`` when less came than was waited for."""


def status(
    stats: Annotated[bool, typer.Option("--stats", help="All counters instead, by part.")] = False,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Show mode, uptime, bans, parts and warnings of the daemon.

    Exit code 1 when there are warnings, or no daemon.
    """
    answer: Mapping[str, Any] = ask(socket, "stats" if stats else "status")
    warnings = answer.get("warnings") or ()
    if output is Output.JSON:
        write_json(answer)
    elif output is Output.PLAIN:
        write_plain(({"key": k, "value": v} for k, v in flatten(answer)), ("key", "value"))
    else:
        _print_lines(answer)
        for warning in warnings:
            typer.echo(paint(wrap(f"warning: {printable(str(warning))}", 9), "yellow", bold=True))
    if warnings:
        raise typer.Exit(FAILURE)


def _print_lines(answer: Mapping[str, Any]) -> None:
    for line in status_lines(answer):
        typer.echo(wrap(line, _indent(answer)))


def _indent(answer: Mapping[str, Any]) -> int:
    return max((len(key) for key in answer), default=0) + 2


def status_lines(answer: Mapping[str, Any]) -> Iterable[str]:
    """One line for each plain value, one for each part with its values behind it."""
    plain = {k: v for k, v in answer.items() if k != "warnings" and not isinstance(v, Mapping)}
    parts = {k: v for k, v in answer.items() if isinstance(v, Mapping)}
    width = _indent(answer)
    for key, value in plain.items():
        yield f"{key.replace('_', ' '):<{width}}{_value(key, value)}"
    for key, value in parts.items():
        pairs = ((k, v) for k, v in flatten(value) if v not in (None, "", [], {}))
        text = ", ".join(f"{k.replace('_', ' ')} {_value(k, v)}" for k, v in pairs)
        yield f"{key.replace('_', ' '):<{width}}{text or '-'}"


def _value(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return printable(", ".join(map(str, value))) or "-"
    if key in _DURATIONS:
        return seconds(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return printable(str(value)) if value is not None else "-"


def flatten(data: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Give every value with its path, joined by dots."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, data


def watch(
    terms: FilterArgument = None,
    *,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--event",
            "-e",
            "--kind",
            "-k",
            help="Only alert, change, compromised or cluster; without it all but cluster.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", "-n", min=0, metavar="N", help="End after N events; 0 goes on.")
    ] = 0,
    timeout: Annotated[
        str, typer.Option("--timeout", "-t", metavar="TIME", help="End after this time: 30s, 10m.")
    ] = "",
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Print alerts, changes of the blocklist and taken over accounts as they happen, until Ctrl-C.

    Takes the filters of shield list. JSON output is one object a line.

    Example: shield watch --event compromised --count 1 --timeout 10m && page-somebody

    Exit codes: 0 --count events came, or none was asked for; 4 the time of --timeout passed before.
    """
    wrong = [name for name in kind or () if name not in _KINDS]
    if wrong:
        raise typer.BadParameter(f"--event: {wrong[0]!r} is not one of {', '.join(_KINDS)}")
    text = as_filter(terms)
    seen = 0
    with contextlib.suppress(KeyboardInterrupt):
        wait = as_duration(timeout, "--timeout")
        for event in follow(socket, "watch", wait, filter=text or None, kinds=kind or None):
            _print_event(event, output)
            seen += 1
            if seen == count:
                return
        if wait is not None and count:
            raise typer.Exit(SILENCE)


def _print_event(event: Mapping[str, Any], output: Output) -> None:
    if output is Output.JSON:
        sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
    elif output is Output.PLAIN:
        row = _event(event)
        write_plain([row], ("time", "event", "value", "scenario", "proof", "reason"))
    else:
        typer.echo(event_line(event))
    sys.stdout.flush()


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    """Bring alerts, changes and events of the cluster under the same keys."""
    if event.get("event") == "cluster":
        named = {"value": event.get("node"), "scenario": event.get("kind"), "reason": event.get("text")}
        return {"time": event.get("time"), "event": "cluster", "proof": "", "duration": None, **named}
    if event.get("event") == "compromised":
        return _account(event)
    keys = ("time", "value", "scenario", "proof", "duration")
    what = "alert" if event.get("event") == "alert" else event.get("change")
    return {
        **{key: event.get(key) for key in keys},
        "event": what,
        "reason": event.get("why") or event.get("reason"),
    }


def _account(event: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a taken over account, or of its calls."""
    told, calls = event.get("reason"), event.get("calls") or ()
    if event.get("kind") == "call" and calls:
        told = f"{event.get('calls_total')} calls, the last to {calls[-1].get('called')}"
    return {
        "time": event.get("time"),
        "event": "compromised",
        "value": event.get("value"),
        "scenario": f"{event.get('account')}@{event.get('realm')}",
        "proof": event.get("proof"),
        "duration": None,
        "reason": told,
    }


def event_line(event: Mapping[str, Any]) -> str:
    """One event for people."""
    row = _event(event)
    parts = [local_time(row["time"]), f"{row['event']!s:<8}", f"{row['value']!s:<15}", row["scenario"]]
    parts += [row["proof"]]
    if row["duration"] is not None and row["event"] != "alert":
        parts.append(f"for {seconds(row['duration'])}")
    if row["reason"]:
        parts.append(f"({row['reason']})")
    line = printable("  ".join(str(part) for part in parts if part))
    if row["event"] == "compromised":
        return paint(line, "red", bold=True)
    return paint(line, "yellow") if row["event"] == "alert" else line


def reload(output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Make the daemon read configuration and rules again; a mistake in them changes nothing."""
    answer = ask(socket, "reload")
    if output is Output.JSON:
        write_json(answer)
        return
    typer.echo("reloaded")
    if isinstance(answer, Mapping):
        _print_lines({k: v for k, v in answer.items() if v})
