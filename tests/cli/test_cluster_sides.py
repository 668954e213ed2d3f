"""cluster list, and commands about a further cluster."""

from __future__ import annotations

import json
from typing import Any

ROWS = [
    {"label": "west", "joined": True, "cluster": "west-1", "node": "gw", "reachable": 3, "members": 4,
     "blocklist": "synced", "problem": "",
     "bridge": {"clusters": ["east", "west-1"], "active": True,
                "into": {"east": {"carried": 7}, "west-1": {"carried": 1000}}}},
    {"label": "lab", "joined": False, "problem": "port in use"},
]  # fmt: skip


def test_the_list_shows_clusters_and_bridges(shield: Any, daemon: Any) -> None:
    """One line each; JSON has everything."""
    daemon.answers["cluster.list"] = ROWS
    lines = shield("cluster", "list", env={"COLUMNS": "120"}).stdout.splitlines()
    assert lines[1].split() == ["west", "west-1", "gw", "3", "synced", "active", "1,007", "-"]
    assert lines[2].endswith("port in use")
    assert json.loads(shield("cluster", "list", "-o", "json").stdout) == ROWS
    daemon.answers["cluster.list"] = []
    assert "no further clusters" in shield("cluster", "list").stdout


def test_a_further_cluster_is_named_before_the_command(shield: Any, daemon: Any) -> None:
    """Every command takes it; without it the main cluster is meant."""
    daemon.answers["cluster.tag.list"] = []
    shield("cluster", "--cluster", "west", "tag", "list")
    shield("cluster", "tag", "list")
    daemon.answers["cluster.list"] = []
    shield("cluster", "--cluster", "west", "list")
    assert daemon.calls == [
        ("cluster.tag.list", {"cluster": "west"}), ("cluster.tag.list", {}), ("cluster.list", {}),
    ]  # fmt: skip
