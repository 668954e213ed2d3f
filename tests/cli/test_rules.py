"""rules list, show, check and test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from shield.detect.rulefiles import builtin_directory

NAME = "sipvicious"


def test_list_has_every_built_in_rule(shield: Any) -> None:
    """One line each, marked as built-in."""
    rows = json.loads(shield("rules", "list", "-o", "json").stdout)
    assert {row["name"] for row in rows} == {path.stem for path in builtin_directory().glob("*.toml")}
    assert {row["from"] for row in rows} == {"built-in"}
    out = shield("rules", "list").stdout
    assert out.splitlines()[-1] == f"{len(rows)} rules"


def test_live_rules_come_from_the_daemon(shield: Any, daemon: Any) -> None:
    """With the number of matches."""
    keys = ("kind", "severity", "confidence", "max_retry", "find_time", "ban_time", "description")
    daemon.answers["rules"] = [
        {"name": "x", "path": "/srv/x.toml", "matched": 42, **dict.fromkeys(keys, 1)}
    ]
    lines = shield("rules", "list", "--live").stdout.splitlines()
    assert lines[1].split()[:2] == ["x", "42"]
    assert "own" in lines[1]


def test_the_shell_completes_names() -> None:
    """`shield rules show sipv<TAB>`."""
    env = {
        "_SHIELD_COMPLETE": "complete_bash",
        "COMP_WORDS": "shield rules show sipv",
        "COMP_CWORD": "3",
    }
    program = "from shield.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **env}, capture_output=True, text=True
    )
    assert done.stdout.split() == [NAME]


def test_own_rules_replace_built_in_ones(shield: Any, tmp_path: Path) -> None:
    """A file of the same name is the one in use."""
    (tmp_path / f"{NAME}.toml").write_text((builtin_directory() / f"{NAME}.toml").read_text())
    rows = json.loads(shield("rules", "list", "--rules", str(tmp_path), "-o", "json").stdout)
    [own] = [row for row in rows if row["name"] == NAME]
    assert own["from"] == "own"
    assert own["path"].startswith(str(tmp_path))


def test_show_prints_the_rule_as_written(shield: Any) -> None:
    """It can be saved as the beginning of an own rule."""
    out = shield("rules", "show", NAME).stdout
    assert tomllib.loads(out) == tomllib.loads((builtin_directory() / f"{NAME}.toml").read_text())
    assert json.loads(shield("rules", "show", NAME, "-o", "json").stdout)["rule"] == tomllib.loads(out)


def test_a_slip_names_the_nearest_rule(shield: Any) -> None:
    """Help instead of only an error."""
    result = shield("rules", "show", "sipvicous")
    assert result.exit_code == 1
    assert "did you mean 'sipvicious'?" in result.stderr


def test_check_reports_every_mistake_of_every_file(shield: Any, tmp_path: Path) -> None:
    """Also of files that are not in use."""
    (tmp_path / "a.toml").write_text("[broken\n")
    (tmp_path / "b.toml").write_text('kind = "nonsense"\n')
    result = shield("rules", "check", str(tmp_path), str(tmp_path / "missing.toml"))
    assert result.exit_code == 1
    for name in ("a.toml", "b.toml", "missing.toml"):
        assert str(tmp_path / name) in result.stderr


def test_check_of_all_in_use(shield: Any) -> None:
    """The built-in rules are right."""
    result = shield("rules", "check")
    assert result.exit_code == 0
    assert result.stdout.startswith("ok: ")
    assert shield("rules", "check", str(builtin_directory())).stdout == result.stdout


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Samples of one rule, made of labelled captures."""
    captures = Path(__file__).parent.parent / "captures"
    folder = tmp_path / "samples" / NAME
    folder.mkdir(parents=True)
    (folder / "attack.pcap").write_bytes((captures / "svcrack038_success.pcap").read_bytes())
    (folder / "benign.pcap").write_bytes((captures / "benign_linphone.pcap").read_bytes())
    return folder


def test_samples_that_come_out_right(shield: Any, samples: Path) -> None:
    """The attack raises its alert, the benign bans nobody."""
    result = shield("rules", "test", NAME, "--samples", str(samples.parent))
    assert result.exit_code == 0, result.stdout
    assert result.stdout.splitlines()[-1] == "1 rule, 2 samples, 0 failed"


def test_samples_that_come_out_wrong(shield: Any, samples: Path) -> None:
    """An attack filed as benign fails, and a benign one filed as attack."""
    attack, benign = (samples / "attack.pcap").read_bytes(), (samples / "benign.pcap").read_bytes()
    (samples / "attack.pcap").write_bytes(benign)
    (samples / "benign.pcap").write_bytes(attack)
    result = shield("rules", "test", NAME, "--samples", str(samples.parent), "-o", "json")
    assert result.exit_code == 1
    rows = json.loads(result.stdout)
    assert [row["ok"] for row in rows] == [False, False]
    assert rows[0]["message"] == "no alert"
    assert "203.0.113.15 banned" in rows[1]["message"]


def test_a_rule_without_samples_fails(shield: Any, samples: Path) -> None:
    """What was not tested is not passed."""
    result = shield("rules", "test", "nmap", "--samples", str(samples.parent))
    assert result.exit_code == 1
    assert result.stdout.count("FAILED") == 2


def test_no_samples_directory(shield: Any, tmp_path: Path) -> None:
    """Told by name."""
    result = shield("rules", "test", "--samples", str(tmp_path / "none"))
    assert result.exit_code == 1
    assert "none" in result.stderr
