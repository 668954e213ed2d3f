"""A node and its cluster: whatever is wrong with the one, packets are judged and sources blocked."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shield import node as module
from shield.cluster.settings import ClusterSettings
from shield.config import Settings
from shield.node import Node
from tests.cluster.real import prepare
from tests.node_parts import options
from tests.test_node import live, until
from tests.test_node import settings as settings  # noqa: PLC0414 - a fixture


def unreadable(folder: Path) -> None:
    (folder / "node.crt").write_text("no certificate")


def open_key(folder: Path) -> None:
    (folder / "node.key").chmod(0o644)


def no_folder(folder: Path) -> None:
    (folder / "cluster.json").unlink()
    (folder / "cluster.json").mkdir()


@pytest.mark.parametrize("damage", [unreadable, open_key, no_folder])
def test_a_damaged_identity_stops_no_detection(
    settings: Settings, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """The node starts, blocks what it finds, and says what is wrong with its cluster."""
    prepare(tmp_path, "node-a")
    damage(tmp_path / "node-a")
    settings = replace(settings, cluster=ClusterSettings(directory=str(tmp_path / "node-a")))

    async def act(node: Node) -> None:
        source: Any = node.source
        source.put(*(options(f"c{n}") for n in range(5)))
        await until(lambda: node.hub.matched)
        await until(lambda: any("takes no part" in line for line in node.clustering.warnings()))

    live(settings, act)


def test_a_port_in_use_is_waited_for(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile the node works alone; it takes part when the port is free."""
    monkeypatch.setattr(module, "CLUSTER_SECONDS", 0.05)
    prepare(tmp_path, "node-a")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = replace(
            settings, cluster=ClusterSettings(directory=str(tmp_path / "node-a"), listen=place)
        )

        async def act(node: Node) -> None:
            source: Any = node.source
            source.put(*(options(f"c{n}") for n in range(5)))
            await until(lambda: node.hub.matched)
            await until(lambda: any("in use" in line for line in node.clustering.warnings()))
            assert node.clustering.sharing.outlet is None
            taken.close()
            await until(lambda: node.clustering.cluster is not None)
            assert node.clustering.warnings() == []

        live(settings, act)
