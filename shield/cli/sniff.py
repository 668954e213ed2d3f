"""``shield sniff``: live detection on this terminal, without the daemon and without blocking."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shield.cli.columns import ALERTS
from shield.cli.options import ConfigOption, Output, OutputOption, as_duration
from shield.cli.render import (
    local_time,
    paint,
    plural,
    printable,
    seconds,
    table_lines,
    terminal_width,
    write_plain,
)
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

if TYPE_CHECKING:
    from shield.capture.source import Source
    from shield.pipeline import Pipeline

__all__ = ["Sniffer", "show_in", "sniff"]

SHOWN = 200
"""Findings that the live table remembers; it shows as many as the terminal has lines."""

TICK = 1.0
"""Seconds between two ticks of the pipeline."""

PLAIN = ("time", "value", "scenario", "kind", "proof", "messages", "duration", "why")


def sniff(
    *,
    interface: Annotated[
        list[str] | None,
        typer.Option(
            "--interface",
            "-i",
            metavar="NAME",
            help="Interface; repeatable. Default: as configured.",
        ),
    ] = None,
    promiscuous: Annotated[
        bool, typer.Option("--promiscuous", help="Also see frames for other hosts (mirror port).")
    ] = False,
    count: Annotated[
        int, typer.Option("--count", "-n", min=0, metavar="N", help="End after N findings; 0 goes on.")
    ] = 0,
    duration: Annotated[
        str, typer.Option("--duration", "-d", metavar="DURATION", help="End after this time: 30s, 10m.")
    ] = "",
    output: OutputOption = Output.TABLE,
    server: ServerOption = None,
    domain: DomainOption = None,
    rules: RulesOption = None,
    port: PortOption = None,
    any_port: AnyPortOption = False,
    config: ConfigOption = None,
) -> None:
    """Watch the wire and show attackers as they are found; blocks nobody. Ends with Ctrl-C.

    On a terminal it is a live table, otherwise one line for each finding; JSON is one object a line.
    """
    from shield.capture.addresses import own_addresses
    from shield.capture.live import LiveSource

    limit = as_duration(duration, "--duration")
    settings = detection_settings(
        config,
        servers=server,
        domains=domain,
        rules=rules,
        ports=port,
        any_port=any_port,
        interfaces=interface,
        promiscuous=promiscuous,
    )
    factory = pipeline_factory(settings, rules_of(settings), own_addresses())

    source = LiveSource(settings.capture)
    sniffer = Sniffer(source, factory(), count=count, duration=limit)
    with contextlib.closing(source), show_in(sniffer, output):
        sniffer.run()
    if output is Output.TABLE:
        typer.echo(sniffer.summary())


@dataclass
class Sniffer:
    """The loop: frames in, findings out to ``show``. Ends by itself, or by Ctrl-C or SIGTERM."""

    source: Source
    pipeline: Pipeline
    count: int = 0
    duration: float | None = None
    show: Callable[[dict[str, Any]], None] = lambda _row: None
    idle: Callable[[], None] = lambda: None
    """Called about five times a second."""
    clock: Callable[[], float] = time.monotonic
    found: int = 0
    packets: int = 0
    rows: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """The last word about each source and scenario, the newest last."""

    def run(self) -> None:
        """Run until enough was found, the time is over, or somebody interrupts."""
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            self._loop()
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, before)

    def _loop(self) -> None:
        start = tick = self.clock()
        for frames in self.source.batches():
            now = self.clock()
            self.packets += len(frames)
            if self._take(self.pipeline.feed(frames, now)):
                return
            if now - tick >= TICK:
                tick = now
                if self._take(self.pipeline.tick(now, time.time())):
                    return
            self.idle()
            if self.duration is not None and now - start >= self.duration:
                return

    def _take(self, findings: Sequence[Any]) -> bool:
        """Show alerts among the findings; True when there were enough."""
        for finding in findings:
            if not hasattr(finding, "alert"):  # a ban that ended is no finding to show
                continue
            row = row_of(finding)
            key = row["value"], row["scenario"]
            self.rows.pop(key, None)
            self.rows[key] = row
            if len(self.rows) > SHOWN:
                del self.rows[next(iter(self.rows))]
            self.found += 1
            self.show(row)
            if self.count and self.found >= self.count:
                return True
        return False

    def summary(self) -> str:
        """Say in one line what was seen."""
        stats = getattr(self.source, "stats", None)
        lost = getattr(stats, "dropped", 0) if stats is not None else 0
        text = f"{plural(self.packets, 'packet')}, {plural(self.found, 'finding')}"
        return f"{text}, {lost:,} packets lost by the kernel" if lost else text


def row_of(verdict: Any) -> dict[str, Any]:
    """Flatten an alert and what was decided about it."""
    alert, decision = verdict.alert, verdict.decision
    return {
        **alert.as_json(),
        "duration": None if decision is None else decision.duration,
        "why": f"{decision.type} {seconds(decision.duration)}"
        if decision and verdict.changes
        else verdict.why,
    }


@contextlib.contextmanager
def show_in(sniffer: Sniffer, output: Output) -> Iterator[None]:
    """Let the sniffer's findings appear in the form that was asked for."""
    if output is Output.JSON:
        sniffer.show = _json_line
    elif output is Output.PLAIN:
        sniffer.show = _plain_line
    elif sys.stdout.isatty():
        with _live_table(sniffer):
            yield
        return
    else:
        sniffer.show = _text_line
    yield


def _json_line(row: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _plain_line(row: Mapping[str, Any]) -> None:
    write_plain([row], PLAIN)
    sys.stdout.flush()


def _text_line(row: Mapping[str, Any]) -> None:
    parts = [
        local_time(row.get("time")),
        f"{row['value']:<15}",
        row["scenario"],
        row["proof"],
        row["why"],
    ]
    typer.echo(printable("  ".join(map(str, parts))))
    sys.stdout.flush()


@contextlib.contextmanager
def _live_table(sniffer: Sniffer) -> Iterator[None]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()

    def picture() -> Text:
        room = max(1, console.height - 3)
        rows = list(sniffer.rows.values())[-room:]
        lines = table_lines(rows, ALERTS, terminal_width(), colour=True)
        return Text.from_ansi("\n".join([*lines, paint(sniffer.summary(), "bright_black")]))

    with Live(console=console, get_renderable=picture, refresh_per_second=4):
        yield


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt
