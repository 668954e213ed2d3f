"""Judging samples of rules."""

from __future__ import annotations

from pathlib import Path

from shield.cli.samples import run_samples, samples_directory
from shield.config import Settings
from shield.detect.rulefiles import load_rules

CAPTURES = Path(__file__).parent.parent / "captures"


def test_an_empty_capture_proves_nothing(tmp_path: Path) -> None:
    """A benign sample in which nobody says anything fails; so does a file that is no capture."""
    folder = tmp_path / "nmap"
    folder.mkdir()
    (folder / "attack.pcap").write_text("no capture")
    (folder / "benign.pcap").write_bytes((CAPTURES / "benign_linphone.pcap").read_bytes()[:24])
    results = run_samples(Settings(), load_rules(), ["nmap"], tmp_path)
    assert [result["ok"] for result in results] == [False, False]
    assert "no pcap" in results[0]["message"]
    assert results[1]["message"] == "holds no SIP message"


def test_another_rules_alert_is_not_enough(tmp_path: Path) -> None:
    """The alert must be that of the rule."""
    folder = tmp_path / "zmap"
    folder.mkdir()
    (folder / "attack.pcap").write_bytes((CAPTURES / "svcrack038_success.pcap").read_bytes())
    attack, benign = run_samples(Settings(), load_rules(), ["zmap"], tmp_path)
    assert not attack["ok"]
    assert "sipvicious" in attack["message"]
    assert not benign["ok"]


def test_the_samples_lie_beside_the_rules() -> None:
    """In a checkout."""
    assert samples_directory() == Path(__file__).parent.parent / "rules"
