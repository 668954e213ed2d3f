"""sniff: live frames in, findings out."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from shield.capture.pcap import PcapSource
from shield.capture.source import Frame
from shield.capture.stats import LiveStats
from shield.cli.options import Output
from shield.cli.settings import pipeline_factory, rules_of
from shield.cli.sniff import Sniffer, show_in
from shield.config import Settings
from shield.errors import SystemFailure

ATTACK = Path(__file__).parent.parent / "captures" / "svcrack038_success.pcap"


class FakeWire:
    """Plays a capture as if it came from an interface, then stays silent until Ctrl-C."""

    name = "fake0"

    def __init__(self, settings: Any = None) -> None:
        self.settings = settings
        self.stats = LiveStats()
        self.closed = False

    def batches(self) -> Iterator[Sequence[Frame]]:
        with contextlib.closing(PcapSource(ATTACK)) as source:
            frames = [frame for batch in source.batches() for frame in batch]
        yield frames
        yield []
        raise KeyboardInterrupt

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """Live capture without an interface."""
    monkeypatch.setattr("shield.capture.live.LiveSource", FakeWire)
    monkeypatch.setattr("shield.capture.addresses.own_addresses", frozenset)


@pytest.mark.usefixtures("wire")
def test_each_finding_is_a_line_in_a_pipe(shield: Any) -> None:
    """Ctrl-C is the normal end: a summary and exit code 0."""
    result = shield("sniff")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert all("203.0.113.15" in line for line in lines[:-1])
    assert any("ban 1d" in line for line in lines)
    assert lines[-1].startswith("144 packets, ")


@pytest.mark.usefixtures("wire")
def test_json_is_one_object_a_line(shield: Any) -> None:
    """And nothing else, so that a program can read it."""
    rows = [json.loads(line) for line in shield("sniff", "-o", "json").stdout.splitlines()]
    assert {row["value"] for row in rows} == {"203.0.113.15"}
    assert any(row["duration"] for row in rows)


@pytest.mark.usefixtures("wire")
def test_count_ends_it(shield: Any) -> None:
    """After so many findings."""
    assert len(shield("sniff", "--count", "1", "-o", "plain").stdout.splitlines()) == 1


def test_duration_ends_it() -> None:
    """A silent wire does not keep it longer."""

    class Silent(FakeWire):
        def batches(self) -> Iterator[Sequence[Frame]]:
            while True:
                yield []

    times = iter(range(100))
    pipeline = pipeline_factory(Settings(), rules_of(Settings()))()
    sniffer = Sniffer(Silent(), pipeline, duration=5.0, clock=lambda: float(next(times)))
    sniffer.run()
    assert next(times) == 6
    assert sniffer.summary() == "0 packets, 0 findings"


def test_the_table_keeps_the_last_word() -> None:
    """A source that first waits and then is banned is one row, however often it is told."""
    pipeline = pipeline_factory(Settings(), rules_of(Settings()))()
    sniffer = Sniffer(FakeWire(), pipeline)
    sniffer.run()
    assert len(sniffer.rows) == len({row["scenario"] for row in sniffer.rows.values()})
    assert any(row["duration"] for row in sniffer.rows.values())


@pytest.mark.usefixtures("wire")
def test_the_live_table_shows_the_findings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal: a heading, one row for each finding, and the counts below."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    pipeline = pipeline_factory(Settings(), rules_of(Settings()))()
    sniffer = Sniffer(FakeWire(), pipeline)
    with show_in(sniffer, Output.TABLE):
        sniffer.run()
    lines = [
        re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in capsys.readouterr().out.splitlines()
    ]
    assert "TIME" in lines[0]
    assert sum("203.0.113.15" in line for line in lines) >= len(sniffer.rows)
    assert any(line.startswith("144 packets") for line in lines)


def test_lost_packets_are_told() -> None:
    """What the kernel dropped is part of the summary."""
    source = FakeWire()
    source.stats.dropped = 1234
    sniffer = Sniffer(source, pipeline_factory(Settings(), [])())
    assert "1,234 packets lost" in sniffer.summary()


def test_without_permission_it_is_one_line(shield: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback, no table."""

    def refuse(_settings: Any) -> None:
        raise SystemFailure("capturing needs root or CAP_NET_RAW")

    monkeypatch.setattr("shield.capture.live.LiveSource", refuse)
    result = shield("sniff", "-i", "eth0")
    assert result.exit_code == 1
    assert result.stderr == "shield: capturing needs root or CAP_NET_RAW\n"


@pytest.mark.usefixtures("wire")
def test_options_reach_the_capture(shield: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interfaces, ports and promiscuous mode."""
    seen: list[Any] = []

    class Remembering(FakeWire):
        def __init__(self, settings: Any) -> None:
            super().__init__(settings)
            seen.append(settings)

    monkeypatch.setattr("shield.capture.live.LiveSource", Remembering)
    shield("sniff", "-i", "eth0", "-i", "eth1", "--promiscuous", "--port", "5070")
    assert seen[0].interfaces == ("eth0", "eth1")
    assert seen[0].promiscuous
    assert seen[0].ports == (5070,)


@pytest.mark.parametrize("arguments", [("--duration", "soon"), ("--count", "-1"), ("--interfce", "x")])
def test_wrong_usage(arguments: tuple[str, ...], shield: Any) -> None:
    """Nothing is opened."""
    assert shield("sniff", *arguments).exit_code == 2
