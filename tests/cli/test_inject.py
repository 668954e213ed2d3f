"""shield inject: what it asks of the daemon and what it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROW = {"frames": 1440, "skipped": 70, "alerts": 4, "bans": 1, "seconds": 0.1, "problem": None}


def test_a_capture_is_named_by_its_whole_path(shield: Any, daemon: Any, tmp_path: Path) -> None:
    """The daemon runs elsewhere; what came of it is one line, or JSON."""
    file = tmp_path / "attack.pcap"
    file.write_bytes(b"")
    daemon.answers["inject"] = lambda arguments: {"file": arguments["path"], **ROW}
    result = shield("inject", str(file))
    assert daemon.calls == [("inject", {"path": str(file)})]
    assert result.stdout == (
        "attack.pcap: 1,440 packets, 70 skipped (banned already), 4 alerts, 1 bans\n"
    )
    assert json.loads(shield("inject", str(file), "-o", "json").stdout) == [{"file": str(file), **ROW}]
    assert shield("inject", str(file), "-o", "plain").stdout.split("\t")[1:3] == ["1440", "70"]


def test_damage_is_told(shield: Any, daemon: Any, tmp_path: Path) -> None:
    """A capture that is cut short is used as far as it goes."""
    file = tmp_path / "cut.pcap"
    file.write_bytes(b"")
    daemon.answers["inject"] = {"file": str(file), **ROW, "problem": "cut.pcap: truncated"}
    assert "warning: cut.pcap: truncated" in shield("inject", str(file)).stderr


def test_a_missing_file_is_wrong_usage(shield: Any, daemon: Any) -> None:
    """Nothing is asked."""
    assert shield("inject", "/nowhere.pcap").exit_code == 2
    assert daemon.calls == []
