"""Damage done to table, sets and rules by others is seen and repaired."""

from __future__ import annotations

import sys

import pytest

from shield.errors import SystemFailure
from tests.firewall.wire import ATTACKER4, NEIGHBOUR4, Wire, add, kernel_backend, net

DAMAGE: dict[str, list[str]] = {
    "nftables": [
        "nft flush ruleset",
        "nft delete table inet shield",
        "nft flush chain inet shield early",
        "nft insert rule inet shield early accept",
        "nft add table inet shield '{ flags dormant; }'",
        "nft flush set inet shield allow4",
    ],
    "iptables": [
        "iptables -t raw -F",
        "ip6tables -t raw -F PREROUTING",
        "iptables -t raw -F SHIELD",
        "iptables -t raw -I PREROUTING 1 -j ACCEPT",
        "iptables -t raw -D SHIELD 1",
        "ipset flush shield-allow4",
        "for p in iptables ip6tables; do $p -t raw -F; $p -t raw -X; done; ipset destroy",
    ],
}


@pytest.mark.system
@pytest.mark.parametrize(
    ("name", "command"), [(n, c) for n, commands in DAMAGE.items() for c in commands]
)
def test_damage_is_seen_and_repaired(wire: Wire, name: str, command: str) -> None:
    """Every change to table, chain, rules or allowed networks is unhealthy, and open() repairs it."""
    with wire.sensor.inside():
        backend = kernel_backend(name)
        try:
            backend.open()
            backend.allow([net(NEIGHBOUR4)])
            add(backend, ATTACKER4)
            assert backend.healthy()
            wire.sensor.run("sh", "-c", command)
            assert not backend.healthy()
            assert not backend.undisturbed()
            backend.open()
            add(backend, ATTACKER4, NEIGHBOUR4)
            assert backend.healthy()
            assert not wire.passes(ATTACKER4)
            assert wire.passes(NEIGHBOUR4)
        finally:
            backend.close(remove=True)
            wire.sensor.run("sh", "-c", "nft flush ruleset")


@pytest.mark.system
@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("nftables", "nft add table inet shield; nft add set inet shield hosts4 '{ type ipv6_addr; }'"),
        ("iptables", "ipset create shield-hosts4 hash:net timeout 5"),
    ],
)
def test_wrong_set_in_our_place(wire: Wire, name: str, command: str) -> None:
    """A set with our name and another type is replaced."""
    with wire.sensor.inside():
        wire.sensor.run("sh", "-c", command)
        backend = kernel_backend(name)
        backend.open()
        try:
            add(backend, ATTACKER4)
            assert not wire.passes(ATTACKER4)
        finally:
            backend.close(remove=True)


@pytest.mark.system
def test_failure_is_one_error(wire: Wire) -> None:
    """A commit into a table that is gone raises SystemFailure and changes nothing."""
    with wire.sensor.inside():
        backend = kernel_backend("nftables")
        backend.open()
        wire.sensor.run("nft", "flush", "ruleset")
        with pytest.raises(SystemFailure, match="missing"):
            add(backend, ATTACKER4)
        assert backend.active() == {}
        backend.close(remove=True)


@pytest.mark.system
@pytest.mark.parametrize("name", ["nftables", "iptables"])
def test_without_rights(wire: Wire, name: str) -> None:
    """A user without rights gets one clear error that says what is missing."""
    code = (
        "from shield.firewall.registry import make_backend\n"
        "from shield.firewall.settings import FirewallSettings\n"
        "from shield.errors import SystemFailure\n"
        "import os; os.setgid(65534); os.setuid(65534)\n"
        f"try: make_backend(FirewallSettings(backend='{name}')).open()\n"
        "except SystemFailure as error: print(error)\n"
    )
    done = wire.sensor.run(sys.executable, "-c", code)
    assert "CAP_NET_ADMIN" in done.stdout
