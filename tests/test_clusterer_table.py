"""The OpenSIPS clusterer beside shield: nothing is missing, and what the table names exists."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
import typer

from shield.cli.app import COMMANDS
from shield.cli.cluster import COMMANDS as CLUSTER
from shield.cli.group import LazyCommand
from shield.cluster.settings import ClusterSettings
from shield.cluster.side_settings import SideSettings
from shield.config_values import field_types

PAGE = (Path(__file__).parents[1] / "docs" / "peer-protocol.md").read_text()
TABLE = PAGE.split("## 10. Beside the OpenSIPS clusterer")[1]
ROWS = [line for line in TABLE.splitlines() if line.startswith("| ") and "| --- |" not in line]

EXPORTED = """
cluster_send_req cluster_send_rpl cluster_broadcast_req cluster_check_addr
E_CLUSTERER_REQ_RECEIVED E_CLUSTERER_RPL_RECEIVED E_CLUSTERER_NODE_STATE_CHANGED
E_CLUSTERER_SHARING_TAG_CHANGED
clusterer_reload clusterer_list clusterer_list_topology clusterer_set_status clusterer_remove_node
cluster_send_mi cluster_broadcast_mi clusterer_list_cap clusterer_set_cap_status
clusterer_shtag_set_active clusterer_list_shtags
$cluster.sh_tag clusterer_nodes clusterer_nodes_up clusterer_nodes_down sharing_tags node_states
cap:NAME
my_node_id db_mode db_url db_table db_bridge_table sharing_tag my_node_info neighbor_node_info
ping_interval ping_timeout node_timeout seed_fallback_interval sync_timeout sync_packet_size
dispatch_jobs
id_col cluster_id_col node_id_col url_col state_col no_ping_retries_col priority_col sip_addr_col
flags_col
description_col enable_stats enable_rerouting current_id current_info neighbor_info
""".split()  # noqa: SIM905 - as a page of text it can be read
"""Functions, events, management commands, variables, statistics, reports and parameters of the module,
releases 2.4 to 4.1."""


def commands(table: dict[str, LazyCommand], before: str = "") -> set[str]:
    """All commands as they are typed, groups too."""
    found = set()
    for name, lazy in table.items():
        found.add(f"{before}{name}")
        target = getattr(import_module(lazy.module), lazy.name)
        if isinstance(target, typer.Typer):
            found |= {f"{before}{name} {command.name}" for command in target.registered_commands}
    return found


KNOWN = commands(COMMANDS) | commands(CLUSTER, "cluster ")


@pytest.mark.parametrize("name", EXPORTED)
def test_nothing_of_the_module_is_missing(name: str) -> None:
    """Each stands in the first column, and beside it what does the same here, or why nothing does."""
    rows = [row.split(" | ") for row in ROWS if f"`{name}`" in row.split(" | ")[0]]
    assert rows, name
    for _, beside in rows:
        answer = beside.rstrip(" |")
        assert answer.startswith(("none: ", "none to set: ")) or "`" in answer, answer


def test_each_command_exists() -> None:
    """What is written in the table can be typed."""
    named = set(re.findall(r"`shield ([a-z]+(?: [a-z]+)*)", TABLE))
    assert len(named) > 20
    for words in named:
        parts = words.split()
        assert (
            any(" ".join(parts[:count]) in KNOWN for count in (3, 2) if len(parts) >= count)
            or (len(parts) == 1 and words in KNOWN)
            or parts[0] in ("reload", "watch")
        ), words
        if parts[0] == "cluster":
            assert " ".join(parts[:2]) in KNOWN, words
            group = {name for name in KNOWN if name.startswith(f"cluster {parts[1]} ")}
            assert not group or " ".join(parts[:3]) in group, words


def test_each_setting_exists() -> None:
    """Keys of ``[cluster]`` and ``[clusters.NAME]``."""
    named = set(re.findall(r"`cluster\.([a-z_]+)`", TABLE))
    assert len(named) > 8
    assert named <= set(field_types(ClusterSettings))
    assert {"bridge", "bridge_takeover", "bridge_priority"} <= set(field_types(SideSettings))
