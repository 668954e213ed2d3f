"""The text that nft loads."""

from __future__ import annotations

import math

import pytest

from shield.firewall.backend import Element
from shield.firewall.nft_ruleset import render, setup
from shield.firewall.settings import FirewallSettings
from tests.firewall.wire import Wire, net


def test_setup_never_flushes() -> None:
    """Set-up takes out nothing but the chain, which it makes again: elements stay."""
    text = setup(FirewallSettings())
    flushed = [line.split()[-1] for line in text.splitlines() if line.startswith("flush")]
    assert flushed == ["rates4", "rates6"], "measured rates are no elements of ours"
    assert [line for line in text.splitlines() if line.startswith("delete")] == [
        "delete chain inet shield early"
    ]
    assert text.index("delete chain") < text.index("hook prerouting priority -450")


def test_allowed_pass_first() -> None:
    """The rules for allowed networks stand before every drop."""
    rules = [line for line in setup(FirewallSettings()).splitlines() if line.startswith("add rule")]
    assert ["accept" in rule for rule in rules] == [True, True, *[False] * 8]


def test_ports() -> None:
    """With ports only these are dropped, for every kind of element; a limit has ports of its own."""
    text = setup(FirewallSettings(ports=(5060, 5061), limit_ports=(5062,)))
    assert text.count("meta l4proto { tcp, udp } th dport { 5060, 5061 } counter") == 6
    assert text.count("meta l4proto { tcp, udp } th dport { 5062 } update @rates") == 2


def test_render_covers() -> None:
    """Networks inside others are left out; times are milliseconds; for ever has none."""
    elements = [
        Element(net(t), s)
        for t, s in (("192.0.2.0/24", 9.0), ("192.0.2.0/25", 5.0), ("2001:db8::1", math.inf))
    ]
    text = render(FirewallSettings(), elements, [net("192.0.2.9"), net("192.0.2.8/29")])
    assert "nets4 { 192.0.2.0/24 timeout 9000ms }" in text
    assert "192.0.2.0/25" not in text
    assert "hosts6 { 2001:db8::1 }" in text
    assert "allow4 { 192.0.2.8/29 }" in text


@pytest.mark.system
@pytest.mark.parametrize(
    "settings", [FirewallSettings(), FirewallSettings(table="other", ports=(5060,), priority=-310)]
)
def test_nft_takes_it(wire: Wire, settings: FirewallSettings) -> None:
    """nft itself finds no fault in either text."""
    for text in (setup(settings), render(settings, [Element(net("2001:db8::/64"), 3.0)], [])):
        wire.sensor.run("nft", "-c", "-f", "-", stdin=text)
