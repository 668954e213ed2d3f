"""``shield export`` and ``import``: bans as files, for other nodes and other programs."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from shield.blocklist.decision import LIMIT
from shield.cli.daemon import ask, connect
from shield.cli.group import FAILURE, complain
from shield.cli.options import (
    DurationOption,
    FilterArgument,
    Output,
    OutputOption,
    ReasonOption,
    SocketOption,
    as_duration,
    as_filter,
)
from shield.cli.render import plural, write_json
from shield.control.commands import IMPORT_ITEMS
from shield.errors import SystemFailure

if TYPE_CHECKING:
    from shield.blocklist.decision import Decision
    from shield.blocklist.formats import ImportEntry, ImportResult

__all__ = ["export", "format_of", "import_bans"]

FORMATS = ("json", "csv", "plain", "nft", "ipset")

_ENDINGS = {".json": "json", ".csv": "csv", ".txt": "plain", ".nft": "nft", ".ipset": "ipset"}

REFUSED = 20
"""Refused lines that are named; beyond, they are only counted."""

FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        "-F",
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)}. Default: by the file's name; imports look at the content.",
        show_default=False,
    ),
]


def export(
    terms: FilterArgument = None,
    *,
    file: Annotated[
        str, typer.Option("--file", "-f", metavar="FILE", help="Write to it; - is standard output.")
    ] = "-",
    form: FormatOption = "",
    socket: SocketOption = "",
) -> None:
    """Write live bans, or those that a filter picks, as JSON, CSV, plain list, nft or ipset script.

    Takes the filters of shield list. Limits go out as JSON and CSV only, for the others can only ban.
    While the daemon is down the journal is exported.
    """
    from shield.blocklist.formats import LIMIT_FORMATS, dump

    chosen = format_of(file, form) or "json"
    text = as_filter(terms)
    try:
        rows = ask(socket, "export", filter=text or None)
    except SystemFailure as error:
        from shield.cli.offline import journal_decisions

        rows = journal_decisions(text, str(error))
    if chosen not in LIMIT_FORMATS and (limits := sum(row["type"] == LIMIT for row in rows)):
        typer.echo(f"left out {plural(limits, 'limit')}: {chosen} can only ban", err=True)
    lines = dump(map(decision_of, rows), chosen, 0.0)
    if file == "-":
        sys.stdout.writelines(lines)
        return
    _replace(Path(file), lines)
    typer.echo(f"wrote {plural(len(rows), 'ban')} to {file}", err=True)


def decision_of(row: Mapping[str, Any]) -> Decision:
    """Make a decision of its JSON shape, in a node time that begins now."""
    from shield.blocklist.decision import Decision, read_ports
    from shield.detect.alert import Proof
    from shield.net import Network

    return Decision(
        network=Network.parse(row["value"]),
        scenario=row["scenario"],
        origin=row["origin"],
        proof=Proof(row["proof"]),
        time=row["time"],
        until=row["remaining"],
        duration=row["duration"],
        id=row["id"],
        reason=row["reason"],
        type=row["type"],
        repeats=row["repeats"],
        ports=read_ports(row.get("ports") or ""),
    )


def _replace(path: Path, lines: Iterable[str]) -> None:
    """Write a file so that nobody ever reads half of it; a device or pipe is written as it is."""
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8") as stream:
            stream.writelines(lines)
        return
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with fresh.open("x", encoding="utf-8") as stream:
            stream.writelines(lines)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def import_bans(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="Files; none or - is stdin.", show_default=False),
    ] = None,
    *,
    form: FormatOption = "",
    time: DurationOption = "",
    reason: ReasonOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Ban what files list; the allowlist wins. Lines that make no sense stop nothing but are named.

    Formats: JSON, CSV, plain (an address a line), nft and ipset. --time bans everything for so
    long; otherwise each ban lasts as its file says, or as configured.
    """
    duration = as_duration(time)
    lists = [_read(name, form) for name in files or ["-"]]
    problems = [problem for found in lists for problem in found.problems]
    hidden = sum(found.problem_count - len(found.problems) for found in lists)
    items = [_item(entry) for found in lists for entry in found.entries]
    total: Counter[str] = Counter(added=0, extended=0, skipped=0)
    with connect(socket) as client:
        for start in range(0, len(items), IMPORT_ITEMS):
            answer = client.call(
                "import",
                decisions=items[start : start + IMPORT_ITEMS],
                duration=duration,
                reason=reason or None,
                dry_run=dry_run or None,
            )
            total.update({key: answer.get(key, 0) for key in ("added", "extended", "skipped")})
            problems += [f"{row['value']}: {row['message']}" for row in answer.get("refused") or ()]
    _report(total, problems, hidden, output, dry_run=dry_run)


def _report(
    total: Counter[str], problems: Sequence[str], hidden: int, output: Output, *, dry_run: bool
) -> None:
    refused = len(problems) + hidden
    if output is Output.JSON:
        write_json({**total, "refused": refused, "problems": list(problems), "dry_run": dry_run})
    else:
        counts = ", ".join(f"{what} {count:,}" for what, count in total.items())
        note = " (dry run, nothing was changed)" if dry_run else ""
        typer.echo(f"{counts}, refused {refused:,}{note}")
    if refused:
        more = [f"and {refused - REFUSED:,} more"] if refused > REFUSED else []
        complain(*problems[:REFUSED], *more)
        raise typer.Exit(FAILURE)


def format_of(file: str, form: str) -> str:
    """Choose the format: the option, else the file's ending, else nothing."""
    if form and form not in FORMATS:
        raise typer.BadParameter(f"--format: {form!r} is not one of {', '.join(FORMATS)}")
    return form or _ENDINGS.get(Path(file).suffix, "")


def _item(entry: ImportEntry) -> dict[str, Any]:
    """Shape an entry as the daemon takes it, without what the list does not say."""
    said = {"remaining": entry.duration, "reason": entry.reason, "scenario": entry.scenario}
    if entry.type == LIMIT:
        said |= {"type": LIMIT, "ports": entry.ports}
    return {"value": str(entry.network), **{key: value for key, value in said.items() if value}}


def _read(name: str, form: str) -> ImportResult:
    """Read one list; raises OSError when the file cannot be read at all."""
    import time

    from shield.blocklist.formats import parse

    with _opened(name) as stream:
        # An ending may lie, so only the option decides; otherwise the content is looked at.
        return parse(stream, name, format_of(name, form) if form else None, wall=time.time())


def _opened(name: str) -> TextIO:
    if name == "-":
        return io.TextIOWrapper(sys.stdin.buffer, "utf-8", "replace")
    return Path(name).open(encoding="utf-8", errors="replace")
