"""export and import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shield.cli.exchange import decision_of, format_of


@pytest.mark.parametrize("form", ["json", "csv", "plain", "nft", "ipset"])
def test_what_is_exported_can_be_imported(
    form: str, shield: Any, daemon: Any, decision: Any, tmp_path: Path
) -> None:
    """Every format survives the way out and in again, value for value."""
    other = {**decision, "value": "2001:db8:1::/48", "scope": "range", "id": "x"}
    daemon.answers["export"] = [decision, other]
    daemon.answers["import"] = {"added": 2, "extended": 0, "skipped": 0, "refused": []}
    path = tmp_path / "bans.list"
    result = shield("export", "--format", form, "--file", str(path))
    assert result.exit_code == 0, result.stderr
    assert "wrote 2 bans" in result.stderr
    result = shield("import", str(path))
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "added 2, extended 0, skipped 0, refused 0\n"
    sent = daemon.calls[-1][1]["decisions"]
    assert {item["value"] for item in sent} == {"203.0.113.5", "2001:db8:1::/48"}
    if form != "plain":
        assert all(590 <= item["remaining"] <= 600 for item in sent)


def test_export_to_standard_output_is_one_document(shield: Any, daemon: Any, decision: Any) -> None:
    """JSON by default, with every key of a decision."""
    daemon.answers["export"] = [decision]
    assert json.loads(shield("export").stdout) == [decision]


def test_export_passes_the_filter(shield: Any, daemon: Any) -> None:
    """Filter terms reach the daemon."""
    daemon.answers["export"] = []
    shield("export", "proof=proven")
    assert daemon.calls == [("export", {"filter": "proof=proven"})]


def test_export_leaves_no_half_file(shield: Any, daemon: Any, decision: Any, tmp_path: Path) -> None:
    """When writing fails the old file is as it was and nothing else lies about."""
    daemon.answers["export"] = [{**decision, "value": "nonsense"}]
    path = tmp_path / "bans.json"
    path.write_text("old")
    before = sorted(tmp_path.iterdir())
    assert shield("export", "-f", str(path)).exit_code == 1
    assert path.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == before


def test_a_wrong_line_is_named_and_stops_nothing(shield: Any, daemon: Any, tmp_path: Path) -> None:
    """File and line of the mistake; the rest is imported; the exit code says it."""
    daemon.answers["import"] = {"added": 1, "refused": [{"value": "192.0.2.9", "message": "allowed"}]}
    path = tmp_path / "list.txt"
    path.write_text("203.0.113.1\nnonsense!\n192.0.2.9\n")
    result = shield("import", str(path))
    assert result.exit_code == 1
    assert f"{path}:2: " in result.stderr
    assert "192.0.2.9: allowed" in result.stderr
    assert [item["value"] for item in daemon.calls[0][1]["decisions"]] == ["203.0.113.1", "192.0.2.9"]


def test_a_long_list_goes_in_portions(shield: Any, daemon: Any) -> None:
    """Counts of all portions are added up."""
    daemon.answers["import"] = lambda arguments: {"added": len(arguments["decisions"])}
    text = "".join(f"203.0.{n // 250}.{n % 250}\n" for n in range(2500))
    result = shield("import", "--time", "1h", "--dry-run", "-o", "json", stdin=text)
    assert json.loads(result.stdout)["added"] == 2500
    assert [len(arguments["decisions"]) for _, arguments in daemon.calls] == [1000, 1000, 500]
    assert {arguments["duration"] for _, arguments in daemon.calls} == {3600.0}
    assert all(arguments["dry_run"] for _, arguments in daemon.calls)


def test_a_missing_file_is_an_error(shield: Any, daemon: Any, tmp_path: Path) -> None:
    """Named, and nothing is sent."""
    result = shield("import", str(tmp_path / "no.txt"))
    assert result.exit_code == 1
    assert "no.txt" in result.stderr
    assert daemon.calls == []


def test_an_unknown_format_is_wrong_usage(shield: Any, daemon: Any) -> None:
    """With the formats that exist."""
    result = shield("export", "--format", "xml")
    assert result.exit_code == 2
    assert "ipset" in result.stderr


def test_the_ending_chooses_the_format() -> None:
    """The option goes before the name of the file."""
    assert format_of("a.nft", "") == "nft"
    assert format_of("a.nft", "csv") == "csv"
    assert format_of("-", "") == ""


def test_a_decision_survives_its_json_shape(decision: Any) -> None:
    """Back and forth changes nothing."""
    assert decision_of(decision).as_json(0.0) == decision
