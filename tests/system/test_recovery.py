"""What others do to the kernel, and what kill -9 does to the node, is made good within 5 s; networks hold."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shield.blocklist.decision import Change, ChangeKind, Decision
from shield.blocklist.journal import Journal, JournalSettings
from shield.detect.alert import Proof
from shield.net import Network
from tests.netlab import Lab
from tests.requires import need
from tests.system.site import ATTACKER, REGISTRAR6, Probe, Site

LIVE = 100_000
"""Decisions in the journal; the issue's number."""
WITHIN = 5.0
"""Seconds in which the kernel must be right again; the issue's number."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    need("ip", "nft", "ipset", "iptables", "ip6tables")
    with Lab() as lab:
        made = Site(lab, tmp_path)
        made.sensor.address("192.0.2.2/24")
        yield made
        made.client.close()


def fill(site: Site, count: int) -> None:
    """A journal with ``count`` live bans of documentation addresses; the attacker's is the last."""
    journal = Journal(JournalSettings(path=f"{site.folder}/journal.db"))
    now, wall = time.monotonic(), time.time()
    low = int.from_bytes(Network.parse("2001:db8:1::").address, "big")
    hosts = [Network.host((low + number).to_bytes(16, "big")) for number in range(count - 1)]
    hosts.append(Network.parse(ATTACKER))
    changes = [
        Change(
            ChangeKind.ADDED,
            Decision(
                network=host, scenario="test", origin="sensor", proof=Proof.PROVEN, time=wall,
                until=now + 3600.0, duration=3600.0, id=f"sensor-{number:x}",
            ),
        )
        for number, host in enumerate(hosts)
    ]  # fmt: skip
    journal.record(changes, now, wall)
    journal.close()


def elements(site: Site) -> int:
    """Hosts in the kernel's own sets."""
    found = 0
    for name in ("hosts4", "hosts6"):
        listed = site.sensor.run("nft", "-j", "list", "set", "inet", "shield", name, check=False)
        if listed.returncode == 0:
            sets = json.loads(listed.stdout)["nftables"]
            found += sum(len(one["set"].get("elem", ())) for one in sets if "set" in one)
    return found


@pytest.mark.system
def test_flush_with_many_bans(site: Site) -> None:
    """100,000 bans are all enforced 5 s after a start, after kill -9 and start, and after a flush."""
    fill(site, LIVE)
    site.sensor.watch(ATTACKER)
    probe = Probe(site, site.attacker.udp(ATTACKER), ATTACKER)
    assert probe.passes()
    took: dict[str, float] = {}

    def enforced(name: str, begun: float) -> None:
        site.until(lambda: not probe.passes(), 20)
        took[f"{name}: attacker dropped"] = time.monotonic() - begun
        site.until(lambda: elements(site) == LIVE, 20)
        took[f"{name}: all in the kernel"] = time.monotonic() - begun

    begun = time.monotonic()
    took["start: answers"] = site.start()
    enforced("start", begun)
    assert site.end(signal.SIGKILL) == -signal.SIGKILL
    assert not probe.passes(), "the kernel's sets outlive the node"
    site.sensor.run("nft", "flush", "ruleset")  # as after a reboot
    site.sensor.watch(ATTACKER)
    assert probe.passes()
    begun = time.monotonic()
    took["restart: answers"] = site.start()
    enforced("restart", begun)
    begun = time.monotonic()
    site.sensor.run("nft", "flush", "ruleset")
    site.sensor.watch(ATTACKER)
    enforced("flush", begun)
    print({name: round(seconds, 2) for name, seconds in took.items()})
    assert site.client.call("firewall.status")["rebuilt"] == 1
    assert "WARNING" in site.log.read_text()
    late = {name: seconds for name, seconds in took.items() if seconds > WITHIN}
    assert not late, took
