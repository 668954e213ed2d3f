"""Unproven bans on real hosts: a scan by UDP that n1 sees, and a node that knows its address better."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.builders import challenge, credentials, request, response
from tests.capture.wire import ether, ip4, pcap, udp
from tests.requires import need
from tests.system.cluster_lab import ClusterLab
from tests.system.cluster_node import ATTACKER, ATTACKS

SVWAR = Path(sys.executable).parent / "sipvicious_svwar"


def login(path: Path, client: str, server: str) -> str:
    """Write a capture of a phone that registers with a server."""
    asked = request("REGISTER", call_id="good", branch="z9hG4bKgood1")
    again = request("REGISTER", credentials("n1"), cseq=2, call_id="good", branch="z9hG4bKgood2")
    talk = [asked, response(401, asked, challenge("n1")), again, response(200, again)]
    frames = []
    for number, message in enumerate(talk):
        ends = (server, client) if number % 2 else (client, server)
        ports = (5060, 5062) if number % 2 else (5062, 5060)
        packet = ip4(udp(message, *ports), 17, *ends)
        frames.append((1_700_000_000.0 + number, ether(packet)))
    path.write_bytes(pcap(*frames))
    return str(path)


def scan(cluster: ClusterLab, folder: Path) -> float:
    """Let svwar look for users on n1 until n1 bans it; seconds until all others hold the ban too."""
    need("kamailio", str(SVWAR))
    with cluster.proxy("n1", folder):
        tool = cluster.attacker.popen(str(SVWAR), "-e100-2000", cluster["n1"].address, cwd=folder)
        try:
            cluster.until(lambda: cluster["n1"].holds(ATTACKER), 20)
            return cluster.spread(ATTACKER, ("n1", "n3", "n4", "n5"), 5)
        finally:
            tool.kill()
            tool.wait(5)


@pytest.mark.system
def test_one_node_is_scanned_and_all_drop_the_scanner(cluster: ClusterLab, tmp_path: Path) -> None:
    """Nothing proves the address; five blocklists and both kernels hold it, until an unban anywhere."""
    took = scan(cluster, tmp_path)
    print(f"all hold the scanner {took * 1000:.0f} ms after n1")
    cluster.spread(ATTACKER, wait=5)
    assert {cluster[name].rows()[ATTACKER]["proof"] for name in cluster.nodes} == {"unproven"}
    for name in ("n1", "n2"):
        cluster.until(lambda name=name: cluster[name].in_kernel(ATTACKER), 5)  # type: ignore[misc]
        assert cluster.arriving(name, ATTACKER) == 0
    (ground,) = cluster["n4"].call("show", value=ATTACKER)["grounds"]
    assert (ground["grade"], ground["decided_by"]) == ("unproven", "n1")
    assert "unproven, decided by n1" in " ".join(cluster["n4"].cli("show", ATTACKER).stdout.split())
    cluster["n5"].cli("unban", ATTACKER)
    cluster.gone(ATTACKER, wait=5)
    assert cluster.arriving("n2", ATTACKER) == 3


@pytest.mark.system
def test_a_proven_ban_is_a_limit_where_the_address_is_known_as_good(
    cluster: ClusterLab, tmp_path: Path
) -> None:
    """n1 proves a guesser; n2 has seen somebody log in from there: it slows him down, n1 drops all."""
    cracker = ATTACKS["svcrack038_success"]
    cluster["n2"].call("inject", path=login(tmp_path / "login.pcap", cracker, "192.0.2.2"))
    assert cluster["n1"].see("svcrack038_success")["bans"] == 1
    cluster.spread(cracker)
    types = {name: node.rows()[cracker]["type"] for name, node in cluster.nodes.items()}
    assert types == {"n1": "ban", "n2": "limit", "n3": "ban", "n4": "ban", "n5": "ban"}
    cluster.until(lambda: cluster.arriving("n1", cracker) == 0, 5)
    assert cluster.arriving("n2", cracker) == 3
    cluster["n4"].cli("unban", cracker)
    cluster.gone(cracker, wait=5)


@pytest.mark.system
def test_who_is_known_as_good_stays_connected_there(cluster: ClusterLab, tmp_path: Path) -> None:
    """The same packets in the name of a phone that n2 has seen log in: n2 alone lets it pass."""
    seen = cluster["n2"].call("inject", path=login(tmp_path / "login.pcap", ATTACKER, "192.0.2.2"))
    assert (seen["alerts"], seen["bans"]) == (0, 0)
    scan(cluster, tmp_path)
    cluster.until(lambda: bool(cluster["n2"].call("show", value=ATTACKER)["shared"]), 5)
    assert not cluster["n2"].holds(ATTACKER)
    assert not cluster["n2"].in_kernel(ATTACKER)
    assert cluster.arriving("n2", ATTACKER) == 3
    told = json.loads(cluster["n2"].cli("show", ATTACKER, "--output", "json").stdout)
    told = told[0] if isinstance(told, list) else told
    assert (told["shared"][0]["origin"], told["shared"][0]["why"]) == ("n1", "trusted")
    shown = " ".join(cluster["n2"].cli("show", ATTACKER).stdout.split())
    assert "n1 bans it unproven" in shown
    assert "has lately logged in" in shown
