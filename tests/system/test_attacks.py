"""Real attack tools against a real proxy with shield beside it: cut off, while phones go on calling."""

from __future__ import annotations

import os
import subprocess
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
    ROOT,
    Probe,
    Site,
)

TOOLS = Path(sys.executable).parent

FINGERPRINTS = ("scanner-user-agent", "sipvicious")
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


@pytest.mark.system
@pytest.mark.parametrize("case", CASES, ids=str)
def test_attack_is_cut_off(build: Callable[..., Site], case: Case) -> None:
    """The attacker is banned while he attacks, nothing of his arrives any more, phones go on calling."""
    need("kamailio", "sipp", "xtables-legacy-multi")
    if not (TOOLS / "sipvicious_svmap").exists():
        need("sipvicious_svmap")
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
    with (site.folder / "attack.log").open("w") as output:
        # Some tools leave a file behind where they run, so there; and ours must find their own parts.
        attack = site.attacker.popen(
            *COMMANDS[case.tool], cwd=site.folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
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
    before, calls = site.sensor.arrived(attacker), len(site.results("bye"))
    # One more: the call that runs now began before.
    site.until(lambda: len(site.results("bye")) > calls + CALLS, 15)
    assert site.sensor.arrived(attacker) == before, "the tool that still runs reaches nobody"
    phones_are_well(site)
    assert set(site.banned()) == {attacker}
    attack.terminate()
    attack.wait(5)


def phones_are_well(site: Site) -> None:
    """Every registration, call and hang-up since the phones were switched on went well."""
    for what in ("register", "call", "bye"):
        assert set(site.results(what)) == {200}, (what, site.logs())
    assert len(site.results("answered", "callee.log")) >= len(site.results("call")) > CALLS
    assert len(site.results("hungup", "callee.log")) >= len(site.results("bye"))
    for address in (PHONE, PHONE6, CALLEE, CALLEE6):
        shown = site.client.call("show", value=address)
        assert shown["state"] != "banned"
        assert not shown["alerts"], shown
