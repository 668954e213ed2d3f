"""firewall status, render and check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def test_status_fails_while_the_firewall_fails(shield: Any, daemon: Any) -> None:
    """The reason is named, the exit code says it."""
    daemon.answers["firewall.status"] = {"backend": "nftables", "failing": True, "last_error": "no nft"}
    result = shield("firewall", "status")
    assert result.exit_code == 1
    assert "backend" in result.stdout
    assert "no nft" in result.stderr


def test_status_for_scripts(shield: Any, daemon: Any) -> None:
    """JSON and key, value."""
    daemon.answers["firewall.status"] = {"backend": "nftables", "elements": 3}
    assert json.loads(shield("firewall", "status", "-o", "json").stdout)["elements"] == 3
    assert "elements\t3\n" in shield("firewall", "status", "-o", "plain").stdout


@pytest.mark.parametrize("backend", ["nftables", "iptables", "dryrun"])
def test_render_has_the_live_bans(backend: str, shield: Any, daemon: Any, decision: Any) -> None:
    """The text of each backend holds bans and allowed networks."""
    daemon.answers["list"] = [decision]
    daemon.answers["allow.list"] = [{"value": "office", "networks": ["192.0.2.0/24"]}]
    out = shield("firewall", "render", "--backend", backend).stdout
    assert "203.0.113.5" in out
    assert "192.0.2.0/24" in out


def test_render_empty_asks_nobody(shield: Any) -> None:
    """Rules alone need no daemon."""
    result = shield("firewall", "render", "--empty", "--backend", "nftables")
    assert result.exit_code == 0
    assert "table inet shield" in result.stdout


def test_an_unknown_backend_is_an_error(shield: Any) -> None:
    """With the names that exist."""
    result = shield("firewall", "render", "--empty", "--backend", "pf")
    assert result.exit_code == 1
    assert "nftables" in result.stderr


def test_check_names_what_is_missing(
    shield: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the program blocking is impossible, and so it says."""
    monkeypatch.setenv("PATH", str(tmp_path))
    result = shield("firewall", "check", "--backend", "nftables")
    assert result.exit_code == 1
    assert "FAILED nft: not installed" in result.stdout


def test_check_without_permission(shield: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not change the packet filter is told what it takes."""
    monkeypatch.setattr("shield.firewall.run.may_change_rules", lambda: False)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    result = shield("firewall", "check", "--backend", "iptables", "-o", "json")
    assert result.exit_code == 1
    wrong = [row for row in json.loads(result.stdout) if not row["ok"]]
    assert [row["what"] for row in wrong] == ["permission"]
    assert "CAP_NET_ADMIN" in wrong[0]["message"]


def test_check_of_dryrun_needs_nothing(shield: Any) -> None:
    """It changes nothing."""
    assert shield("firewall", "check", "--backend", "dryrun").exit_code == 0
