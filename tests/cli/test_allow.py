"""allow add, remove and list."""

from __future__ import annotations

from typing import Any


def test_allow_alone_means_add(shield: Any, daemon: Any) -> None:
    """`shield allow ADDRESS` adds, also names and for a while."""
    daemon.answers["allow.add"] = {"results": [{"value": "sip.example.net", "ok": True}]}
    result = shield("allow", "sip.example.net", "--for", "1d")
    assert daemon.calls == [("allow.add", {"values": ["sip.example.net"], "duration": 86400.0})]
    assert result.stdout == "allowed sip.example.net\n"


def test_allow_remove(shield: Any, daemon: Any) -> None:
    """What the daemon refuses fails."""
    daemon.answers["allow.remove"] = {
        "results": [{"value": "192.0.2.1", "ok": False, "message": "not on the allowlist"}]
    }
    result = shield("allow", "remove", "192.0.2.1")
    assert result.exit_code == 1
    assert "not on the allowlist" in result.stderr


def test_allow_list(shield: Any, daemon: Any) -> None:
    """Entries without end are forever."""
    daemon.answers["allow.list"] = [
        {"value": "192.0.2.0/24", "remaining": None, "origin": "config", "reason": "office"}
    ]
    lines = shield("allow", "list").stdout.splitlines()
    assert lines[1].split() == ["192.0.2.0/24", "forever", "config", "office"]
    assert lines[-1] == "1 entry"


def test_a_slip_in_a_subcommand_is_wrong_usage(shield: Any, daemon: Any) -> None:
    """A word without dot or colon is no address."""
    assert shield("allow", "lst").exit_code == 2
    assert daemon.calls == []
