"""run: what happens before the daemon starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shield.config import Settings


def test_check_starts_nothing(shield: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """--check reads everything and stops."""
    monkeypatch.setattr("shield.node.run_node", lambda _settings: 1 / 0)
    result = shield("run", "--check")
    assert result.exit_code == 0
    assert result.stdout.startswith("ok: ")


def test_run_gives_the_settings_to_the_node(
    shield: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those of the file that was named."""
    path = tmp_path / "shield.toml"
    path.write_text('[node]\nname = "node-x"\n')
    seen: list[Settings] = []
    monkeypatch.setattr("shield.node.run_node", lambda settings, *_a, **_k: seen.append(settings))
    assert shield("run", "--config", str(path)).exit_code == 0
    assert seen[0].node.name == "node-x"


def test_a_broken_file_starts_nothing(shield: Any, tmp_path: Path) -> None:
    """The mistake is a line."""
    path = tmp_path / "shield.toml"
    path.write_text("[nod]\n")
    result = shield("run", "--config", str(path))
    assert result.exit_code == 1
    assert "did you mean node?" in result.stderr
