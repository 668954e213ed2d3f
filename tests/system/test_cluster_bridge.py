"""Two sites with real daemons, joined by two gateways: what one site bans the other blocks, whichever of
the gateways is alive."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.netlab import Lab
from tests.requires import need
from tests.system.cluster_lab import ClusterLab
from tests.system.cluster_node import Node

EAST, WEST, GATEWAYS = ("n1", "n2", "n3"), ("n4", "n5"), ("n2", "n3")
TAKEOVER = 2.0
"""Seconds of ``bridge_takeover``."""

SIDE = """
[clusters.west]
directory = "{folder}/west"
listen = "0.0.0.0:7171"
bridge = ["blocklist"]
bridge_takeover = {takeover}
"""


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterLab]:
    """n1 is east, n4 and n5 are west, n2 and n3 are in both; made by the commands of an operator."""
    need("ip", "nft")
    with Lab() as net:
        lab = ClusterLab(net, tmp_path_factory.mktemp("bridge"))
        for name in GATEWAYS:
            node = lab[name]
            path = node.folder / "shield.toml"
            path.write_text(path.read_text() + SIDE.format(folder=node.folder, takeover=TAKEOVER))
        lab.start(*lab.nodes)
        lab["n1"].cli("cluster", "init", "--name", "east")
        lab["n4"].cli("cluster", "init", "--name", "west")
        token = lab["n4"].cli("cluster", "invite", "-o", "plain").stdout.strip()
        lab["n5"].cli("cluster", "join", token)
        for name in GATEWAYS:
            lab.join(name)
            token = lab["n4"].cli("cluster", "invite", "-o", "plain").stdout.strip()
            lab[name].cli("cluster", "--cluster", "west", "join", token)
        lab.until(lambda: lab.complete(EAST))
        lab.until(lambda: len(active(lab)) == 1)
        try:
            yield lab
        finally:
            lab.close()


def active(lab: ClusterLab) -> list[str]:
    """Gateways that carry."""
    rows = {name: lab[name].call("cluster.list")[0] for name in GATEWAYS if lab[name].running}
    return [name for name, row in rows.items() if (row.get("bridge") or {}).get("active")]


def carried(lab: ClusterLab) -> int:
    rows = [lab[name].call("cluster.list")[0] for name in GATEWAYS if lab[name].running]
    return sum(s["carried"] for row in rows for s in row.get("bridge", {}).get("into", {}).values())


def row(node: Node, value: str) -> dict[str, str]:
    return dict(node.rows()[value])


@pytest.mark.system
def test_a_ban_of_one_site_is_in_force_at_the_other(sites: ClusterLab) -> None:
    """In all blocklists and in the kernel, with who decided where; unbans come back the same way."""
    sites["n5"].ban("198.18.1.1", reason="seen in the west")
    sites["n1"].ban("198.18.1.2", reason="seen in the east")
    print(f"west to east {sites.spread('198.18.1.1', EAST):.2f} s")
    print(f"east to west {sites.spread('198.18.1.2', WEST):.2f} s")
    assert row(sites["n1"], "198.18.1.1")["origin"] == "n5@west"
    assert row(sites["n4"], "198.18.1.2")["origin"] == "n1@east"
    assert row(sites["n4"], "198.18.1.2")["reason"] == "seen in the east"
    sites.until(lambda: sites["n1"].in_kernel("198.18.1.1"), 5)
    sites["n4"].unban("198.18.1.2")
    sites["n1"].unban("198.18.1.1")
    sites.gone("198.18.1.1")
    sites.gone("198.18.1.2")
    # What runs in a circle would be carried again and again while later things are carried once.
    before = carried(sites)
    sites["n5"].ban("198.18.1.3")
    sites.spread("198.18.1.3")
    assert carried(sites) <= before + 4


@pytest.mark.system
def test_the_bridge_is_killed_and_both_sites_go_on(sites: ClusterLab) -> None:
    """kill -9 of the gateway that carries: the other does after its grace time; nothing is missed."""
    (first,) = active(sites)
    (second,) = {*GATEWAYS} - {first}
    sites["n1"].ban("198.18.2.1")
    sites.spread("198.18.2.1", WEST)
    sites[first].end(signal.SIGKILL)
    begun = time.monotonic()
    sites["n1"].ban("198.18.2.2")
    sites["n5"].ban("198.18.2.3")
    sites["n4"].unban("198.18.2.1")
    sites.until(lambda: active(sites) == [second], 15, 0.05)
    print(
        f"the bridge stands {time.monotonic() - begun:.1f} s after kill -9, {TAKEOVER} s are configured"
    )
    alive = [name for name in sites.nodes if name != first]
    sites.spread("198.18.2.2", alive)
    sites.spread("198.18.2.3", alive)
    sites.gone("198.18.2.1", alive)
    print(f"what was decided meanwhile is everywhere after {time.monotonic() - begun:.1f} s")
    sites.start(first)
    sites.until(lambda: sites.complete(EAST))
    sites.spread("198.18.2.2")
    sites.spread("198.18.2.3")
    assert active(sites) == [second], "who is back does not take it away again"
    reason = sites["n1"].call("cluster.tag.history", tag="bridge:west")[-1]["reason"]
    assert f"{first} out of reach" in reason


@pytest.mark.system
def test_a_gateway_cut_off_from_one_site_gives_way(sites: ClusterLab) -> None:
    """It is fine in the east, and sees nobody in the west: the other one carries."""
    (first,) = active(sites)
    (second,) = {*GATEWAYS} - {first}
    sites.faults.cut(*((first, name) for name in (*WEST, second)))
    begun = time.monotonic()
    sites.until(lambda: active(sites) == [second], 30, 0.05)
    print(f"the other gateway carries {time.monotonic() - begun:.1f} s after the cut")
    sites["n5"].ban("198.18.3.1")
    sites.spread("198.18.3.1", ("n1", second))
    sites.faults.heal()
    sites.spread("198.18.3.1")
    assert len(active(sites)) == 1
