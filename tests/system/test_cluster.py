"""Five hosts that share: what one node has confirmed all block, until anybody takes it back anywhere."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.requires import need
from tests.system.cluster_lab import ClusterLab
from tests.system.cluster_node import ATTACKER, ATTACKS, CAPTURES

ENFORCING = ("n1", "n2")


@pytest.mark.system
def test_three_nodes_from_nothing(cluster: ClusterLab) -> None:
    """A cluster of three is made in under a minute; one command makes it, two add each further node."""
    assert cluster.formed < 60
    added = [line for name in ("n2", "n3", "n4", "n5") for line in _added(name)]
    assert cluster.typed == ["n1: shield cluster init", *added]
    print(f"three nodes from nothing: {cluster.formed:.1f} s")
    for node in cluster:
        status = node.call("cluster.status")
        assert (status["cluster"], status["node"], status["reachable"]) == ("lab", node.name, 4)
        assert status["authority"] is (node.name == "n1")
        assert not node.call("status")["warnings"]


def _added(name: str) -> tuple[str, str]:
    return "n1: shield cluster invite", f"{name}: shield cluster join"


@pytest.mark.system
def test_all_block_what_one_saw(cluster: ClusterLab) -> None:
    """An attack on n1 alone: five blocklists and two kernels hold the attacker, others skip him."""
    attack, cracker = "svcrack038_success", ATTACKS["svcrack038_success"]
    for name in ENFORCING:
        assert cluster.arriving(name, cracker) == 3
    seen = json.loads(
        cluster["n1"].cli("inject", str(CAPTURES / f"{attack}.pcap"), "--output", "json").stdout
    )[0]
    assert seen["bans"] == 1
    took = cluster.spread(cracker)
    print(f"all five hold the attacker after {took * 1000:.0f} ms")
    assert took < 2
    cluster.converge()
    lists = [json.loads(node.cli("list", "--output", "json").stdout) for node in cluster]
    assert [[row["value"] for row in rows] for rows in lists] == [[cracker]] * 5
    assert {rows[0]["origin"] for rows in lists} == {"n1"}
    for name in ENFORCING:
        cluster.until(lambda name=name: cluster[name].in_kernel(cracker), 2)  # type: ignore[misc]
        assert cluster.arriving(name, cracker) == 0
        assert cluster.arriving(name, ATTACKER) == 3, "somebody else is blocked"
    again = cluster["n3"].see(attack)
    assert (again["alerts"], again["bans"]) == (0, 0), "n3 need not detect what n1 has confirmed"
    assert again["skipped"] > again["frames"] // 4  # his packets; the server's answers are looked at
    status = json.loads(cluster["n3"].cli("cluster", "status", "--output", "json").stdout)
    assert status["sharing"]["saved_detections"] == again["skipped"]
    assert status["sharing"]["origins"]["n1"]["saved_detections"] == again["skipped"]
    cluster.converge()


@pytest.mark.system
def test_every_node_explains(cluster: ClusterLab) -> None:
    """`shield show` says on another node who decided, why, and shows the messages that were seen."""
    assert cluster["n2"].see("hydra_sip")["bans"] == 1
    hydra = ATTACKS["hydra_sip"]
    cluster.spread(hydra)
    told = json.loads(cluster["n4"].cli("show", hydra, "--output", "json").stdout)
    told = told[0] if isinstance(told, list) else told
    decision, alert = told["decisions"][0], told["alerts"][0]
    assert told["state"] == "banned"
    assert (decision["origin"], decision["proof"]) == ("n2", "proven")
    assert (alert["origin"], alert["scenario"]) == ("n2", decision["scenario"])
    assert re.search(r"^REGISTER sip:", alert["evidence"][0]["message"])
    (said,) = told["shared"]
    assert (said["origin"], said["applied"], said["why"], said["proof"]) == ("n2", True, "", "proven")
    people = cluster["n4"].cli("show", hydra).stdout
    assert "n2" in people
    assert decision["scenario"] in people


@pytest.mark.system
def test_unban_anywhere(cluster: ClusterLab) -> None:
    """An unban on a node that never saw the attack ends the ban everywhere, in the kernels too."""
    attack, source = "sipsak_usrloc_wrongpw", ATTACKS["sipsak_usrloc_wrongpw"]
    assert cluster["n3"].see(attack)["bans"] == 1
    cluster.spread(source)
    cluster.until(lambda: cluster["n2"].in_kernel(source), 2)
    cluster["n4"].cli("unban", source)
    assert cluster.gone(source) < 2
    for name in ENFORCING:
        cluster.until(lambda name=name: not cluster[name].in_kernel(source), 2)  # type: ignore[misc]
        assert cluster.arriving(name, source) == 3
    cluster.converge()
    # Not for good: the same attack counts again.
    assert cluster["n2"].see(attack)["bans"] == 1
    assert cluster.spread(source) < 2
    cluster.converge()


@pytest.mark.system
def test_allow_anywhere(cluster: ClusterLab) -> None:
    """An address that is allowed on one node is banned nowhere, whoever sees it, until that ends."""
    attack, source = "sippts_scan_tcp", ATTACKS["sippts_scan_tcp"]
    assert cluster["n1"].see(attack)["bans"] == 1
    cluster.spread(source)
    cluster["n5"].cli("allow", "add", source, "--reason", "our own test")
    assert cluster.gone(source) < 2
    for node in cluster:
        reasons = {row["value"]: row["reason"] for row in node.call("allow.list")}
        assert reasons[source] == "our own test"
    assert cluster["n2"].see(attack)["bans"] == 0
    cluster.until(lambda: cluster.arriving("n2", source) == 3, 2)
    cluster.converge()
    cluster["n3"].cli("allow", "remove", source)
    cluster.until(lambda: not any(_allows(cluster, name, source) for name in cluster.nodes), 2)
    assert cluster["n4"].see(attack)["bans"] == 1
    assert cluster.spread(source) < 2
    cluster.converge()


def _allows(cluster: ClusterLab, name: str, value: str) -> bool:
    return value in {row["value"] for row in cluster[name].call("allow.list")}


@pytest.mark.system
def test_real_attack(cluster: ClusterLab, tmp_path: Path) -> None:
    """svcrack against a proxy on n1: while it runs all five ban it, and n2 drops it unseen."""
    tool = Path(sys.executable).parent / "sipvicious_svcrack"
    need("kamailio", str(tool))
    own = cluster["n1"].address
    with cluster.proxy("n1", tmp_path):
        assert cluster.arriving("n2", ATTACKER) == 3
        attack = cluster.attacker.popen(str(tool), "-u1001", "-r1-3000", own, cwd=tmp_path)
        took = cluster.spread(ATTACKER)
        print(f"svcrack is banned by all five {took:.2f} s after its start")
        assert attack.poll() is None, "it was banned while it attacked"
        row = cluster["n5"].rows()[ATTACKER]
        assert (row["origin"], row["scenario"], row["proof"]) == ("n1", "password-guessing", "proven")
        for name in ENFORCING:
            cluster.until(lambda name=name: cluster[name].in_kernel(ATTACKER), 2)  # type: ignore[misc]
            assert cluster.arriving(name, ATTACKER) == 0
        attack.terminate()
        attack.wait(5)
    cluster.converge()
