"""Real attack tools against a real registrar with shield beside it: they are cut off, a phone is not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netlab import Lab
from tests.requires import need
from tests.system.site import ATTACKER, PHONE, REGISTRAR, Probe, Site

TOOLS = Path(sys.executable).parent

FINGERPRINTS = ("scanner-user-agent", "sipvicious")
"""Rules that know a tool by its looks; without them only what it does gives it away."""

COMMANDS = {
    "svmap": [str(TOOLS / "sipvicious_svmap"), REGISTRAR],
    "svwar": [str(TOOLS / "sipvicious_svwar"), "-e100-2000", REGISTRAR],
    "svcrack": [str(TOOLS / "sipvicious_svcrack"), "-u1001", "-r1-3000", REGISTRAR],
    "sipp": [
        *("sipp", "-sn", "uac", f"{REGISTRAR}:5060", "-i", ATTACKER, "-s", "1001"),
        *("-r", "500", "-m", "4000", "-nostdin", "-timeout", "15"),
    ],
}

CASES = [
    # tool, backend, disabled rules, scenarios that may name it, proof (None: either, svcrack's second
    # request proves his address, but the first is enough for a ban)
    ("svmap", "nftables", (), set(FINGERPRINTS), "unproven"),
    ("svwar", "nftables", (), set(FINGERPRINTS), "unproven"),
    ("svwar", "nftables", FINGERPRINTS, {"user-enumeration"}, "unproven"),
    ("svcrack", "nftables", (), set(FINGERPRINTS), None),
    ("svcrack", "nftables", FINGERPRINTS, {"password-guessing"}, "proven"),
    ("sipp", "nftables", (), {"request-flood"}, "unproven"),
    ("svcrack", "iptables", FINGERPRINTS, {"password-guessing"}, "proven"),
]


@pytest.fixture
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    need("ip", "nft", "ipset", "iptables", "ip6tables", "kamailio", "sipp")
    if not (TOOLS / "sipvicious_svmap").exists():
        need("sipvicious_svmap")
    with Lab() as lab:
        made = Site(lab, tmp_path, getattr(request, "param", "nftables"))
        yield made
        made.client.close()


@pytest.mark.system
@pytest.mark.parametrize(
    ("tool", "site", "disabled", "scenarios", "proof"),
    CASES,
    indirect=["site"],
    ids=[f"{case[0]}-{case[1]}{'-by-behaviour' if case[2] else ''}" for case in CASES],
)
def test_attack_is_cut_off(
    site: Site, tool: str, disabled: tuple[str, ...], scenarios: set[str], proof: str | None
) -> None:
    """The attacker is banned while he attacks, nothing of his arrives any more, the phone goes on."""
    site.configure(disabled)
    site.open()
    site.sensor.watch(ATTACKER, PHONE)
    probe = Probe(site, site.attacker.udp(ATTACKER), ATTACKER)
    site.start()
    assert probe.passes()
    with (site.folder / "attack.log").open("w") as output:
        attack = site.attacker.popen(
            *COMMANDS[tool], cwd=site.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    # A single request of svmap waits hold_time (10 s) for a flood of forged sources.
    took = site.until(lambda: ATTACKER in site.banned(), 15)
    print(
        f"{tool}: banned {took:.2f} s after the start, {site.sensor.arrived(ATTACKER)} packets arrived"
    )
    row = site.banned()[ATTACKER]
    print(row)
    assert row["scenario"] in scenarios
    assert proof in (None, row["proof"])
    assert row["repeats"] == 0, "one attack is one offence, however many rules see it"
    assert ATTACKER in site.kernel()
    assert probe.dropped()
    before, done = site.sensor.arrived(ATTACKER), len(site.registrations())
    site.until(lambda: len(site.registrations()) >= done + 3, 8)
    assert site.sensor.arrived(ATTACKER) == before, "the tool that still runs reaches nobody"
    assert set(site.registrations()) == {200}
    assert set(site.banned()) == {ATTACKER}
    attack.terminate()
    attack.wait(5)
