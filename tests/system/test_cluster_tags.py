"""Sharing tags of five hosts with real daemons: partitions, kills and restarts leave one active."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from typing import Any

import pytest

from tests.system.cluster_lab import ClusterLab
from tests.system.cluster_node import PARTS, Node

GRACE = 2.0
"""Seconds of ``tag_takeover`` in these tests."""


def row(node: Node, tag: str) -> dict[str, Any]:
    return next(
        (r for r in node.call("cluster.tag.list") if r["name"] == tag), {"state": "", "node": ""}
    )


def active(cluster: ClusterLab, tag: str, names: Iterable[str] = PARTS) -> list[str]:
    return [name for name in names if row(cluster[name], tag)["state"] == "active"]


def agree(cluster: ClusterLab, tag: str, holder: str, names: Iterable[str] = (*PARTS,)) -> float:
    """Wait until all of these know who is active; seconds."""
    return cluster.until(lambda: all(row(cluster[n], tag)["node"] == holder for n in names))


def configure(cluster: ClusterLab, *names: str, tag: str) -> None:
    """Start nodes anew that would take a tag over."""
    for name in names:
        node = cluster[name]
        node.end()
        node.configure()
        path = node.folder / "shield.toml"
        text = f'[cluster]\ntags = ["{tag}"]\ntag_takeover = {GRACE}'
        path.write_text(path.read_text().replace("[cluster]", text))
    cluster.start(*names)
    cluster.until(cluster.complete)


@pytest.mark.system
def test_a_partition_ends_with_one_active_node(cluster: ClusterLab) -> None:
    """Both sides claim while they are apart; afterwards the newer one is active, and all say why."""
    left, right = ("n1", "n2", "n3"), ("n4", "n5")
    cluster["n1"].cli("cluster", "tag", "set", "vip", "active", "--reason", "first")
    print(f"known to all after {agree(cluster, 'vip', 'n1'):.2f} s")
    assert active(cluster, "vip") == ["n1"]
    cluster.faults.split(left, right)
    cluster.until(lambda: all(cluster["n1"].sees(name) == "dead" for name in right), 10)
    cluster["n4"].cli("cluster", "tag", "set", "vip", "active", "--reason", "n1 is gone")
    agree(cluster, "vip", "n4", right)
    assert active(cluster, "vip") == ["n1", "n4"]
    cluster.faults.heal()
    took = agree(cluster, "vip", "n4")
    print(f"one active node {took:.1f} s after healing")
    assert active(cluster, "vip") == ["n4"]
    reason = row(cluster["n1"], "vip")["reason"]
    assert reason.startswith("claimed by n4 at 20")
    assert reason.endswith(": n1 is gone")
    history = cluster["n1"].call("cluster.tag.history", tag="vip")
    assert [(one["state"], one["node"]) for one in history] == [("active", "n1"), ("backup", "n4")]


@pytest.mark.system
def test_the_next_takes_over_from_a_killed_node(cluster: ClusterLab) -> None:
    """kill -9 of the active node: the other is active after the grace time, also when it is back."""
    pair = ("n2", "n3")
    configure(cluster, *pair, tag="cdr")
    cluster.until(lambda: len(active(cluster, "cdr", pair)) == 1)
    (first,) = active(cluster, "cdr", pair)
    (second,) = {*pair} - {first}
    agree(cluster, "cdr", first)
    cluster[first].end(signal.SIGKILL)
    begun = time.monotonic()
    cluster.until(lambda: active(cluster, "cdr", [second]) == [second], 10, 0.02)
    took = time.monotonic() - begun
    print(f"taken over {took:.1f} s after kill -9, of which {GRACE:.0f} s are configured")
    assert took >= GRACE
    cluster.start(first)
    cluster.until(cluster.complete)
    agree(cluster, "cdr", second)
    assert active(cluster, "cdr") == [second]
    history = cluster[first].call("cluster.tag.history", tag="cdr")
    assert "nobody is active" in history[0]["reason"]
    assert f"{first} out of reach for" in history[-1]["reason"]


@pytest.mark.system
def test_without_takeover_the_state_outlives_a_restart(cluster: ClusterLab) -> None:
    """The active node is killed and started: nobody else is active meanwhile, then it is again."""
    cluster["n5"].cli("cluster", "tag", "set", "collector", "active")
    agree(cluster, "collector", "n5")
    cluster["n5"].end(signal.SIGKILL)
    cluster.until(lambda: cluster["n1"].sees("n5") == "dead", 10)
    others = [name for name in PARTS if name != "n5"]
    assert active(cluster, "collector", others) == []
    assert row(cluster["n1"], "collector")["reachable"] is False
    cluster.start("n5")
    cluster.until(lambda: active(cluster, "collector") == ["n5"], 10)
