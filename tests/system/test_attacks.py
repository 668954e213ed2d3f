"""Real attack tools against a real proxy with shield beside it: cut off, while phones go on calling."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.requires import need
from tests.system.site import (
    ATTACKER,
    ATTACKER6,
    CALLEE,
    CALLEE6,
    PHONE,
    PHONE6,
    REGISTRAR,
    REGISTRAR6,
    Probe,
    Site,
)

TOOLS = Path(sys.executable).parent

FINGERPRINTS = ("disguised-tool", "scanner-user-agent", "sipvicious")
"""Rules that know a tool by its looks; without them only what it does gives it away."""
LOOKS, ENUM, GUESSES, FLOOD = (
    set(FINGERPRINTS),
    {"user-enumeration"},
    {"password-guessing"},
    {"request-flood"},
)

CALLS = 3
"""Calls of the phone, begun and ended after the attacker was banned, for which a test waits."""

COMMANDS = {
    "svmap": [str(TOOLS / "sipvicious_svmap"), REGISTRAR],
    "svmap-ipv6": [str(TOOLS / "sipvicious_svmap"), "-6", REGISTRAR6],
    "svwar": [str(TOOLS / "sipvicious_svwar"), "-e100-2000", REGISTRAR],
    "svwar-ipv6": [str(TOOLS / "sipvicious_svwar"), "-6", "-e100-2000", REGISTRAR6],
    "svcrack": [str(TOOLS / "sipvicious_svcrack"), "-u1001", "-r1-3000", REGISTRAR],
    "sipp": [
        *("sipp", "-sn", "uac", f"{REGISTRAR}:5060", "-i", ATTACKER, "-s", "1001"),
        *("-r", "500", "-m", "4000", "-nostdin", "-timeout", "15"),
    ],
    "sipp-tcp": [
        *("sipp", "-sn", "uac", "-t", "t1", f"{REGISTRAR}:5060", "-i", ATTACKER, "-s", "1001"),
        *("-r", "500", "-m", "4000", "-nostdin", "-timeout", "15"),
    ],
    "guesser-tcp": [
        *(sys.executable, "-m", "tests.system.guesser", ATTACKER, REGISTRAR, "1001", "3000"),
    ],
    "guesser-tcp-ipv6": [
        *(sys.executable, "-m", "tests.system.guesser", ATTACKER6, REGISTRAR6, "1001", "3000"),
    ],
}


class Case(NamedTuple):
    """One attack and what shield must say about it."""

    tool: str
    backend: str
    scenarios: set[str]
    proof: str | None
    """None: either. svcrack's second request proves his address, but the first is enough for a ban."""

    @property
    def version(self) -> int:
        return 6 if self.tool.endswith("-ipv6") else 4

    def __str__(self) -> str:
        return f"{self.tool}-{self.backend}-{min(self.scenarios - {'scanner-user-agent'})}"


CASES = [
    Case("svmap", "nftables", LOOKS, "unproven"),
    Case("svwar", "nftables", LOOKS, "unproven"),
    Case("svwar", "nftables", ENUM, "unproven"),
    Case("svcrack", "nftables", LOOKS, None),
    Case("svcrack", "nftables", GUESSES, "proven"),
    Case("sipp", "nftables", FLOOD, "unproven"),
    Case("svmap", "iptables", LOOKS, "unproven"),
    Case("svwar", "iptables", ENUM, "unproven"),
    Case("svcrack", "iptables", GUESSES, "proven"),
    Case("sipp", "iptables", FLOOD, "unproven"),
    Case("svcrack", "iptables-legacy", GUESSES, "proven"),
    Case("sipp-tcp", "nftables", FLOOD, "proven"),
    Case("guesser-tcp", "iptables", GUESSES, "proven"),
    Case("svmap-ipv6", "iptables", LOOKS, "unproven"),
    Case("svwar-ipv6", "nftables", LOOKS, "unproven"),
    Case("guesser-tcp-ipv6", "nftables", GUESSES, "proven"),
    Case("guesser-tcp-ipv6", "iptables-legacy", GUESSES, "proven"),
]


def need_tools() -> None:
    """Skip or fail where a program is missing."""
    need("kamailio", "sipp", "xtables-legacy-multi")
    if not (TOOLS / "sipvicious_svmap").exists():
        need("sipvicious_svmap")


@pytest.mark.system
@pytest.mark.parametrize("case", CASES, ids=str)
def test_attack_is_cut_off(build: Callable[..., Site], case: Case) -> None:
    """The attacker is banned while he attacks, nothing of his arrives any more, phones go on calling."""
    need_tools()
    site = build(case.backend, case.version)
    attacker, target = (ATTACKER, REGISTRAR) if case.version == 4 else (ATTACKER6, REGISTRAR6)
    # A single request of svmap waits hold_time for a flood of forged sources: once as long as it is by
    # default, else for the test's sake shorter.
    site.configure(
        disabled=() if case.scenarios == LOOKS else FINGERPRINTS,
        hold="10s" if case.backend == "nftables" else "2s",
    )
    site.open()
    site.sensor.watch(attacker)
    probe = Probe(site, site.attacker.udp(attacker), attacker, target)
    site.start()
    assert probe.passes()
    attack = site.attack(*COMMANDS[case.tool])
    took = site.until(lambda: attacker in site.banned(), 15)
    print(f"{case}: banned after {took:.2f} s, {site.sensor.arrived(attacker)} packets arrived")
    row = site.banned()[attacker]
    print(row)
    assert row["scenario"] in case.scenarios
    assert case.proof in (None, row["proof"])
    assert row["repeats"] == 0, "one attack is one offence, however many rules see it"
    # The list has it at once, the kernel with the next commit.
    site.until(lambda: attacker in site.kernel(), 2)
    if case.backend.startswith("iptables"):
        # The two kinds of iptables do not see each other's rules, so it shows which one was used.
        kinds = [kind for kind in ("legacy", "nft") if "SHIELD" in site.rules(kind, case.version)]
        assert kinds == ["legacy" if case.backend == "iptables-legacy" else "nft"]
    assert probe.dropped()
    before = site.sensor.arrived(attacker)
    site.call_on(CALLS)
    assert site.sensor.arrived(attacker) == before, "the tool that still runs reaches nobody"
    phones_are_well(site)
    for address in (PHONE, PHONE6, CALLEE, CALLEE6):
        assert not alerts(site, address)
    assert set(site.banned()) == {attacker}
    attack.terminate()
    attack.wait(5)


def phones_are_well(site: Site) -> None:
    """Every registration, call and hang-up since the phones were switched on went well."""
    for what in ("register", "call", "bye"):
        assert set(site.results(what)) == {200}, (what, site.logs())
    assert len(site.results("answered", "callee.log")) >= len(site.results("call")) > CALLS
    assert len(site.results("hungup", "callee.log")) >= len(site.results("bye"))


@pytest.mark.system
@pytest.mark.parametrize("tool", ["svmap", "sipp"])
def test_forged_attack_bans_nobody(build: Callable[..., Site], tool: str) -> None:
    """The same tools with the phone's address on their packets: nobody is banned, the phone calls on."""
    need_tools()
    site = build()
    site.open()
    for command in (
        # ARP goes on telling the truth, or the registrar would send the phone's answers to the attacker.
        "sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2",
        f"ip address add {PHONE}/32 dev lo",
        f"ip route add {REGISTRAR}/32 dev eth0 src {PHONE}",
    ):
        site.attacker.run(*command.split())
    site.start()
    site.call_on(1)
    site.sensor.watch(PHONE)
    words = [PHONE if word == ATTACKER else word for word in COMMANDS[tool]]
    # One packet of a scanner says nothing about a source whose logins are accepted; thirty do.
    attack = site.attack(*words, *[REGISTRAR] * (29 if tool == "svmap" else 0))
    if tool == "svmap":
        site.until(lambda: "sipvicious" in alerts(site, PHONE), 5)
    else:  # a flood is no alert for such a source; by itself the phone sends 25 packets a second
        site.until(lambda: site.sensor.arrived(PHONE) > 1000, 5)
    site.call_on(CALLS)
    phones_are_well(site)
    assert site.banned() == {}
    attack.terminate()
    attack.wait(5)


def alerts(site: Site, address: str) -> set[str]:
    """Rules that spoke about an address."""
    return {alert["scenario"] for alert in site.client.call("show", value=address)["alerts"]}
