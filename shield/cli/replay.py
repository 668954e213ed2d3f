"""``shield replay``: what shield would have done, told from capture files."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from shield.cli.columns import ALERTS, proof_colour, type_colour
from shield.cli.compromised import show_account
from shield.cli.group import FAILURE, complain
from shield.cli.options import ConfigOption, Output, OutputOption
from shield.cli.render import Column, dash, paint, plural, seconds, write_json, write_plain, write_table
from shield.cli.settings import (
    AnyPortOption,
    DomainOption,
    PortOption,
    RulesOption,
    ServerOption,
    detection_settings,
    pipeline_factory,
    rules_of,
)
from shield.errors import ShieldError
from shield.net import Network

__all__ = ["FOUND", "replay"]

FOUND = 3
"""Exit code when decisions were made."""
MOST_ALIKE = 3
"""More sources than this with the same scenario and result are shown as one row."""


class React(StrEnum):
    """What a script may want to react to."""

    DECISION = "decision"
    ALERT = "alert"
    COMPROMISED = "compromised"


_FOUND_IN = {
    React.DECISION: "decisions", React.ALERT: "alerts", React.COMPROMISED: "compromised"
}  # fmt: skip

Report = Mapping[str, Any]


_DECISIONS = (
    Column("value", "value", keep=9),
    Column("type", "type", keep=4, colour=type_colour),
    Column("scenario", "scenario", keep=8, cut=True),
    Column("proof", "proof", keep=6, colour=proof_colour),
    Column("duration", "ban", seconds, keep=5, right=True),
    Column("messages_to_ban", "messages", dash, keep=7, right=True),
    Column("seconds_to_ban", "after", seconds, keep=6, right=True),
    Column("reason", "reason", dash, keep=2, cut=True),
)
PLAIN = (
    "file",
    "value",
    "scope",
    "type",
    "scenario",
    "kind",
    "proof",
    "time",
    "duration",
    "messages_to_ban",
    "seconds_to_ban",
    "reason",
    "ports",
)
"""Keys of a plain line, one line for each decision; new ones are only added at the end."""


def replay(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="pcap or pcapng files, also gzipped; - is stdin."),
    ],
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = None,
    domain: DomainOption = None,
    rules: RulesOption = None,
    port: PortOption = None,
    any_port: AnyPortOption = False,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="At the pace of the capture, not at full speed.")
    ] = False,
    react_to: Annotated[
        React, typer.Option("--exit-code", help="What makes the exit code 3.")
    ] = React.DECISION,
    config: ConfigOption = None,
) -> None:
    """Run detection over captures and report alerts, decisions, taken over accounts, and how soon.

    Every file starts with an empty memory. Nothing is blocked and no daemon is asked.

    Exit codes: 0 nothing was decided, 3 somebody would have been banned or limited (or what --exit-code
    names was found), 1 a file could not be read to its end (the others are still reported), 2 wrong
    usage.
    """
    settings = detection_settings(
        config, servers=server, domains=domain, rules=rules, ports=port, any_port=any_port
    )
    factory = pipeline_factory(settings, rules_of(settings))
    reports = []
    for name in files:
        report = _replay_one(name, factory, realtime=realtime)
        reports.append(report)
        if output is Output.TABLE:
            show_report(report)
        elif output is Output.PLAIN:
            write_plain([{"file": report["file"], **row} for row in report["decisions"]], PLAIN)
        sys.stdout.flush()
    if output is Output.JSON:
        write_json({"files": reports})
    errors = [report["error"] for report in reports if report["error"]]
    if errors:
        complain(*errors)
        raise typer.Exit(FAILURE)
    if any(report[_FOUND_IN[react_to]] for report in reports):
        raise typer.Exit(FOUND)


def _replay_one(name: str, factory: Callable[[], Any], *, realtime: bool) -> Report:
    """Give the report of one file, also when it cannot be opened."""
    from shield.replay import replay_file

    try:
        with progress_bar(name) as progress:
            result = replay_file(name, factory, realtime=realtime, progress=progress)
    except (ShieldError, OSError) as error:
        return {
            "file": name,
            "packets": 0,
            "messages": 0,
            "errors": {},
            "alerts": [],
            "decisions": [],
            "compromised": [],
            "error": _with_name(name, error),
        }
    report: Report = result.as_json()
    return report


def _with_name(name: str, error: Exception) -> str:
    text = str(getattr(error, "strerror", None) or error)
    return text if name in text else f"{name}: {text}"


@contextlib.contextmanager
def progress_bar(name: str) -> Iterator[Callable[[float], None] | None]:
    """Show a bar on standard error while it is a terminal; gives what moves it, or None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name.rpartition("/")[2], total=1.0)
        yield lambda done: bar.update(task, completed=done)


def show_report(report: Report) -> None:
    """Print one file's report for people."""
    decisions, alerts = report["decisions"], report["alerts"]
    if report["error"] and not report["packets"]:
        return  # told on standard error, and there is nothing else to tell
    counts = f"{plural(report['packets'], 'packet')}, {plural(report['messages'], 'message')}"
    found = f"{plural(len(alerts), 'alert')}, {plural(len(decisions), 'decision')}"
    typer.echo(f"{paint(report['file'], '', bold=True)}: {counts}, {found}")
    write_table(decisions, _DECISIONS, "  ")
    banned = [Network.parse(row["value"]) for row in decisions]
    write_table(_folded([row for row in alerts if not _inside(row["value"], banned)]), ALERTS[1:], "  ")
    for account in report["compromised"]:
        show_account(account, "  ")
    if report["errors"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(report["errors"].items()))
        typer.echo(f"  not understood: {reasons}")
    if report["error"]:
        typer.echo(paint(f"  stopped early: {report['error']}", "red"))


def _folded(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Put many sources with one scenario and one result into one row: a forged flood is one thing."""
    alike: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        alike.setdefault((row["scenario"], row["why"]), []).append(row)
    folded: list[Mapping[str, Any]] = []
    for group in alike.values():
        sources = len({row["value"] for row in group})
        if sources <= MOST_ALIKE:
            folded += group
        else:
            total = sum(row["messages"] for row in group)
            folded.append({**group[0], "value": plural(sources, "source"), "messages": total})
    return folded


def _inside(value: str, banned: Sequence[Network]) -> bool:
    """Tell whether a decision covers the source; then its further alerts say nothing new."""
    source = Network.parse(value)
    return any(network.contains(source) for network in banned)
