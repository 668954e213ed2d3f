"""Results of ``scripts/bench detection`` on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.detection_rows import TOOLS, summary

__all__ = ["show"]

Row = dict[str, Any]
WIDTH = 150
"""Of a table that goes into a file."""


def show(result: Row, console: Console | None = None) -> None:
    """Print what was measured."""
    out = console or Console()
    if not out.is_terminal:
        out = Console(width=WIDTH)
    if "rows" in result:
        out.print(_captures(result["rows"]))
        out.print(_classes(result["rows"]))
    if "goals" in result:
        table = Table("goal", "measured", "reached", title="Goals")
        for one in result["goals"]:
            table.add_row(one["goal"], str(one["measured"]), "yes" if one["met"] else "[red]no[/]")
        out.print(table)
    if "day" in result:
        _day(result["day"], out)


def _captures(rows: list[Row]) -> Table:
    table = Table(title="Captures: messages to the ban (seconds)")
    for name in ("capture", "class", "found by"):
        table.add_column(name, no_wrap=name == "capture")
    tools = _tools(rows)
    for name in ("alert", *tools, "behaviour alone", "limited"):
        table.add_column(name, justify="right")
    for one in rows:
        shield = one["shield"]
        found = ", ".join(shield["found_by"]) or (
            "-" if one["must"] or not one["attackers"] else "need not be"
        )
        table.add_row(
            one["capture"], one["class"], found, _when(shield["alert"]),
            *(_result(one, tool) for tool in tools), _result(one, "behaviour"),
            f"{shield['limited_seconds']:g} s" if shield["limited_seconds"] else "-",
        )  # fmt: skip
    return table


def _classes(rows: list[Row]) -> Table:
    tools = _tools(rows)
    table = Table(
        "class", "captures", title="Classes: found, median of messages, captures with wrong bans"
    )
    for tool in tools:
        table.add_column(tool)
    for one in summary(rows, tools):
        texts = []
        for tool in tools:
            found = one[tool]
            parts = [f"{found['found']} of {found['given']}"] if found["attacks"] else ["-"]
            parts += [f"{found['messages']:g} messages"] if found["messages"] is not None else []
            parts += [f"[red]{found['wrong']} wrong[/]"] if found["wrong"] else []
            texts.append(", ".join(parts))
        table.add_row(one["class"], str(one["captures"]), *texts)
    return table


def _day(day: Row, out: Console) -> None:
    out.print(
        f"A day of {day['messages']:,} benign messages from {day['sources']:,} sources, "
        f"seed {day['seed']}: "
        f"{sum(day['bans'].values())} bans, {sum(day['limits'].values())} limits, "
        f"{sum(day['alerts'].values())} alerts; {day['seconds']} s of a core, "
        f"{day['microseconds']} us a message, {day['megabytes']} MB with the messages of an hour."
    )
    for what in ("bans", "limits", "alerts"):
        for name, count in day[what].items():
            out.print(f"  {what}: {name} ({count})")


def _tools(rows: list[Row]) -> list[str]:
    return [tool for tool in TOOLS if rows and tool in rows[0]]


def _result(one: Row, tool: str) -> str:
    found = one[tool]
    if found["missing"]:
        return "n/a"
    wrong = found["benign_banned"] + found["forged_banned"]
    return _when(found) + (f" [red]+{wrong} wrong[/]" if wrong else "")


def _when(found: Row) -> str:
    return "-" if found["messages"] is None else f"{found['messages']} ({found['seconds']:g})"
