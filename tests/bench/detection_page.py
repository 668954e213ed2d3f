"""The measured parts of docs/detection.md: marked sections, each written from rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.bench.corpus import ROOT
from tests.bench.detection_rows import TOOLS, goals, summary

__all__ = [
    "PAGE",
    "captures_section",
    "comparison_section",
    "day_section",
    "stale",
    "write",
]

PAGE = ROOT / "docs" / "detection.md"
SHIELD = "found by", "proof", "messages to alert", "seconds", "messages to ban", "seconds"
WHO = "banned", "others banned", "others limited"
CAPTURES = ("capture", "class", *SHIELD, *WHO, "behaviour alone", "messages")
Row = dict[str, Any]


def cells(one: Row) -> list[str]:
    """A line of the table of captures."""
    shield, alone, attackers = one["shield"], one["behaviour"], one["attackers"]
    wrong = shield["benign_banned"] + shield["forged_banned"]
    optional = " (need not be)" if attackers and not one["must"] else ""
    return [
        one["capture"], one["class"], _list(shield["found_by"]), _list(shield["proof"]),
        _number(shield["alert"]["messages"]), _number(shield["alert"]["seconds"]),
        _number(shield["messages"]), _number(shield["seconds"]),
        f"{shield['banned']} of {attackers}{optional}" if attackers else "-", str(wrong),
        f"{shield['limited_seconds']:g} s", _list(alone["found_by"]), _number(alone["messages"]),
    ]  # fmt: skip


def captures_section(rows: Sequence[Row]) -> list[str]:
    """Goals, and a line for each capture."""
    reached = [
        [one["goal"], _number(one["measured"]), "yes" if one["met"] else "NO"] for one in goals(rows)
    ]
    return [
        f"{len(rows)} captures:",
        "",
        *_table(("goal", "measured", "reached"), reached),
        "",
        *_table(CAPTURES, (cells(one) for one in rows)),
    ]


def comparison_section(rows: Sequence[Row], jail: Row) -> list[str]:
    """By class, and a line for each capture, for all tools."""
    sums = summary(rows, TOOLS)
    header = ["class", "captures"]
    for tool in TOOLS:
        header += [f"{tool} found", "messages"]
    attacks, innocent = [], []
    for one in sums:
        line = [one["class"], str(one["captures"])]
        if one["class"] in ("benign", "spoofed"):
            innocent.append([*line, *(_of(one[tool], "wrong") for tool in TOOLS)])
            continue
        for tool in TOOLS:
            line += [_of(one[tool], "found"), _number(one[tool]["messages"])]
        attacks.append(line)
    lines = [[one["capture"], one["class"], *(_cell(one, tool) for tool in TOOLS)] for one in rows]
    return [
        f"Jail as shipped: {jail['max_retry']} failures in {jail['find_time'] / 60:g} minutes.",
        "",
        "Captures whose attackers were all banned, and the median of messages to the ban:",
        "",
        *_table(header, attacks),
        "",
        "Captures with nobody to ban, and in how many of them somebody was:",
        "",
        *_table(("class", "captures", *TOOLS), innocent),
        "",
        "Messages to the ban (`n of m`: of so many attackers); `wrong`: others that were banned:",
        "",
        *_table(("capture", "class", *TOOLS), lines),
    ]


def day_section(day: Row) -> list[str]:
    """What became of the day."""
    found = ", ".join(f"{sum(day[what].values())} {what}" for what in ("bans", "limits", "alerts"))
    sent = f"{day['messages']:,} messages of {day['sources']:,} sources in 24 hours"
    return [f"{sent} (seed {day['seed']}): {found}."]


def write(sections: dict[str, list[str]], page: Path = PAGE) -> None:
    """Put these sections in place of the ones that stand on the page."""
    text = page.read_text()
    for name, lines in sections.items():
        begin, end = _marks(name)
        if begin not in text or end not in text:
            raise ValueError(f"{page}: no section {begin} ... {end}")
        before, _, rest = text.partition(begin)
        text = "\n".join([before + begin, *lines, end + rest.partition(end)[2]])
    page.write_text(text)


def stale(rows: Iterable[Row], page: Path = PAGE) -> list[str]:
    """Lines of captures that do not stand on the page as they are now."""
    known = set(page.read_text().splitlines())
    return [line for line in (_line(cells(one)) for one in rows) if line not in known]


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    return [_line(one) for one in (header, ["---"] * len(header), *lines)]


def _line(values: Sequence[str]) -> str:
    return "| " + " | ".join(values) + " |"


def _list(values: Sequence[str]) -> str:
    return ", ".join(values) or "-"


def _number(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:g}"


def _of(found: Row, what: str) -> str:
    """A count, with the number of captures that the tool could be given if it is not plain."""
    return f"{found[what]} of {found['given']}"


def _cell(one: Row, tool: str) -> str:
    found = one[tool]
    if found["missing"]:
        return f"n/a: {found['missing']}"
    wrong = found["benign_banned"] + found["forged_banned"]
    parts = []
    if found["banned"]:
        share = (
            "" if found["banned"] == one["attackers"] else f" ({found['banned']} of {one['attackers']})"
        )
        parts.append(f"{found['messages']}{share}")
    if wrong:
        parts.append(f"wrong: {wrong}")
    return ", ".join(parts) or "-"
