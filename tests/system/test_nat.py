"""A guesser behind the NAT of an office, with a real proxy: he is stopped, the phones call on."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import pytest

from tests.system.site import ATTACKER, CALLEE, PHONE, REGISTRAR, Site
from tests.system.test_attacks import CALLS, COMMANDS, FINGERPRINTS, need_tools

OFFICE = "192.0.2.30"
"""The one address that the registrar sees of phones and guesser."""
OTHERS = {"1003": "192.0.2.23", "1004": "192.0.2.24"}
"""Further phones of the office."""

COUNTERS = """\
add table inet culprit
delete table inet culprit
add table inet culprit
add chain inet culprit sent {{ type filter hook prerouting priority -500; }}
add chain inet culprit arrived {{ type filter hook input priority 300; }}
add rule inet culprit sent ip saddr {office} {protocol} sport {port} counter
add rule inet culprit arrived ip saddr {office} {protocol} sport {port} counter
"""


def behind_nat(site: Site) -> None:
    """Put the site's phone, two more, and the attacker behind one address; call and wait for answers."""
    nat = site.lab.host("office", f"{OFFICE}/24")
    nat.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0",
            "net.ipv4.conf.eth0.send_redirects=0")  # fmt: skip
    nat.run("nft", "-f", "-", stdin=(
        "add table ip nat\n"
        "add chain ip nat out { type nat hook postrouting priority srcnat; }\n"
        f"add rule ip nat out ip daddr {REGISTRAR} masquerade\n"
    ))  # fmt: skip
    more = {user: site.lab.host(f"phone{user}", f"{own}/24") for user, own in OTHERS.items()}
    for host in (site.phone, site.attacker, *more.values()):
        host.run("ip", "route", "add", f"{REGISTRAR}/32", "via", OFFICE)
    site.open()
    for user, host in more.items():
        words = ("call", OTHERS[user], REGISTRAR, user, f"secret{user}", "1002", "0.3")
        site._start(host, f"phone{user}.log", sys.executable, "-m", "tests.system.phone", *words)
    for user in more:
        site.until(lambda log=f"phone{user}.log": 200 in site.results("bye", log), 10)


def counted(site: Site) -> tuple[int, int]:
    """Packets of the culprit's port since it is known: sent to the registrar, and arrived there."""
    listed = site.sensor.run("nft", "list", "table", "inet", "culprit").stdout
    sent, arrived = re.findall(r"counter packets (\d+)", listed)
    return int(sent), int(arrived)


@pytest.mark.system
@pytest.mark.parametrize(
    ("tool", "backend", "looks"),
    [
        ("svcrack", "nftables", False),
        ("svcrack", "iptables", False),
        ("svcrack", "nftables", True),
        ("guesser-tcp", "nftables", False),
    ],
)
def test_only_the_guesser_of_an_office_is_stopped(
    build: Callable[..., Site], tool: str, backend: str, *, looks: bool
) -> None:
    """His port is dropped while he goes on sending; phones register and call, and ``show`` names him."""
    need_tools()
    site = build(backend)
    site.configure(disabled=() if looks else FINGERPRINTS)
    site.start()
    behind_nat(site)
    for _ in range(CALLS):
        site.call_on(1)
    attack = site.attack(*COMMANDS[tool])
    took = site.until(lambda: OFFICE in site.banned(), 20)
    row = site.banned()[OFFICE]
    print(f"{tool}-{backend}: limited after {took:.2f} s: {row['ports']}, {row['reason']}")
    assert (row["type"], row["proof"], set(site.banned())) == ("limit", "proven", {OFFICE})
    protocol, _, port = row["ports"].partition("/")
    assert protocol == ("tcp" if tool.endswith("tcp") else "udp")
    site.until(lambda: port in site.kernel(), 2)
    site.sensor.run("nft", "-f", "-", stdin=COUNTERS.format(office=OFFICE, protocol=protocol, port=port))
    site.call_on(CALLS)
    site.until(lambda: counted(site)[0] > 0, 5)
    assert counted(site)[1] == 0, "what he still sends reaches nobody"
    logs = ["phone.log", *(f"phone{user}.log" for user in OTHERS)]
    for log in logs:
        for what in ("register", "call", "bye"):
            assert set(site.results(what, log)) == {200}, (log, what, site.logs())
    shown = site.client.call("show", value=OFFICE)
    assert shown["state"] == "limited"
    details = [alert["details"] for alert in shown["alerts"]]
    assert any(row["ports"] in found.get("culprit", "") for found in details)
    assert {found["account"] for found in details if "account" in found} <= {"1001"}
    for address in (PHONE, ATTACKER, CALLEE):
        assert not site.client.call("show", value=address)["alerts"]
    attack.terminate()
    attack.wait(5)
