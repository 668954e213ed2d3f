"""Further clusters and bridges: real TLS on loopback, four nodes' inner parts, two of them in both."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shield.cluster.authority import create
from shield.cluster.identity_files import Directory
from shield.cluster.side_settings import SideSettings
from shield.cluster_orders import cluster_commands
from shield.errors import InputError
from shield.sides import Sides
from tests.cluster.identities import member
from tests.cluster.real import QUICK, until
from tests.node_parts import ROOT
from tests.test_clustering import Part, run

CLOCK = time.monotonic
CALM = replace(QUICK, link_timeout=3.0)
"""Whether a gateway is there decides who carries: a busy machine must not look like a cut."""
LONG = 30.0
"""Seconds at most for a bridge to change hands."""


class Gateway:
    """A node of cluster east that may bridge to west."""

    def __init__(self, folder: Path, name: str, east: int, west: int) -> None:
        self.part = Part(folder, name, settings(folder, name, east))
        side = SideSettings(
            "west", str(folder / f"{name}-west"), listen="127.0.0.1:0",
            seeds=(f"127.0.0.1:{west}",), bridge=("blocklist",), bridge_takeover=1.0,
        )  # fmt: skip
        self.sides = Sides([side], self.part.clustering)
        self.commands = cluster_commands(self.part.clustering, self.sides, CLOCK)

    async def start(self) -> None:
        await self.part.clustering.start()
        assert await self.sides.take_part()

    async def close(self) -> None:
        await self.sides.close()
        await self.part.clustering.close()
        self.part.bench.journal.close()

    @property
    def active(self) -> bool:
        (row,) = self.commands["cluster.list"]({}, ROOT)
        return bool(row.get("bridge", {}).get("active"))


def settings(folder: Path, name: str, port: int = 0) -> Any:
    seeds = (f"127.0.0.1:{port}",) if port else ()
    return replace(CALM, directory=str(folder / name), seeds=seeds)


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[tuple[Part, Part, Gateway, Gateway]]:
    """Nodes e1 in east and w1 in west, gateways g1 and g2 in both."""
    for town, first in (("east", "e1"), ("west", "w1")):
        authority, identity = create(town, first, time.time())
        Directory(folder / first).create(identity, authority)
        for name in ("g1", "g2"):
            target = folder / (name if town == "east" else f"{name}-west")
            Directory(target).create(member(authority, f"{name}", time.time()))
    e1, w1 = (Part(folder, name, settings(folder, name)) for name in ("e1", "w1"))
    for part in (e1, w1):
        await part.clustering.start()
    ports = [part.clustering.joined().carrier.port for part in (e1, w1)]
    gateways = [Gateway(folder, name, *ports) for name in ("g1", "g2")]
    try:
        for gateway in gateways:
            await gateway.start()
        for part in (e1, w1):
            await until(lambda: len(part.clustering.joined().members()) == 2)  # noqa: B023
        await until(lambda: sum(gateway.active for gateway in gateways) == 1, LONG)
        yield e1, w1, *gateways
    finally:
        for gateway in gateways:
            await gateway.close()
        for part in (e1, w1):
            await part.clustering.close()
            part.bench.journal.close()


def test_bans_cross_the_bridge_and_its_loss_is_survived(tmp_path: Path) -> None:
    """Both ways, with the name of the node and its cluster; the other gateway takes over."""

    async def main() -> None:
        async with world(tmp_path) as (e1, w1, g1, g2):
            await e1.ask("ban", values=["192.0.2.1"], reason="east")
            await w1.ask("ban", values=["192.0.2.2"], reason="west")
            both = {"192.0.2.1", "192.0.2.2"}
            everybody = [e1, w1, g1.part, g2.part]
            await until(lambda: all(part.banned() == both for part in everybody), LONG)
            (row,) = [row for row in await w1.ask("list") if row["value"] == "192.0.2.1"]
            assert (row["origin"], row["reason"]) == ("e1@east", "east")
            (row,) = [row for row in await g2.part.ask("list") if row["value"] == "192.0.2.2"]
            assert (row["origin"], row["reason"]) == ("w1@west", "west")
            active, other = (g1, g2) if g1.active else (g2, g1)
            name = active.part.clustering.joined().name
            await w1.ask("unban", values=["192.0.2.1"])
            await until(lambda: e1.banned() == {"192.0.2.2"}, LONG)
            side = active.sides["west"]
            await side.joined().close(leave=False)
            await active.part.clustering.joined().close(leave=False)
            await until(lambda: other.active, LONG)
            await e1.ask("ban", values=["192.0.2.3"])
            await w1.ask("unban", values=["192.0.2.2"])
            await until(lambda: w1.banned() == e1.banned() == {"192.0.2.3"}, LONG)
            history = other.part.clustering.joined().tags.history("bridge:west")
            # It was noticed by the other, or by itself when it saw nobody in the west any more.
            assert any(name in row["reason"] for row in history)

    run(main)


def test_a_gateway_that_loses_one_side_gives_the_bridge_away(tmp_path: Path) -> None:
    """It is still in the other cluster, where it was elected."""

    async def main() -> None:
        async with world(tmp_path) as (e1, w1, g1, g2):
            active, other = (g1, g2) if g1.active else (g2, g1)
            await active.sides["west"].close()
            await until(lambda: other.active and not active.active, LONG)
            await w1.ask("ban", values=["192.0.2.9"])
            await until(lambda: e1.banned() == {"192.0.2.9"}, LONG)
            assert active.part.clustering.joined().members()

    run(main)


def test_who_is_put_out_on_one_side_has_no_bans_on_the_other(tmp_path: Path) -> None:
    """A revocation in west ends what that node's bans did in east."""

    async def main() -> None:
        async with world(tmp_path) as (e1, w1, _g1, _g2):
            authority = w1.clustering.joined().authority
            assert authority is not None
            Directory(tmp_path / "w2").create(member(authority, "w2", time.time()))
            port = w1.clustering.joined().carrier.port
            w2 = Part(tmp_path, "w2", settings(tmp_path, "w2", port))
            await w2.clustering.start()
            await until(lambda: len(w2.clustering.joined().members()) == 3)
            await w2.ask("ban", values=["192.0.2.7"])
            await w1.ask("ban", values=["192.0.2.8"])
            await until(lambda: e1.banned() == {"192.0.2.7", "192.0.2.8"}, LONG)
            await w1.ask("cluster.revoke", node="w2")
            await until(lambda: e1.banned() == w1.banned() == {"192.0.2.8"}, LONG)
            await w2.clustering.close()
            w2.bench.journal.close()

    run(main)


def test_commands_of_a_further_cluster(tmp_path: Path) -> None:
    """Members, tags and texts of it; the main one is not touched; unknown names are told."""

    async def main() -> None:
        async with world(tmp_path) as (_, w1, g1, g2):
            run_ = g1.commands
            rows = run_["cluster.members"]({"cluster": "west"}, ROOT)
            assert {row["name"] for row in rows} == {"g1", "g2", "w1"}
            status = run_["cluster.status"]({"cluster": "west"}, ROOT)
            assert (status["cluster"], status["node"]) == ("west", "g1")
            run_["cluster.tag.set"]({"cluster": "west", "tag": "vip", "state": "active"}, ROOT)
            await until(
                lambda: any(r["name"] == "vip" for r in w1.clustering.joined().tags.rows(CLOCK()))
            )
            assert not any(r["name"] == "vip" for r in run_["cluster.tag.list"]({}, ROOT))
            with pytest.raises(InputError, match="no further cluster 'south'; there are west"):
                run_["cluster.status"]({"cluster": "south"}, ROOT)
            await g2.sides["west"].close()
            with pytest.raises(InputError, match="not in cluster west"):
                g2.commands["cluster.members"]({"cluster": "west"}, ROOT)
            assert g2.sides["west"].warnings() == []

    run(main)


def test_a_port_in_use_is_told_and_tried_again(tmp_path: Path) -> None:
    """The main cluster works meanwhile; the warning names the table."""

    async def main() -> None:
        async with world(tmp_path) as (e1, _, g1, _g2):
            port = e1.clustering.joined().carrier.port
            side = SideSettings("again", str(tmp_path / "g2-west"), listen=f"127.0.0.1:{port}")
            sides = Sides([side], g1.part.clustering)
            assert await sides.take_part() is False
            assert sides.warnings()[0].startswith("cluster again: this node takes no part: ")
            assert sides.as_json(CLOCK())[0]["joined"] is False

    run(main)
