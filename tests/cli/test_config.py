"""config check, show and init."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any


def test_init_writes_what_check_accepts(shield: Any, tmp_path: Path) -> None:
    """The example file is right as it is."""
    path = tmp_path / "etc" / "shield.toml"
    assert shield("config", "init", str(path)).exit_code == 0
    result = shield("config", "check", "--config", str(path))
    assert result.exit_code == 0, result.stderr
    assert str(path) in result.stdout
    assert "ok: mode observe" in result.stdout


def test_init_replaces_nothing_unasked(shield: Any, tmp_path: Path) -> None:
    """An existing file stays, --force replaces it."""
    path = tmp_path / "shield.toml"
    path.write_text("# mine\n")
    result = shield("config", "init", str(path))
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert path.read_text() == "# mine\n"
    assert shield("config", "init", str(path), "--force").exit_code == 0
    assert path.read_text() != "# mine\n"


def test_init_to_standard_output(shield: Any) -> None:
    """`-` writes no file."""
    assert "[capture]" in tomllib_keys(shield("config", "init", "-").stdout)


def tomllib_keys(text: str) -> list[str]:
    return [f"[{name}]" for name in tomllib.loads(text)]


def test_check_reports_every_mistake(shield: Any, tmp_path: Path) -> None:
    """Each with its file and key, and what was probably meant."""
    path = tmp_path / "shield.toml"
    path.write_text('[node]\nmod = "observe"\n[capture]\nports = "5060"\n')
    result = shield("config", "check", "-c", str(path))
    assert result.exit_code == 1
    assert result.stderr.count(f"shield: {path}: ") == 2
    assert "did you mean mode?" in result.stderr


def test_check_of_a_missing_file(shield: Any, tmp_path: Path) -> None:
    """A file that was named must exist."""
    result = shield("config", "check", "-c", str(tmp_path / "no.toml"))
    assert result.exit_code == 1
    assert "no such file" in result.stderr


def test_check_finds_a_backend_that_does_not_exist(shield: Any, tmp_path: Path) -> None:
    """What reading alone does not see."""
    path = tmp_path / "shield.toml"
    path.write_text('[firewall]\nbackend = "pf"\n')
    assert "firewall.backend" in shield("config", "check", "-c", str(path)).stderr


def test_show_gives_what_is_in_force(shield: Any, tmp_path: Path) -> None:
    """As TOML that can be read back, or as JSON."""
    path = tmp_path / "shield.toml"
    path.write_text("[capture]\nports = [5070]\n")
    shown = shield("config", "show", "-c", str(path)).stdout
    assert tomllib.loads(shown)["capture"]["ports"] == [5070]
    data = json.loads(shield("config", "show", "-c", str(path), "-o", "json").stdout)
    assert data["capture"]["ports"] == [5070]
    assert data["node"]["mode"] == "observe"
