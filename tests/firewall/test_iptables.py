"""What is special about ipset."""

from __future__ import annotations

import math

import pytest

from shield.firewall.backend import Element
from shield.firewall.iptables import TIMEOUT_MOST, IptablesBackend, _halves, _seconds
from shield.firewall.settings import FirewallSettings
from tests.firewall.wire import Wire, add, net


def test_whole_seconds() -> None:
    """Timeouts are rounded up, never to 0 (for ever), and never above what ipset takes."""
    assert [_seconds(t) for t in (0.01, 1.5, 1e9, math.inf)] == [1, 2, TIMEOUT_MOST, 0]


def test_everything_is_two_halves() -> None:
    """hash:net refuses a prefix length of 0."""
    assert [str(n) for n in _halves([net("0.0.0.0/0"), net("::/0"), net("192.0.2.0/24")])] == [
        "0.0.0.0/1",
        "128.0.0.0/1",
        "::/1",
        "8000::/1",
        "192.0.2.0/24",
    ]


def test_render_is_a_script() -> None:
    """Sets come before the rules that use them."""
    text = IptablesBackend(FirewallSettings()).render(
        [Element(net("192.0.2.1"), 9.2)], [net("192.0.2.2")]
    )
    assert text.startswith("#!/bin/sh\n")
    assert "add shield-hosts4 192.0.2.1 timeout 10\n" in text
    assert "add shield-allow4 192.0.2.2\n" in text
    assert (
        text.index("ipset -exist restore")
        < text.index("iptables-restore")
        < text.index("ip6tables-restore")
    )


@pytest.mark.system
def test_longest_timeout(wire: Wire) -> None:
    """A ban of a year is taken, with the longest time there is."""
    with wire.sensor.inside():
        backend = IptablesBackend(FirewallSettings(backend="iptables"))
        backend.open()
        add(backend, "192.0.2.1", timeout=365 * 86400)
        assert backend.active()[net("192.0.2.1")] > TIMEOUT_MOST - 10
        backend.close(remove=True)


@pytest.mark.system
def test_first_in_the_chain_again(wire: Wire) -> None:
    """A rule that others put before our jump is left in place, behind it."""
    with wire.sensor.inside():
        backend = IptablesBackend(FirewallSettings(backend="iptables"))
        backend.open()
        wire.sensor.run(
            "iptables", "-t", "raw", "-I", "PREROUTING", "1", "-s", "203.0.113.1", "-j", "ACCEPT"
        )
        assert not backend.healthy()
        backend.open()
        listed = wire.sensor.run("iptables", "-t", "raw", "-S", "PREROUTING").stdout.splitlines()
        assert listed[1:] == ["-A PREROUTING -j SHIELD", "-A PREROUTING -s 203.0.113.1/32 -j ACCEPT"]
        backend.close(remove=True)
        wire.sensor.run("iptables", "-t", "raw", "-F")
