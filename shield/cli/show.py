"""``shield show``: everything known about one address, most of all why it is banned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

from shield.cli.columns import DECISIONS, proof_colour
from shield.cli.daemon import ask
from shield.cli.options import Output, OutputOption, SocketOption, as_networks
from shield.cli.render import (
    Column,
    dash,
    fit,
    local_time,
    paint,
    plural,
    printable,
    seconds,
    wrap,
    write_json,
    write_plain,
    write_table,
)
from shield.errors import SystemFailure

__all__ = ["show"]

_STATES = {"banned": "red", "allowed": "green", "watched": "yellow", "limited": "cyan"}
_SHORT = 3
"""Evidence messages shown of each alert (--all shows every one), and running counts of a source."""

_HISTORY = (
    Column("time", "time", local_time, keep=8),
    Column("kind", "what", dash, keep=9),
    Column("value", "value", dash, keep=2),
    Column("scenario", "scenario", dash, keep=7, cut=True),
    Column("proof", "proof", dash, keep=3, colour=proof_colour),
    Column("duration", "for", seconds, keep=6, right=True),
    Column("reason", "reason", dash, keep=4, cut=True),
)

Answer = Mapping[str, Any]


def show(
    value: Annotated[str, typer.Argument(metavar="ADDRESS", help="Address or network.")],
    *,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Every evidence message, whole.")
    ] = False,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Say why an address is banned or not: decisions, alerts with evidence, history."""
    [wanted] = as_networks([value])
    try:
        answer: Answer = ask(socket, "show", value=wanted)
    except SystemFailure as error:
        from shield.cli.offline import journal_show

        answer = journal_show(wanted, str(error))
    if output is Output.JSON:
        write_json(answer)
    elif output is Output.PLAIN:
        write_plain(_flat(wanted, answer), ("value", "key", "item"))
    else:
        _print(wanted, answer, everything=everything)


def _print(value: str, answer: Answer, *, everything: bool) -> None:
    state = str(answer.get("state") or "unknown")
    typer.echo(f"{paint(value, '', bold=True)}: {paint(state, _STATES.get(state, ''), bold=True)}")
    for line in (*_facts(answer), *_refusals(answer)):
        typer.echo(f"  {printable(line)}")
    _section("Decisions", answer.get("decisions"), DECISIONS)
    for grounds in answer.get("grounds") or ():
        for line in _grounds(grounds):
            typer.echo(wrap(f"    {printable(line)}", 6))
    alerts = alerts_of(answer)
    if alerts:
        typer.echo(paint("\nAlerts", "", bold=True))
    told = set()
    for alert in alerts:
        _print_alert_head(alert)
        # The same alert comes again when its ban follows later: its evidence is told once.
        mark = str((alert.get("scenario"), alert.get("details"), alert.get("evidence")))
        if mark not in told or everything:
            _print_evidence(alert, everything=everything)
        told.add(mark)
    _section("History", answer.get("history"), _HISTORY)


def _facts(answer: Answer) -> Iterable[str]:
    """One line for each thing that is known beside decisions and alerts."""
    allowed = answer.get("allowlist")
    if allowed:
        why = f" ({allowed['reason']})" if allowed.get("reason") else ""
        left = allowed.get("remaining")
        yield f"allowed by {allowed.get('value')}{why}" + (f", {seconds(left)} left" if left else "")
    for key in ("first_seen", "last_seen"):
        if answer.get(key) is not None:
            yield f"{key.replace('_', ' ')} {local_time(answer[key])}"
    explained = answer.get("source") or {}
    source = explained.get("source") or explained
    known = [f"{key} {source[key]}" for key in ("messages", "trust") if source.get(key)]
    if known:
        yield ", ".join(known)
    for row in list(source.get("scores") or ())[:_SHORT]:
        yield f"counts for {row.get('scenario')}: {_score(row)}"
        for mark in row.get("marks") or ():
            yield f"  {mark.get('weight')}: {mark.get('mark')}"
    if explained.get("skipped"):
        since = "from the limited ports" if explained.get("limited") else "since it was banned"
        yield f"{explained['skipped']:,} packets skipped {since}"


def _grounds(told: Mapping[str, Any]) -> Iterable[str]:
    """On what a decision rests, and what would change it."""
    reasons = "; ".join(map(str, told.get("reasons") or ()))
    yield f"{told.get('grade')}, decided by {told.get('decided_by')}: {reasons}"
    until = "ends by itself unless the scan goes on; " if told.get("renewed") else ""
    yield f"{until}lifted by: {' | '.join(map(str, told.get('lifted_by') or ()))}"
    if told.get("proven_by"):
        yield f"would be proven by: {' | '.join(map(str, told['proven_by']))}"


def _score(row: Mapping[str, Any]) -> str:
    measure = f" ({row['measure']})" if row.get("measure") else ""
    return f"{row.get('score')} of {row.get('limit')}{measure}"


def _refusals(answer: Answer) -> Iterable[str]:
    """One line for each node that bans it, while this one does not."""
    for said in answer.get("shared") or ():
        if not said.get("applied"):
            why = said.get("reason") or str(said.get("why") or "").replace("_", " ")
            weak = " unproven" if said.get("proof") == "unproven" else ""
            left = seconds(said.get("remaining"))
            yield f"{said.get('origin')} bans it{weak}, {left} left; not here: {why}"


def alerts_of(answer: Answer) -> Sequence[Mapping[str, Any]]:
    """Alerts of the journal, else those that the daemon remembers of the source."""
    return answer.get("alerts") or (answer.get("source") or {}).get("alerts") or ()


def _print_alert_head(alert: Mapping[str, Any]) -> None:
    head = f"{local_time(alert.get('time'))}  {alert.get('scenario')}"
    facts = [f"{alert.get('proof', 'unproven')}", plural(int(alert.get("messages") or 0), "message")]
    if alert.get("limit"):  # alerts of an old journal have none
        facts.append(f"score {alert.get('score')} of {alert['limit']}")
    if alert.get("origin"):
        facts.append(f"seen by {alert['origin']}")
    if alert.get("why"):
        facts.append(str(alert["why"]))
    text = wrap(f"  {printable(head)} ({printable(', '.join(facts))})", 4)
    typer.echo(text.replace(printable(head), paint(printable(head), "cyan"), 1))


def _print_evidence(alert: Mapping[str, Any], *, everything: bool) -> None:
    if alert.get("limit"):
        typer.echo(fit(f"    score: {_score(alert)}"))
    for mark in alert.get("marks") or ():
        typer.echo(fit(f"      {mark.get('weight')}: {mark.get('mark')}"))
    for name, text in _pairs(alert.get("details")):
        typer.echo(fit(f"    {name}: {text}"))
    evidence = list(alert.get("evidence") or ())
    for item in evidence if everything else evidence[:_SHORT]:
        lines = str(item.get("message") or "").splitlines() or [""]
        show_line = printable if everything else fit
        typer.echo(show_line(f"    > {lines[0]}"))
        for line in lines[1:] if everything else ():
            typer.echo(f"      {printable(line)}")
        if item.get("note"):
            typer.echo(paint(show_line(f"      seen: {item['note']}"), "bright_black"))
    hidden = len(evidence) - _SHORT
    if hidden > 0 and not everything:
        typer.echo(f"    {hidden} more, see --all")


def _pairs(details: Any) -> Iterable[tuple[str, str]]:
    """Details come as an object or as a list of pairs."""
    pairs = details.items() if isinstance(details, Mapping) else details or ()
    return [(str(pair[0]), str(pair[1])) for pair in pairs]


def _section(title: str, rows: Any, columns: Sequence[Column]) -> None:
    if rows:
        typer.echo(paint(f"\n{title}", "", bold=True))
        write_table(rows, columns, "  ")


def _flat(value: str, answer: Answer) -> Iterable[dict[str, Any]]:
    yield {"value": value, "key": "state", "item": answer.get("state")}
    for key in ("decisions", "alerts", "history"):
        for item in (alerts_of(answer) if key == "alerts" else answer.get(key)) or ():
            yield {"value": value, "key": key.removesuffix("s"), "item": item}
