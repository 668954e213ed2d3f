"""hooks test: each target says what it made of a sample."""

from __future__ import annotations

import json
from typing import Any

OK = {"target": "https://x", "ok": True, "message": "HTTP 200"}
BAD = {"target": "/bin/x", "ok": False, "message": "exit code 3"}


def test_all_took_it(shield: Any, daemon: Any) -> None:
    """Exit code 0."""
    daemon.answers["hooks.test"] = [OK]
    result = shield("hooks", "test")
    assert (result.exit_code, result.stdout) == (0, "https://x: ok: HTTP 200\n")


def test_one_did_not(shield: Any, daemon: Any) -> None:
    """Exit code 1, in every form of output."""
    daemon.answers["hooks.test"] = [OK, BAD]
    result = shield("hooks", "test")
    assert result.exit_code == 1
    assert "/bin/x: failed: exit code 3" in result.stdout
    as_json = shield("hooks", "test", "--output", "json")
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (1, [OK, BAD])
    assert shield("hooks", "test", "--output", "plain").stdout.splitlines()[1].startswith("/bin/x\t")


def test_none_is_configured(shield: Any, daemon: Any) -> None:
    """And how one is."""
    daemon.answers["hooks.test"] = []
    result = shield("hooks", "test")
    assert result.exit_code == 1
    assert "[[hooks.webhook]]" in result.stdout
