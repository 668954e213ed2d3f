"""``shield export`` and ``import``: bans as files, for other nodes and other programs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

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
)
from shield.cli.render import plural, write_json
from shield.control.commands import IMPORT_ITEMS
from shield.errors import InputError, SystemFailure

__all__ = ["export", "import_bans"]

FORMATS = ("json", "csv", "plain", "nft", "ipset")

FILE_BYTES = 256 << 20
"""Largest list that is read: a million bans as JSON; a disk image given by mistake is none."""

REFUSED = 20
"""Refused lines that are named; beyond, they are only counted."""

FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        "-F",
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)}. Default: by the name of the file.",
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

    Takes the filters of shield list. While the daemon is down the journal is exported.
    """
    from shield.blocklist.filters import parse_filter
    from shield.blocklist.formats import dump

    chosen = format_of(file, form) or "json"
    text = " ".join(terms or ())
    parse_filter(text)
    try:
        rows = ask(socket, "export", filter=text or None)
    except SystemFailure as error:
        from shield.cli.offline import journal_decisions

        rows = journal_decisions(text, str(error))
    content = dump(rows, chosen)
    if file == "-":
        sys.stdout.write(content)
        return
    # A reader of the file never sees half of it.
    fresh = Path(f"{file}.new")
    fresh.write_text(content, "utf-8")
    fresh.replace(file)
    typer.echo(f"wrote {plural(len(rows), 'ban')} to {file}", err=True)


def import_bans(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="Files; none or - is stdin.", show_default=False),
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

    --time bans everything for so long; otherwise each ban lasts as its file says.
    """
    duration = as_duration(time)
    problems: list[str] = []
    items: list[dict[str, Any]] = []
    for name in files or ["-"]:
        found, wrong = _read(name, form)
        items += found
        problems += [f"{name}: {line}" for line in wrong]
    total: Counter[str] = Counter(added=0, extended=0, skipped=0)
    with connect(socket) as client:
        for chunk in _chunks(items):
            answer = client.call(
                "import",
                decisions=chunk,
                duration=duration,
                reason=reason or None,
                dry_run=dry_run or None,
            )
            total.update({key: answer.get(key, 0) for key in ("added", "extended", "skipped")})
            refused = answer.get("refused") or ()
            problems += [f"{entry['value']}: {entry['message']}" for entry in refused]
    _report(total, problems, output, dry_run=dry_run)


def _report(total: Counter[str], problems: Sequence[str], output: Output, *, dry_run: bool) -> None:
    if output is Output.JSON:
        write_json({**total, "refused": list(problems), "dry_run": dry_run})
    else:
        would = "would be " if dry_run else ""
        typer.echo(
            f"{total['added']:,} {would}added, {total['extended']:,} {would}extended, "
            f"{total['skipped']:,} skipped, {len(problems):,} refused"
        )
    if problems:
        more = [f"and {len(problems) - REFUSED:,} more"] if len(problems) > REFUSED else []
        complain(*problems[:REFUSED], *more)
        raise typer.Exit(FAILURE)


def format_of(file: str, form: str) -> str:
    """Choose the format: the option, else the file's ending, else nothing."""
    if form and form not in FORMATS:
        raise typer.BadParameter(f"--format: {form!r} is not one of {', '.join(FORMATS)}")
    endings = {".json": "json", ".csv": "csv", ".txt": "plain", ".nft": "nft", ".ipset": "ipset"}
    return form or endings.get(Path(file).suffix, "")


def _read(name: str, form: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Read one list: its items, and what was wrong with others."""
    from shield.blocklist.formats import parse

    chosen = format_of(name, form)
    if name == "-":
        data = sys.stdin.buffer.read(FILE_BYTES + 1)
    else:
        with Path(name).open("rb") as stream:
            data = stream.read(FILE_BYTES + 1)
    if len(data) > FILE_BYTES:
        raise InputError(f"{name}: longer than {FILE_BYTES >> 20} MiB")
    return parse(data.decode("utf-8", "replace"), chosen)


def _chunks(items: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(items), IMPORT_ITEMS):
        yield list(items[start : start + IMPORT_ITEMS])
