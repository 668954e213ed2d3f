"""``shield list``, ``ban`` and ``unban``: the daily verbs. Kept small so they start fast."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from shield.blocklist.decision import DECISION_KEYS
from shield.cli.columns import DECISIONS
from shield.cli.daemon import ask, finish
from shield.cli.options import (
    DurationOption,
    FilterArgument,
    Output,
    OutputOption,
    ReasonOption,
    SocketOption,
    as_duration,
    as_filter,
    as_networks,
)
from shield.cli.render import emit, plural
from shield.errors import SystemFailure

__all__ = ["ban", "list_bans", "unban"]

Values = Annotated[
    list[str],
    typer.Argument(
        metavar="VALUE", help="Addresses or networks: 203.0.113.5, 198.51.100.0/24, 2001:db8::/64."
    ),
]


def list_bans(
    terms: FilterArgument = None,
    *,
    output: OutputOption = Output.TABLE,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, metavar="N", help="Show at most N bans; 0 shows all.")
    ] = 0,
    socket: SocketOption = "",
) -> None:
    """List live bans and limits, or those that a filter picks.

    Example: shield list 'scenario=sip* proof=proven value=203.0.113.0/24 remaining<10m'

    A filter is a list of terms that must all hold: FIELD=VALUE, != for not, ~ for contains, and
    < > <= >= for numbers and durations. Text takes * and ?, several values are joined by commas,
    durations and numbers take ranges: remaining=1m..10m. A bare address or network means
    everything inside it. Quote terms with < or >, which a shell takes for itself.

    Fields: value, covers (the networks that hold an address), scenario, origin, proof, scope, type
    (ban, limit), ports, reason, id, remaining, duration, time (age), repeats; for alerts also kind,
    severity, confidence, messages.
    """
    text = as_filter(terms)
    rows, more = _fetch(text, limit, socket)
    emit(rows, DECISIONS, output, DECISION_KEYS)
    if output is Output.TABLE:
        _count_line(rows, text, more=more)


def _fetch(text: str, limit: int, socket: str) -> tuple[list[dict[str, Any]], bool]:
    """Rows from the daemon, else from the journal; and whether there are more than ``limit``."""
    try:
        # One more than wanted tells whether the list goes on.
        rows = ask(socket, "list", filter=text or None, limit=limit + 1 if limit else None)
    except SystemFailure as error:
        from shield.cli.offline import journal_decisions

        rows = journal_decisions(text, str(error))
    return (rows[:limit], True) if limit and len(rows) > limit else (rows, False)


def _count_line(rows: Sequence[Mapping[str, Any]], text: str, *, more: bool) -> None:
    matching = f" match {text!r}" if text else ""
    if not rows:
        typer.echo(f"no bans{matching}")
        return
    unproven = sum(row.get("proof") == "unproven" for row in rows)
    parts = [f"first {plural(len(rows), 'ban')}, there are more" if more else plural(len(rows), "ban")]
    limits = sum(row.get("type") == "limit" for row in rows)
    if limits:
        parts.append(f"{limits:,} of them {'limits' if limits > 1 else 'a limit'}")
    if unproven:
        parts.append(f"{unproven:,} unproven")
    if sys.stdout.isatty() and len(rows) > 200:
        parts.append("narrow it with a filter or --limit, see shield list --help")
    typer.echo(", ".join(parts))


def ban(
    values: Values,
    *,
    time: DurationOption = "",
    reason: ReasonOption = "",
    limit: Annotated[
        bool,
        typer.Option("--limit", help="Do not ban, but drop what goes beyond firewall.limit_rate."),
    ] = False,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Ban addresses or networks, several at once; with --limit only slow single addresses down.

    Without --time the configured ban time is used. The allowlist wins: a value that it holds,
    and this machine's own addresses, are refused. A limit does not weaken a ban: unban first.
    """
    answer = ask(
        socket,
        "ban",
        values=as_networks(values),
        duration=as_duration(time),
        reason=reason or None,
        limit=limit or None,
    )
    finish(answer, output, done="limited" if limit else "banned")


def unban(
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="VALUE", help="Addresses or networks as listed.", show_default=False),
    ] = None,
    *,
    filter_text: Annotated[
        str,
        typer.Option(
            "--filter", "-f", metavar="FILTER", help="Unban all that match, see shield list --help."
        ),
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="End every ban.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --all.")] = False,
    reason: ReasonOption = "",
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """End bans by value, by filter, or all of them."""
    if sum((bool(values), bool(filter_text), everything)) != 1:
        raise typer.BadParameter("give either values, --filter or --all")
    if everything and not yes and sys.stdin.isatty() and not typer.confirm("End every ban?"):
        raise typer.Exit(1)
    answer = ask(
        socket,
        "unban",
        values=as_networks(values) if values else None,
        filter=as_filter([filter_text]) or None,
        all=everything or None,
        reason=reason or None,
    )
    finish(answer, output, done="unbanned")
