"""replay: reports, exit codes, files that cannot be read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shield.cli.replay import PLAIN, progress_bar

CAPTURES = Path(__file__).parent.parent / "captures"
ATTACK = str(CAPTURES / "svcrack038_success.pcap")
BENIGN = str(CAPTURES / "benign_linphone.pcap")


def test_an_attack_gives_3(shield: Any) -> None:
    """The attacker is named, with what it took to find him."""
    result = shield("replay", ATTACK)
    assert result.exit_code == 3
    assert "203.0.113.15" in result.stdout
    assert "1 decision" in result.stdout


def test_nothing_found_gives_0(shield: Any) -> None:
    """A telephone is no attacker."""
    result = shield("replay", BENIGN)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "0 decisions" in result.stdout


def test_json_is_one_document(shield: Any) -> None:
    """Every file is an element with the promised keys."""
    result = shield("replay", ATTACK, BENIGN, "--output", "json")
    assert result.exit_code == 3
    files = json.loads(result.stdout)["files"]
    assert [report["file"] for report in files] == [ATTACK, BENIGN]
    for report in files:
        assert {"file", "packets", "messages", "errors", "alerts", "decisions"} <= set(report)
    [decision] = files[0]["decisions"]
    assert {*PLAIN} - {"file"} <= set(decision)
    assert decision["value"] == "203.0.113.15"
    assert decision["messages_to_ban"] >= 1
    assert files[1]["decisions"] == []


def test_plain_is_a_line_for_each_decision(shield: Any) -> None:
    """Tab separated, the file first."""
    lines = shield("replay", ATTACK, BENIGN, "-o", "plain").stdout.splitlines()
    assert len(lines) == 1
    assert lines[0].split("\t")[:4] == [ATTACK, "203.0.113.15", "ip", "ban"]


def test_a_file_that_cannot_be_read_stops_no_other(shield: Any, tmp_path: Path) -> None:
    """It is named, the others are reported, the exit code is 1."""
    text = tmp_path / "notes.txt"
    text.write_text("no capture at all")
    missing = str(tmp_path / "missing.pcap")
    result = shield("replay", missing, str(text), ATTACK, "-o", "json")
    assert result.exit_code == 1
    files = json.loads(result.stdout)["files"]
    assert [bool(report["error"]) for report in files] == [True, True, False]
    assert len(files[2]["decisions"]) == 1
    assert result.stderr.count("\n") == 2
    assert missing in result.stderr


def test_a_damaged_file_is_reported_as_far_as_it_goes(shield: Any, tmp_path: Path) -> None:
    """Half a capture gives half a report and exit code 1."""
    damaged = tmp_path / "cut.pcap"
    data = Path(ATTACK).read_bytes()
    damaged.write_bytes(data[: len(data) - 5])
    result = shield("replay", str(damaged), "-o", "json")
    assert result.exit_code == 1
    [report] = json.loads(result.stdout)["files"]
    assert report["error"]
    assert len(report["decisions"]) == 1


def test_standard_input() -> None:
    """`-` reads a pipe; a process of its own proves the exit code of the real program too."""
    command = [sys.executable, "-m", "shield", "replay", "-", "-o", "plain"]
    done = subprocess.run(command, input=Path(ATTACK).read_bytes(), capture_output=True)
    assert (done.returncode, done.stderr) == (3, b"")
    assert done.stdout.startswith(b"-\t203.0.113.15\t")


def test_a_narrow_terminal(shield: Any) -> None:
    """No line of a table is wider than the terminal; the address stays whole."""
    lines = shield("replay", ATTACK, env={"COLUMNS": "60"}).stdout.splitlines()[1:]
    assert max(map(len, lines)) <= 60
    assert any("203.0.113.15" in line for line in lines)


def test_our_own_server_is_never_judged(shield: Any) -> None:
    """--server takes the attacker's address out of detection."""
    result = shield("replay", ATTACK, "--server", "203.0.113.15", "-o", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["files"][0]["alerts"] == []


def test_other_ports_hide_the_traffic(shield: Any) -> None:
    """--port replaces the configured ones, --any-port looks everywhere."""
    hidden = json.loads(shield("replay", ATTACK, "--port", "5999", "-o", "json").stdout)
    assert hidden["files"][0]["messages"] == 0
    everywhere = shield("replay", ATTACK, "--port", "5999", "--any-port", "-o", "json")
    assert json.loads(everywhere.stdout)["files"][0]["messages"] > 0


@pytest.mark.parametrize(
    "arguments", [(), (ATTACK, "--port", "70000"), (ATTACK, "--rules", "/nonexistent")]
)
def test_wrong_usage_is_2(arguments: tuple[str, ...], shield: Any) -> None:
    """No file, no such port, no such directory."""
    assert shield("replay", *arguments).exit_code == 2


def test_a_broken_configuration_is_an_error(shield: Any, tmp_path: Path) -> None:
    """Nothing is replayed with half a configuration."""
    path = tmp_path / "shield.toml"
    path.write_text("[capture\n")
    result = shield("replay", ATTACK, "--config", str(path))
    assert result.exit_code == 1
    assert str(path) in result.stderr


def test_no_progress_bar_in_a_pipe() -> None:
    """Logs do not fill with it."""
    with progress_bar("x.pcap") as progress:
        assert progress is None


def test_many_sources_alike_are_one_row() -> None:
    """A forged flood is one thing: it fills one row, not the screen; few sources stay apart."""
    from shield.cli.replay import _folded

    rows = [
        {"value": f"192.0.2.{n}", "scenario": "sipvicious", "why": "a forged flood", "messages": 2}
        for n in range(10)
    ]
    other = {"value": "198.51.100.1", "scenario": "sipvicious", "why": "trusted", "messages": 1}
    assert _folded([*rows, other]) == [{**rows[0], "value": "10 sources", "messages": 20}, other]
