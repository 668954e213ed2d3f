"""Every error becomes a line and an exit code."""

from __future__ import annotations

from typing import Any

import pytest

from shield.cli.group import FAILURE, INTERRUPTED, complain


def test_an_unexpected_error_is_one_line(
    shield: Any, daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug shows no traceback, and how to get one."""
    monkeypatch.setattr("shield.cli.status.ask", lambda *_a, **_k: 1 / 0)
    result = shield("status")
    assert result.exit_code == FAILURE
    assert "ZeroDivisionError" in result.stderr
    assert "SHIELD_DEBUG" in result.stderr
    assert result.stderr.count("\n") == 1


def test_interrupted(shield: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with the code shells expect."""

    def interrupt(*_a: Any, **_k: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shield.cli.status.ask", interrupt)
    result = shield("status")
    assert result.exit_code == INTERRUPTED
    assert result.stderr == "shield: interrupted\n"


def test_an_error_of_the_system_names_the_file(shield: Any, tmp_path: Any) -> None:
    """A directory in place of a file is told by name."""
    result = shield("config", "init", str(tmp_path), "--force")
    assert result.exit_code == FAILURE
    assert str(tmp_path) in result.stderr


def test_complain_marks_each_line(capsys: Any) -> None:
    """So that lines of shield are told from those of other programs in a pipe."""
    complain("a", "b")
    assert capsys.readouterr().err == "shield: a\nshield: b\n"
