"""``scripts/bench detection``: what is found in labelled captures, how soon, and who is wronged.

    ./scripts/bench detection                      all parts, some two minutes
    ./scripts/bench detection shield               only shield, a second or two
    ./scripts/bench detection --json               the same as JSON
    ./scripts/bench detection --write              and into docs/detection.md
    ./scripts/bench detection shield --check       whether what stands there is still so
    ./scripts/bench detection day --messages 50000 --seed 7

Parts: ``shield`` replays each capture, with all rules and with those alone that judge behaviour;
``fail2ban`` gives fail2ban the log of an Asterisk; ``pike`` sends the packets to a Kamailio (needs
root); ``day`` is a day of good users. Captures: SHIELD_CAPTURES, else ../shared/captures, else
tests/captures. Exit code 1: a goal is missed, with --check also a line that is out of date, and where
CI is set a component that is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from shield.detect.rulefiles import load_rules
from tests.bench import detection_page as page
from tests.bench.corpus import Capture, Result, captures, directory
from tests.bench.day import HOURS, day
from tests.bench.detection_rows import TOOLS, goals, row
from tests.bench.detection_text import show
from tests.bench.jail import fail2ban
from tests.bench.jail import missing as no_fail2ban
from tests.bench.pike import missing as no_pike
from tests.bench.pike import pike
from tests.bench.replayed import behaviour, replayed

__all__ = ["main", "measure"]

PARTS = (*TOOLS, "day")
MESSAGES = 1_000_000
Step = Callable[[str, int], Callable[[], None]]
"""Begins a part with so many steps; gives what is called after each."""


def quietly(_what: str, _total: int) -> Callable[[], None]:
    """Show no progress."""
    return lambda: None


def measure(
    files: Sequence[Capture], parts: Sequence[str], messages: int, seed: int, step: Step = quietly
) -> dict[str, Any]:
    """Everything that was asked for; ``rows`` need the part ``shield``."""
    result: dict[str, Any] = {"missing": {}}
    others: dict[str, dict[str, Result]] = {}
    if "fail2ban" in parts:
        why = result["missing"]["fail2ban"] = no_fail2ban()
        step("fail2ban", 1)
        others["fail2ban"], result["jail"] = (_nothing(files, why), {}) if why else fail2ban(files)
    if "pike" in parts:
        why = result["missing"]["pike"] = no_pike()
        done = step("pike", len(files))
        others["pike"] = _nothing(files, why) if why else pike(files, done)
    if "day" in parts:
        passed = step("day", HOURS)
        result["day"] = day(messages, seed, lambda _: passed())
    if "shield" in parts:
        rules, done = load_rules(), step("shield", len(files))
        marks = [rule.name for rule in rules if rule.fingerprint]
        alone = behaviour(rules)
        result["rows"] = []
        for file in files:
            given = {name: results[file.name] for name, results in others.items()}
            result["rows"].append(row(file, replayed(file, rules), replayed(file, alone), marks, given))
            done()
        result["goals"] = goals(result["rows"], result.get("day"))
    return result


def sections(result: dict[str, Any]) -> dict[str, list[str]]:
    """What can be written of this result: a part that was not measured stays as it is."""
    found: dict[str, list[str]] = {}
    if "rows" in result:
        found["captures"] = page.captures_section(result["rows"])
        if "jail" in result and "pike" in result["missing"] and not any(result["missing"].values()):
            found["comparison"] = page.comparison_section(result["rows"], result["jail"])
    if "day" in result:
        found["day"] = page.day_section(result["day"])
    return found


def main(arguments: list[str]) -> None:
    """Measure, show, write or check."""
    options = _options(arguments)
    try:
        files = captures(options.captures or directory())
    except OSError as error:
        sys.exit(f"bench detection: {error}")
    console = Console(stderr=True)
    columns = TextColumn("{task.description:>9}"), BarColumn(), MofNCompleteColumn()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:

        def step(what: str, total: int) -> Callable[[], None]:
            task = progress.add_task(what, total=total)
            return lambda: progress.advance(task)

        result = measure(files, options.parts, options.messages, options.seed, step)
    print(json.dumps(result, indent=2)) if options.json else show(result)
    sys.exit(_finish(result, options, console))


def _finish(result: dict[str, Any], options: argparse.Namespace, console: Console) -> int:
    """Write or check the page; gives the exit code."""
    status = 0
    for name, why in result["missing"].items():
        if why:
            console.print(f"[yellow]{name} was not measured:[/] {why}")
            status |= bool(os.environ.get("CI"))
    if options.write:
        written = sections(result)
        page.write(written)
        console.print(f"written into {page.PAGE.name}: {', '.join(written) or 'nothing'}")
    if options.check:
        lines = page.stale(result.get("rows", ()))
        print("\n".join(["not on the page:", *lines] if lines else ["the page is up to date"]))
        status |= bool(lines)
    missed = [one["goal"] for one in result.get("goals", ()) if not one["met"]]
    day_bans = bool(result.get("day", {}).get("bans"))
    return status or int(bool(missed) or day_bans)


def _nothing(files: Sequence[Capture], why: str) -> dict[str, Result]:
    return {file.name: Result(missing=why) for file in files}


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench detection", description="Measure detection.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)} (all)")
    parser.add_argument("--captures", type=Path, help="directory with labels.json (SHIELD_CAPTURES)")
    parser.add_argument("--messages", type=int, default=MESSAGES, help=f"of the day ({MESSAGES})")
    parser.add_argument("--seed", type=int, default=1, help="of the day (1)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="into docs/detection.md")
    parser.add_argument("--check", action="store_true", help="whether the page says the same")
    options = parser.parse_args(arguments)
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"no part {unknown[0]!r}: there are {', '.join(PARTS)}")
    if options.messages < 1:
        parser.error("at least one message")
    if options.check and options.parts and "shield" not in options.parts:
        parser.error("--check needs the part shield")
    options.parts = options.parts or list(PARTS)
    return options
