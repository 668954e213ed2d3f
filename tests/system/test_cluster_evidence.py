"""Real nodes on five hosts: what each sees too little of, all find together."""

from __future__ import annotations

import json
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from shield.detect.rulefiles import load_rules
from shield.net import pack
from tests.capture.wire import pcap
from tests.system.cluster_lab import ClusterLab
from tests.system.cluster_node import PARTS
from tests.town import Line, Town
from tests.traffic import START

NAMES = list(PARTS)
LIMIT = next(rule.max_retry for rule in load_rules() if rule.name == "password-guessing")
_files = count()


def refused(folder: Path, source: str, accounts: list[str], *, dialogs: int = 1) -> Path:
    """A capture in which somebody is refused, each time in a dialog of its own."""
    town = Town(miss=0.0, repeat=0.0, seed=next(_files))
    for number, account in enumerate(accounts * dialogs):
        Line(town, pack(source), account).log_in(START + number, "403 Forbidden")
    path = folder / f"{next(_files)}.pcap"
    path.write_bytes(pcap(*((frame.time, frame.data) for frame in town.frames)))
    return path


def share(total: int) -> list[int]:
    """How many of ``total`` each node gets."""
    return [total // len(NAMES) + (number < total % len(NAMES)) for number in range(len(NAMES))]


@pytest.fixture(autouse=True)
def agreed(cluster: ClusterLab) -> None:
    """Begin when all nodes hash with the same secret: half a second after the last one has joined."""
    cluster.until(lambda: len({n.call("stats")["evidence"]["key"] for n in cluster}) == 1, 5)


def inject(cluster: ClusterLab, name: str, path: Path) -> Any:
    return cluster[name].call("inject", path=str(path))


def heard(cluster: ClusterLab, name: str) -> set[str]:
    """Nodes whose counts a node has."""
    others = cluster[name].call("stats")["evidence"]["others"]
    return {node for node, aims in others.items() if aims}


@pytest.mark.system
def test_five_nodes_each_below_the_limit_confirm_together(cluster: ClusterLab, tmp_path: Path) -> None:
    """A fifth of the limit at each: the sum bans the guesser everywhere, and says who counted what."""
    source = "203.0.113.101"
    for name, guesses in zip(NAMES, share(LIMIT), strict=True):
        came = inject(cluster, name, refused(tmp_path, source, ["101"], dialogs=guesses))
        assert (came["alerts"], came["bans"]) == (0, 0)
    took = cluster.spread(source, wait=5.0)
    print(f"the sum confirmed {took * 1000:.0f} ms after the last message")
    rows = [node.rows()[source] for node in cluster]
    assert {row["scenario"] for row in rows} == {"password-guessing"}
    assert {row["proof"] for row in rows} == {"proven"}
    told = json.loads(cluster[rows[0]["origin"]].cli("show", source, "--output", "json").stdout)
    told = told[0] if isinstance(told, list) else told
    parts = [alert["details"].get("counted_by", "") for alert in told["alerts"]]
    assert any(part.count(",") == len(NAMES) - 1 for part in parts), parts


@pytest.mark.system
def test_one_guess_less_is_left_alone(cluster: ClusterLab, tmp_path: Path) -> None:
    """Once everybody has everybody's counts, nobody is banned."""
    source = "203.0.113.102"
    for name, guesses in zip(NAMES, share(LIMIT - 1), strict=True):
        inject(cluster, name, refused(tmp_path, source, ["102"], dialogs=guesses))
    everybody = set(NAMES)
    cluster.until(lambda: all(heard(cluster, name) >= everybody - {name} for name in NAMES), 10)
    cluster.until(lambda: not any(n.call("stats")["evidence"]["waiting"] for n in cluster), 10)
    cluster.converge()
    assert not any(node.holds(source) for node in cluster)


@pytest.mark.system
def test_one_account_attacked_from_many_sources_at_five_nodes(
    cluster: ClusterLab, tmp_path: Path
) -> None:
    """Each source tries twice, at one node: all of them are found, and the account is named."""
    sources = {name: f"203.0.113.{110 + number}" for number, name in enumerate(NAMES)}
    for name, source in sources.items():
        came = inject(cluster, name, refused(tmp_path, source, ["110"], dialogs=2))
        assert came["bans"] == 0
    begun = time.monotonic()
    for source in sources.values():
        cluster.spread(source, wait=5.0)
    print(f"five sources confirmed after {(time.monotonic() - begun) * 1000:.0f} ms")
    rows = cluster["n3"].rows()
    assert {rows[source]["scenario"] for source in sources.values()} == {"distributed-guessing"}


@pytest.mark.system
def test_a_customer_of_one_site_is_not_banned_for_his_bad_day_at_the_others(
    cluster: ClusterLab, tmp_path: Path
) -> None:
    """He logged in at n1: that node speaks for him."""
    source = "203.0.113.103"
    town = Town(miss=0.0, repeat=0.0, seed=7)
    Line(town, pack(source), "103").log_in(START, "200 OK")
    path = tmp_path / "good.pcap"
    path.write_bytes(pcap(*((frame.time, frame.data) for frame in town.frames)))
    inject(cluster, "n1", path)
    for name in NAMES[1:4]:
        inject(cluster, name, refused(tmp_path, source, ["103"]))
    vouching = ("n2", "n3", "n4", "n5")
    cluster.until(lambda: all(cluster[n].call("stats")["evidence"]["good_heard"] for n in vouching), 10)
    for name in NAMES[1:4]:
        inject(cluster, name, refused(tmp_path, source, ["103"], dialogs=LIMIT // 3))
    cluster.until(lambda: not any(n.call("stats")["evidence"]["waiting"] for n in cluster), 10)
    cluster.converge()
    assert not any(node.holds(source) for node in cluster)
