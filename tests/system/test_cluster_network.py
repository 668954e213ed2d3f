"""Five hosts whose network fails: cut links, a partition, lost packets, a slow line. Nothing is lost."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

import pytest

from tests.system.cluster_lab import ClusterLab
from tests.system.cluster_node import PARTS, PORT, ROOT, Node

DELAY = 0.1
"""Seconds of the slow line, each way."""


def addresses(block: int, count: int) -> list[str]:
    """Addresses of nobody, 198.18.``block``.1 and following."""
    return [f"198.18.{block}.{number}" for number in range(1, count + 1)]


@pytest.mark.system
def test_cut_link_is_bridged(cluster: ClusterLab) -> None:
    """When only the link between two nodes is cut, each reaches the other over a third, bans too."""
    n1, n2 = cluster["n1"], cluster["n2"]
    cluster.faults.cut(("n1", "n2"))
    n1.ban("198.18.1.1")  # before anybody knows of the cut: what is lost on the way must come later
    took = cluster.until(lambda: _bridged(n1, "n2") and _bridged(n2, "n1"), 10)
    print(f"n2 is reached over another node {took:.1f} s after the cut")
    caught = cluster.spread("198.18.1.1")
    print(f"what was banned meanwhile arrived {caught:.1f} s later")
    assert caught < 8
    topology = n1.call("cluster.topology")
    route = next(route for route in topology["routes"] if route["node"] == "n2")
    assert (route["hops"], route["next_hop"] in ("n3", "n4", "n5")) == (2, True)
    assert not any({link["a"], link["b"]} == {"n1", "n2"} for link in topology["links"])
    relayed = _relayed(cluster)
    n1.ban("198.18.1.2")
    assert cluster.spread("198.18.1.2") < 1
    n2.unban("198.18.1.1")
    assert cluster.gone("198.18.1.1") < 1
    assert _relayed(cluster) >= relayed + 2, "both went over a third node"
    for own, other in ((n1, "n2"), (n2, "n1")):
        assert own.sees(other) == "alive"
        states = [event for event in own.call("cluster.events") if event["kind"] == "member"]
        assert not [
            e for e in states if e["node"] == other and e["text"].startswith(("suspect", "dead ("))
        ]
    cluster.converge()
    cluster.faults.heal()
    healed = cluster.until(cluster.complete, 10)
    print(f"direct again {healed:.1f} s after healing")
    assert healed < 5
    cluster.converge()


def _bridged(node: Node, name: str) -> bool:
    return str(node.members()[name]["route"]).startswith("over ")


def _relayed(cluster: ClusterLab) -> int:
    return sum(node.call("cluster.status")["relayed"] for node in cluster)


@pytest.mark.system
def test_partition_heals(cluster: ClusterLab) -> None:
    """3|2 for ten seconds, hundreds of changes on both sides: then all are equal, nothing is lost."""
    left, right = ("n1", "n2", "n3"), ("n4", "n5")
    common = addresses(10, 200)
    cluster["n3"].ban(*common)
    cluster.converge()
    cluster.faults.split(left, right)
    begun = time.monotonic()
    expected = dict.fromkeys(common, "n3")

    def ban(name: str, values: Sequence[str]) -> None:
        cluster[name].ban(*values, reason=f"by {name}")
        # Whoever takes something back must have heard of it.
        cluster.spread(values[-1], left if name in left else right)
        expected.update(dict.fromkeys(values, name))

    def unban(name: str, values: Iterable[str]) -> None:
        cluster[name].unban(*values)
        for value in values:
            del expected[value]

    ban("n1", addresses(11, 150))
    ban("n4", addresses(14, 150))
    unban("n2", common[:40])
    unban("n5", common[40:80])
    ban("n2", addresses(12, 100))
    ban("n5", addresses(15, 150))
    unban("n3", addresses(11, 30))
    unban("n4", addresses(15, 20))
    cluster.until(lambda: all(_lost(cluster, a, right) for a in left), 10)
    cluster.until(lambda: all(_lost(cluster, a, left) for a in right), 5)
    # Both sides decide about the same addresses: who speaks last is believed by all.
    ban("n1", addresses(16, 50))
    ban("n4", addresses(16, 50))
    ban("n5", addresses(18, 30))
    ban("n2", addresses(18, 30))
    unban("n5", addresses(18, 30))  # it has never heard of n2's
    assert cluster["n1"].rows().keys() != cluster["n4"].rows().keys()
    time.sleep(max(0.0, begun + 10 - time.monotonic()))
    cluster.faults.heal()
    took = cluster.converge(wait=10)
    print(f"equal {took:.1f} s after healing, {len(expected)} bans")
    assert took < 8
    assert {value: row[0] for value, row in cluster.blocklist("n1").items()} == expected
    cluster.until(cluster.complete, 10)


def _lost(cluster: ClusterLab, name: str, others: Iterable[str]) -> bool:
    return all(cluster[name].sees(other) == "dead" for other in others)


@pytest.mark.system
def test_lost_packets(cluster: ClusterLab) -> None:
    """With every tenth packet lost, bans of all nodes arrive everywhere within a second or two."""
    cluster.faults.lose(10)
    took, values = [], addresses(20, 25)
    for number, value in enumerate(values):
        cluster[f"n{number % 5 + 1}"].ban(value)
        took.append(cluster.spread(value))
    print(f"lossy: {statistics.median(took):.3f} s at the median, {max(took):.3f} s at most")
    assert statistics.median(took) < 1
    assert max(took) < 4
    many = addresses(21, 250)
    cluster["n2"].ban(*many)
    cluster["n4"].unban(*values[:10])
    print(f"250 bans and 10 unbans: equal after {cluster.converge():.1f} s")
    assert cluster["n5"].rows().keys() == {*many, *values[10:]}
    assert cluster.faults.lost() > 20
    cluster.faults.heal()
    cluster.converge()


@pytest.fixture
def far(cluster: ClusterLab) -> Iterator[ClusterLab]:
    """The cluster with n5 behind a slow line, which is also the only way to it."""
    line = "192.0.2.50"
    if "line" not in cluster.net.hosts:
        cluster.net.host("line", f"{line}/24")
    n5 = cluster["n5"]
    program = cluster.net.hosts["line"].popen(
        sys.executable, "-m", "tests.system.slow_line",
        line, str(PORT), n5.address, str(PORT), str(DELAY), cwd=ROOT,
    )  # fmt: skip
    n5.end()
    n5.configure(advertise=f"{line}:{PORT}")
    cluster.start("n5")
    cluster.until(cluster.complete)
    cluster.faults.split(["n5"], [name for name in PARTS if name != "n5"])
    cluster.until(lambda: _slow(cluster), 15)
    yield cluster
    n5.end()  # the next test finds it as the others are
    program.terminate()
    program.wait(5)


def _slow(cluster: ClusterLab) -> bool:
    rows = cluster["n5"].members()
    return all(row["self"] or (row["rtt"] or 0) >= 2 * DELAY for row in rows.values()) and len(rows) == 5


@pytest.mark.system
def test_slow_line(far: ClusterLab) -> None:
    """A node 100 ms away, reached at its advertised address only, gives and gets bans in a second."""
    far["n1"].ban("198.18.30.1")
    there = far.spread("198.18.30.1")
    far["n5"].ban("198.18.30.2")
    back = far.spread("198.18.30.2")
    print(f"slow line: {there:.3f} s there, {back:.3f} s back")
    assert DELAY <= there < 1
    assert DELAY <= back < 1
    near = far.spread("198.18.30.2", ["n1", "n2", "n3", "n4"])
    assert near < DELAY, "the others do not wait for it"
    far["n2"].ban(*addresses(31, 250))
    far["n5"].unban("198.18.30.1")
    assert far.converge() < 3
    assert len(far["n5"].rows()) == 251
    assert far["n5"].members()["n1"]["rtt"] >= 2 * DELAY
