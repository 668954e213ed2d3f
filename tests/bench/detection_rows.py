"""Rows and sums of ``scripts/bench detection``: what each tool made of each capture, in plain values."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.bench.corpus import Ban, Capture, Result
from tests.bench.replayed import Replayed

__all__ = ["GOALS", "TOOLS", "goals", "row", "summary"]

TOOLS = ("shield", "fail2ban", "pike")
GOALS = {"fingerprint": 6, "behaviour": 12}
"""Messages to the ban, median of the captures that are found this way."""
Row = dict[str, Any]


def tally(capture: Capture, result: Result) -> Row:
    """What one tool made of one capture; of several attackers the slowest counts."""
    caught = capture.caught(result)
    wrong = len(capture.wronged(result))
    forged = capture.kind == "spoofed"
    return {
        "banned": len(caught),
        **_slowest(caught.values()),
        "benign_banned": 0 if forged else wrong,
        "forged_banned": wrong if forged else 0,
        "missing": result.missing,
    }


def row(
    capture: Capture,
    shipped: Replayed,
    behaviour: Replayed,
    fingerprints: Iterable[str],
    others: Mapping[str, Result],
) -> Row:
    """One capture: shield with all rules, with rules of behaviour alone, and other tools by name."""
    alerts = {address: one for address, one in shipped.alerts.items() if address in capture.attackers}
    by = ""
    if shipped.scenarios:
        by = "fingerprint" if shipped.scenarios[0] in set(fingerprints) else "behaviour"
    return {
        "capture": capture.name,
        "class": capture.kind,
        "must": capture.must,
        "attackers": len(capture.attackers),
        "shield": {
            **tally(capture, shipped),
            "by": by,
            "found_by": list(shipped.scenarios),
            "proof": list(shipped.proofs),
            "alert": _slowest(alerts.values()),
            "limited_seconds": round(shipped.limited, 1),
        },
        "behaviour": {**tally(capture, behaviour), "found_by": list(behaviour.scenarios)},
        **{name: tally(capture, result) for name, result in others.items()},
    }


def summary(rows: Sequence[Row], tools: Iterable[str]) -> list[Row]:
    """By class: captures, and for each tool how many were found, in how many messages, and whom else."""
    found = []
    for kind in sorted({one["class"] for one in rows}):
        members = [one for one in rows if one["class"] == kind]
        line: Row = {"class": kind, "captures": len(members)}
        for tool in tools:
            given = [one for one in members if tool in one and not one[tool]["missing"]]
            whole = [
                one for one in given if one["attackers"] and one[tool]["banned"] == one["attackers"]
            ]
            line[tool] = {
                "given": len(given),
                "attacks": sum(one["attackers"] > 0 for one in given),
                "found": len(whole),
                "messages": _median([one[tool]["messages"] for one in whole]),
                "wrong": sum(_wrong(one, tool) > 0 for one in given),
            }
        found.append(line)
    return found


def goals(rows: Sequence[Row], day: Mapping[str, Any] | None = None) -> list[Row]:
    """What shield has to reach, and whether it does."""
    attacks = [one for one in rows if one["attackers"]]
    must = [one for one in attacks if one["must"]]
    missed = [one["capture"] for one in must if one["shield"]["banned"] < one["attackers"]]
    found = [
        _goal("every attacker found", f"{len(must) - len(missed)} of {len(must)} captures", not missed)
    ]
    found[0]["missed"] = missed
    for by, most in GOALS.items():
        median = _median([one["shield"]["messages"] for one in rows if one["shield"]["by"] == by])
        what = f"messages to the ban by {by}, median at most {most}"
        found.append(_goal(what, median, median is None or median <= most))
    alone = [one for one in attacks if one["behaviour"]["banned"] == one["attackers"]]
    median = _median([one["behaviour"]["messages"] for one in alone])
    what = f"the same without any fingerprint, median at most {GOALS['behaviour']}"
    text = f"{median}, finds {len(alone)} of {len(attacks)} captures"
    found.append(_goal(what, text, median is None or median <= GOALS["behaviour"]))
    for what in ("benign", "forged"):
        count = sum(one[mode][f"{what}_banned"] for one in rows for mode in ("shield", "behaviour"))
        found.append(_goal(f"{what} sources banned", count, not count))
    if day is not None:
        bans = sum(day["bans"].values())
        found.append(_goal(f"bans in a day of {day['messages']:,} benign messages", bans, not bans))
    return found


def _goal(what: str, measured: Any, met: bool) -> Row:
    return {"goal": what, "measured": measured, "met": bool(met)}


def _wrong(one: Row, tool: str) -> int:
    found: Row = one[tool]
    return int(found["benign_banned"]) + int(found["forged_banned"])


def _slowest(bans: Iterable[Ban]) -> Row:
    bans = list(bans)
    return {
        "messages": max((ban.messages for ban in bans), default=None),
        "seconds": max((round(ban.seconds, 2) for ban in bans), default=None),
    }


def _median(values: Sequence[int]) -> float | None:
    return statistics.median(values) if values else None
