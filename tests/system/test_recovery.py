"""Kill -9, a reboot and a flushed kernel are made good within 5 s; bans of networks hold."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shield.blocklist.decision import Change, ChangeKind, Decision
from shield.blocklist.journal import Journal, JournalSettings
from shield.detect.alert import Proof
from shield.net import Network
from tests.netlab import Lab
from tests.requires import need
from tests.system.site import ATTACKER, REGISTRAR6, Probe, Site

ATTACKER6 = "2001:db8:f::66"
"""Sorts after all others in the journal: when it is dropped, everything is."""

LIVE = 100_000
"""Decisions in the journal; the issue's number."""
WITHIN = 5.0
"""Seconds in which the kernel must be right again; the issue's number."""


@pytest.fixture
def lab() -> Iterator[Lab]:
    need("ip", "nft", "ipset", "iptables", "ip6tables")
    with Lab() as made:
        yield made


@pytest.fixture
def site(lab: Lab, tmp_path: Path) -> Iterator[Site]:
    made = Site(lab, tmp_path)
    made.attacker.address(f"{ATTACKER6}/32")
    made.sensor.address("2001:db8:f::1/48")
    yield made
    made.client.close()


def fill(site: Site, count: int) -> None:
    """A journal with ``count`` live bans, two addresses of the attacker among them."""
    journal = Journal(JournalSettings(path=f"{site.folder}/journal.db"))
    now, wall = time.monotonic(), time.time()
    low = int.from_bytes(Network.parse("2001:db8:1::").address, "big")
    hosts = [Network.host((low + number).to_bytes(16, "big")) for number in range(count - 2)]
    hosts += [Network.parse(ATTACKER), Network.parse(ATTACKER6)]
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
def test_many_bans_come_back(site: Site) -> None:
    """100,000 bans drop packets 5 s after kill -9, reboot and start, and after `nft flush ruleset`."""
    fill(site, LIVE)
    probes = [
        Probe(site, site.attacker.udp(ATTACKER), ATTACKER),
        Probe(site, site.attacker.udp(ATTACKER6), ATTACKER6, "2001:db8:f::1"),
    ]
    took: dict[str, float] = {}

    def all_pass() -> bool:
        site.sensor.watch(ATTACKER, ATTACKER6)
        return all(probe.passes() for probe in probes)

    def enforced(name: str, begun: float) -> None:
        site.until(lambda: all(probe.dropped() for probe in probes), 20)
        took[name] = round(time.monotonic() - begun, 2)
        assert elements(site) == LIVE

    assert all_pass()
    begun = time.monotonic()
    site.start()
    enforced("start", begun)
    assert site.end(signal.SIGKILL) == -signal.SIGKILL
    assert all(probe.dropped() for probe in probes), "the kernel's sets outlive the node"
    site.sensor.run("nft", "flush", "ruleset")  # as after a reboot
    assert all_pass()
    begun = time.monotonic()
    site.start()
    enforced("restart", begun)
    begun = time.monotonic()
    site.sensor.run("nft", "flush", "ruleset")
    site.sensor.watch(ATTACKER, ATTACKER6)
    enforced("flush", begun)
    print(took)
    assert site.client.call("firewall.status")["rebuilt"] == 1
    assert "WARNING" in site.log.read_text()
    assert all(seconds <= WITHIN for seconds in took.values()), took


@pytest.mark.system
def test_killed_during_a_commit(site: Site) -> None:
    """Killed while 100,000 bans go to the kernel; the next start brings in the rest within 5 s."""
    fill(site, LIVE)
    for _ in range(3):  # a busy machine may be late with the signal
        site.start()
        assert site.end(signal.SIGKILL) == -signal.SIGKILL
        there = elements(site)
        if there < LIVE:
            break
        site.sensor.run("nft", "flush", "ruleset")
    assert there < LIVE
    site.sensor.watch(ATTACKER6)
    probe = Probe(site, site.attacker.udp(ATTACKER6), ATTACKER6, "2001:db8:f::1")
    begun = time.monotonic()
    site.start()
    site.until(probe.dropped, 20)
    took = time.monotonic() - begun
    print(f"{there} were in the kernel, all after {took:.2f} s")
    assert took <= WITHIN
    site.until(lambda: site.client.call("firewall.status")["pending"] == 0, 5)
    assert elements(site) == LIVE


@pytest.mark.system
@pytest.mark.parametrize(
    ("backend", "damage"),
    [
        ("nftables", ("nft", "flush", "ruleset")),
        ("nftables", ("nft", "flush", "set", "inet", "shield", "hosts4")),
        ("nftables", ("nft", "delete", "element", "inet", "shield", "hosts4", f"{{ {ATTACKER} }}")),
        ("nftables", ("nft", "flush", "table", "inet", "shield")),
        ("iptables", ("nft", "flush", "ruleset")),
        ("iptables", ("ipset", "flush")),
        ("iptables", ("iptables", "-t", "raw", "-F")),
        ("iptables-legacy", ("xtables-legacy-multi", "iptables", "-t", "raw", "-F")),
    ],
)
def test_damage_is_repaired(lab: Lab, tmp_path: Path, backend: str, damage: tuple[str, ...]) -> None:
    """Whatever others take out of the kernel while the node runs is back within 5 s, with a warning."""
    site = Site(lab, tmp_path, backend)
    site.sensor.watch(ATTACKER)
    probe = Probe(site, site.attacker.udp(ATTACKER), ATTACKER)
    site.start()
    site.client.call("ban", values=[ATTACKER], duration=600)
    assert probe.dropped()
    site.sensor.run(*damage)
    site.sensor.watch(ATTACKER)
    assert probe.passes()
    took = site.until(probe.dropped, 8)
    print(f"{backend} {' '.join(damage)}: {took:.2f} s")
    assert took <= WITHIN
    status = site.client.call("firewall.status")
    assert status["rebuilt"] + status["repaired"] > 0
    assert "WARNING" in site.log.read_text()
    site.client.close()


@pytest.mark.system
@pytest.mark.parametrize("backend", ["nftables", "iptables"])
@pytest.mark.parametrize(
    ("network", "inside", "outside", "target"),
    [
        ("198.51.100.0/24", ("198.51.100.1", "198.51.100.254"), "198.51.101.1", "192.0.2.1"),
        (
            "2001:db8:0:7::/64",
            ("2001:db8:0:7::1", "2001:db8:0:7:ffff:ffff:ffff:ffff"),
            "2001:db8:0:8::1",
            REGISTRAR6,
        ),
    ],
)
def test_network_ban(
    build: Callable[..., Site],
    backend: str,
    network: str,
    inside: tuple[str, str],
    outside: str,
    target: str,
) -> None:
    """Both ends of a banned network are dropped, its neighbour is not; after the unban all pass."""
    site = build(backend)
    long = 128 if ":" in network else 32
    for address in (*inside, outside):
        site.attacker.address(f"{address}/{long}")
    if long == 32:
        site.sensor.run("ip", "route", "add", "198.51.100.0/23", "dev", "eth0")
    site.sensor.watch(*inside, outside)
    probes = {
        address: Probe(site, site.attacker.udp(address), address, target)
        for address in (*inside, outside)
    }
    site.start()
    assert all(probe.passes() for probe in probes.values())
    assert site.client.call("ban", values=[network], duration=600)["results"][0]["ok"]
    assert all(probes[address].dropped() for address in inside)
    assert probes[outside].passes()
    assert site.banned()[network]["scope"] == "range"
    site.client.call("unban", values=[network])
    # Networks are changed at most once a second (firewall.network_seconds).
    site.until(lambda: all(probe.passes() for probe in probes.values()), 3)
