"""Facts of replay: what shield decides about every labelled capture that is at hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shield.blocklist.allowlist import Allowlist
from shield.blocklist.blocklist import Blocklist
from shield.blocklist.blocklist_settings import BlocklistSettings
from shield.blocklist.policy_settings import PolicySettings
from shield.capture.settings import CaptureSettings
from shield.detect.rulefiles import load_rules
from shield.detect.settings import DetectSettings
from shield.errors import InputError
from shield.net import Network
from shield.pipeline import Pipeline
from shield.replay import FileReport, replay_file

_BUNDLED = Path(__file__).parent / "captures"
_SHARED = Path(__file__).parent.parent.parent / "shared" / "captures"


def _directory() -> Path:
    given = os.environ.get("SHIELD_CAPTURES")
    if given:
        return Path(given)
    return _SHARED if (_SHARED / "labels.json").exists() else _BUNDLED


DIRECTORY = _directory()
CAPTURES: list[dict[str, Any]] = json.loads((DIRECTORY / "labels.json").read_text())["captures"]
BLOCK = [capture for capture in CAPTURES if capture["expected"] == "block"]
RULES = {rule.name: rule for rule in load_rules()}


def _pipeline() -> Pipeline:
    allowlist = Allowlist()
    return Pipeline(
        list(RULES.values()),
        capture=CaptureSettings(),
        detect=DetectSettings(),
        policy=PolicySettings(),
        blocklist=Blocklist(BlocklistSettings(), allowlist),
        allowlist=allowlist,
        origin="node1",
    )


_reports: dict[str, FileReport] = {}


def _replayed(capture: dict[str, Any]) -> FileReport:
    """Replay a capture once for all tests."""
    name = capture["file"]
    if name not in _reports:
        _reports[name] = replay_file(str(DIRECTORY / name), _pipeline)
    return _reports[name]


def _banned(report: FileReport) -> list[Network]:
    return [found.decision.network for found in report.decisions if found.decision is not None]


def _id(capture: dict[str, Any]) -> str:
    return str(capture["file"])


@pytest.mark.parametrize("capture", BLOCK, ids=_id)
def test_every_attacker_is_banned(capture: dict[str, Any]) -> None:
    """Each attacker of a capture, known tool or not, ends up banned."""
    banned = _banned(_replayed(capture))
    for attacker in capture["attackers"]:
        host = Network.parse(attacker)
        assert any(network.contains(host) for network in banned), f"{attacker} was missed"


@pytest.mark.parametrize("capture", CAPTURES, ids=_id)
def test_nobody_else_is_banned(capture: dict[str, Any]) -> None:
    """No good client, no server and no forged address is banned in any capture."""
    allowed = {*capture["attackers"], *capture.get("optional_attackers", ())}
    spared = {*capture["benign"], *capture["servers"], *capture.get("spoofed_sources", ())} - allowed
    for network in _banned(_replayed(capture)):
        inside = [text for text in allowed if network.contains(Network.parse(text))]
        assert inside, f"{network} is no attacker"
        assert not [text for text in spared if network.contains(Network.parse(text))]


@pytest.mark.parametrize("capture", BLOCK, ids=_id)
def test_the_scenario_says_what_it_is(capture: dict[str, Any]) -> None:
    """A tool may be recognised in whatever it does; behaviour is named after its own class."""
    for found in _replayed(capture).decisions:
        rule = RULES[found.alert.scenario]
        if not rule.fingerprint:
            assert rule.kind == capture["class"], rule.name


@pytest.mark.parametrize("capture", CAPTURES, ids=_id)
def test_every_capture_is_read_to_its_end(capture: dict[str, Any]) -> None:
    """No file breaks the reader, and each packet of it is counted."""
    report = _replayed(capture)
    assert report.error is None
    assert report.packets == capture["packets"]


# One file in detail; svmap with its default identity is in every set of captures.

SVMAP = "svmap038_options_default.pcap"


def test_a_report_tells_of_decisions_in_one_shape() -> None:
    """``shield replay --output json`` shows who, why, and how soon."""
    report = replay_file(str(_BUNDLED / SVMAP), _pipeline).as_json()
    assert report["file"].endswith(SVMAP)
    assert report["error"] is None
    assert report["packets"] >= report["messages"] > 0
    (decision,) = report["decisions"]
    assert decision["value"] == "203.0.113.10"
    assert (decision["scope"], decision["type"], decision["kind"]) == ("ip", "ban", "scan")
    assert decision["messages_to_ban"] >= 1
    assert decision["seconds_to_ban"] >= 0.0
    assert {alert["value"] for alert in report["alerts"]} == {"203.0.113.10"}
    assert all(alert["why"] for alert in report["alerts"])
    json.dumps(report)


def test_two_replays_give_the_same_report() -> None:
    """The frames' own time is the only clock."""
    reports = [replay_file(str(_BUNDLED / SVMAP), _pipeline).as_json() for _ in range(2)]
    assert reports[0] == reports[1]


def test_a_held_alert_is_shown_with_its_last_word() -> None:
    """An alert that waited appears once, with what came of it."""
    report = replay_file(str(_BUNDLED / "nmap_version_probe.pcap"), _pipeline)
    seen = [(found.alert.source, found.alert.scenario, found.alert.time) for found in report.alerts]
    assert len(seen) == len(set(seen))


def test_progress_is_told_and_ends_at_one() -> None:
    """A progress bar can follow a file that has a size."""
    told: list[float] = []
    notify: Callable[[float], None] = told.append
    replay_file(str(_BUNDLED / SVMAP), _pipeline, progress=notify)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_file_that_is_not_there_is_an_error() -> None:
    """The caller hears of it before a pipeline has run."""
    with pytest.raises(InputError, match=r"gone\.pcap"):
        replay_file("/nonexistent/gone.pcap", _pipeline)


def test_a_cut_file_gives_what_it_held(tmp_path: Path) -> None:
    """A capture that was cut off is reported up to there, with the reason."""
    whole = (_BUNDLED / SVMAP).read_bytes()
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(whole[:-7])
    report = replay_file(str(cut), _pipeline)
    assert report.error
    assert report.messages > 0
