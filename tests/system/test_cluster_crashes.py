"""Five hosts whose nodes fail: frozen, killed, restarted with an old journal, with wrong clocks."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.requires import need
from tests.system.cluster_lab import ClusterLab
from tests.system.cluster_node import ATTACKER

OTHERS = ("n1", "n2", "n4", "n5")
"""All but n3, which is the one that fails."""
HOUR = 3600


@pytest.mark.system
def test_frozen_node(cluster: ClusterLab) -> None:
    """A node that stands still is noticed within 5 s and slows nobody down; woken up it knows all."""
    n3 = cluster["n3"]
    n3.ban("198.18.40.1", "198.18.40.2")
    cluster.converge()
    assert n3.program is not None
    n3.program.send_signal(signal.SIGSTOP)
    frozen, noticed, slowest, number = time.monotonic(), 0.0, 0.0, 0
    while time.monotonic() - frozen < 6:
        number += 1
        cluster[OTHERS[number % 4]].ban(f"198.18.41.{number}")
        slowest = max(slowest, cluster.spread(f"198.18.41.{number}", OTHERS))
        if not noticed and all(cluster[name].sees("n3") != "alive" for name in OTHERS):
            noticed = time.monotonic() - frozen
        time.sleep(0.1)
    print(f"frozen: noticed after {noticed:.1f} s; {number} bans, the slowest {slowest * 1000:.0f} ms")
    assert 0 < noticed < 5
    assert number > 20
    assert slowest < 1
    cluster["n1"].unban("198.18.40.1")
    cluster.until(lambda: all(cluster[name].sees("n3") == "dead" for name in OTHERS), 5)
    n3.program.send_signal(signal.SIGCONT)
    woken = cluster.until(lambda: len(n3.rows()) == number + 1, 10)
    print(f"frozen: knows all {woken:.1f} s after it was woken")
    assert n3.rows().keys() == {"198.18.40.2", *(f"198.18.41.{n + 1}" for n in range(number))}
    cluster.until(cluster.complete)
    # What waited in its sockets says how long a ban lasts after it was sent, not after it was read.
    cluster.converge(late=time.monotonic() - frozen)


@pytest.mark.system
def test_killed_node(cluster: ClusterLab) -> None:
    """kill -9 is noticed within 1 s; its kernel goes on blocking, and after a restart it catches up."""
    n2, others = cluster["n2"], ("n1", "n3", "n4", "n5")
    n2.ban("198.18.42.1")
    cluster["n1"].ban(ATTACKER, "198.18.42.2")
    cluster.converge()
    cluster.until(lambda: n2.in_kernel(ATTACKER), 2)
    n2.end(signal.SIGKILL)
    noticed = cluster.until(lambda: all(cluster[name].sees("n2") != "alive" for name in others), 5)
    print(f"killed: noticed after {noticed * 1000:.0f} ms")
    assert noticed < 1
    assert cluster.arriving("n2", ATTACKER) == 0
    cluster["n4"].unban("198.18.42.2", ATTACKER)
    cluster["n1"].ban("198.18.42.3")
    assert cluster.spread("198.18.42.3", others) < 1
    cluster.until(lambda: all(cluster[name].sees("n2") == "dead" for name in others), 5)
    cluster.start("n2")
    cluster.exactly("n2", {"198.18.42.1", "198.18.42.3"})
    cluster.until(lambda: n2.in_kernel("198.18.42.3") and not n2.in_kernel(ATTACKER), 5)
    assert cluster.arriving("n2", ATTACKER) == 3
    cluster.until(cluster.complete)
    cluster.converge()


@pytest.mark.system
def test_old_journal(cluster: ClusterLab) -> None:
    """A node that is back with a journal of yesterday ends with what the cluster knows, and its own."""
    n3 = cluster["n3"]
    n3.ban("198.18.43.1", "198.18.43.2")
    cluster["n1"].ban("198.18.43.3", "198.18.43.4")
    cluster.converge()
    n3.end()
    saved = [(path, path.read_bytes()) for path in n3.folder.glob("journal.db*")]
    cluster.start("n3")
    cluster.until(cluster.complete)
    n3.unban("198.18.43.1")  # both unbans are not in the old journal
    cluster["n2"].unban("198.18.43.3")
    n3.ban("198.18.43.5", reason="forgotten")
    cluster["n1"].ban("198.18.43.6")
    cluster.converge()
    n3.end(signal.SIGKILL)
    n3.drop_journal()
    for path, data in saved:
        path.write_bytes(data)
    cluster["n4"].ban("198.18.43.7")
    cluster.until(lambda: all(cluster[name].sees("n3") == "dead" for name in OTHERS), 5)
    cluster.start("n3")
    expected = {f"198.18.43.{number}" for number in (2, 4, 5, 6, 7)}
    back = cluster.exactly("n3", expected, 20)
    print(f"old journal: knows all {back:.1f} s after its start")
    cluster.converge()
    assert cluster["n1"].rows().keys() == expected
    assert cluster.blocklist("n3")["198.18.43.5"][0] == "n3"
    assert n3.rows()["198.18.43.5"]["reason"] == "forgotten"
    # Its clock counts on from what it had forgotten: what it says now is newer than that.
    n3.unban("198.18.43.5")
    n3.ban("198.18.43.1")
    assert cluster.gone("198.18.43.5") < 1
    assert cluster.spread("198.18.43.1") < 1
    cluster.converge()


@pytest.mark.system
def test_lost_journal(cluster: ClusterLab) -> None:
    """A node whose journal is gone gets everything back, what it had decided itself too."""
    n2 = cluster["n2"]
    n2.ban(*(f"198.18.44.{number}" for number in range(1, 51)))
    cluster["n1"].ban(*(f"198.18.45.{number}" for number in range(1, 51)))
    cluster.converge()
    before = cluster.blocklist("n1")
    n2.end(signal.SIGKILL)
    n2.drop_journal()
    cluster.start("n2")
    cluster.until(lambda: len(n2.rows()) == 100, 20)
    cluster.converge()
    assert cluster.blocklist("n2").keys() == before.keys()
    assert {row[0] for row in cluster.blocklist("n2").values()} == {"n1", "n2"}


@pytest.fixture
def wrong_clocks(cluster: ClusterLab) -> Iterator[ClusterLab]:
    """The cluster with a clock that is five hours ahead and one that is seven hours behind."""
    need("faketime")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    for name, shift in (("n4", 5), ("n5", -7)):
        cluster[name].end()
        cluster[name].environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME": f"{shift:+d}h",
            # Only the wall clock is wrong: monotonic time has no epoch that could be.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
    cluster.start("n4", "n5")
    cluster.until(cluster.complete)
    yield cluster
    for name in ("n4", "n5"):
        if cluster[name].running:
            cluster[name].end()
        cluster[name].drop_journal()


@pytest.mark.system
def test_wrong_clocks(wrong_clocks: ClusterLab) -> None:
    """Clocks that are hours off do no harm: the last word counts, bans last as long as they should."""
    lab = wrong_clocks
    seen = lab["n1"].members()
    assert seen["n4"]["clock_offset"] == pytest.approx(5 * HOUR, abs=5)
    assert seen["n5"]["clock_offset"] == pytest.approx(-7 * HOUR, abs=5)
    for name in lab.nodes:
        lab[name].ban(f"198.18.46.{name[1]}", duration=600)
        assert lab.spread(f"198.18.46.{name[1]}") < 1
        assert {round(node.rows()[f"198.18.46.{name[1]}"]["remaining"] / 10) for node in lab} == {60}
    lab.converge()
    # The node whose clock is behind takes back what the one ahead said, and is taken back in turn.
    lab["n5"].unban("198.18.46.4")
    assert lab.gone("198.18.46.4") < 1
    lab["n4"].unban("198.18.46.5")
    assert lab.gone("198.18.46.5") < 1
    lab["n5"].ban("198.18.46.4", duration=7, reason="short")
    banned = time.monotonic()
    assert lab.spread("198.18.46.4") < 1
    lab.converge()
    # Both come back with their clocks set right: what they said in the wrong time still counts.
    for name in ("n4", "n5"):
        lab[name].end()
        lab[name].environment = {}
    # Ends in a journal are wall time: from one that was ahead bans come back five hours too long.
    lab["n4"].drop_journal()
    lab.start("n4", "n5")
    lab.until(lab.complete)
    lab["n4"].ban("198.18.46.9", duration=600)
    assert lab.spread("198.18.46.9") < 1
    lab["n1"].unban("198.18.46.9")
    assert lab.gone("198.18.46.9") < 1
    lab["n5"].ban("198.18.46.9")
    assert lab.spread("198.18.46.9") < 1
    lab.gone("198.18.46.4")
    assert 6 < time.monotonic() - banned < 12
    lab.converge()
    assert lab["n1"].rows().keys() == {f"198.18.46.{number}" for number in (1, 2, 3, 9)}
