"""shield.detect.prefixes: which networks hold somebody good."""

from __future__ import annotations

import sys

from shield.detect.prefixes import Neighbours, prefix
from shield.net import pack


def test_a_good_deed_speaks_for_the_whole_network() -> None:
    """/24 and /64, and nobody beyond."""
    near = Neighbours()
    near.good(pack("192.0.2.9"))
    near.good(pack("2001:db8::9"))
    assert not near.clean(pack("192.0.2.200"))
    assert not near.clean(pack("2001:db8::ffff:1"))
    assert near.clean(pack("192.0.3.9"))
    assert near.clean(pack("2001:db8:0:1::9"))


def test_good_deeds_are_forgotten() -> None:
    """After one period at the earliest, after two at the latest."""
    near = Neighbours()
    near.tick(0.0, 100.0)
    near.good(pack("192.0.2.9"))
    near.tick(100.0, 100.0)
    assert not near.clean(pack("192.0.2.9"))
    near.tick(200.0, 100.0)
    near.tick(300.0, 100.0)
    assert near.clean(pack("192.0.2.9"))


def test_it_takes_the_same_memory_for_a_million_networks() -> None:
    """Two tables of bits; and few networks share a bit while there are not too many."""
    near = Neighbours()
    size = sys.getsizeof(near._young)
    for number in range(20_000):
        near.good((number << 8 | 0x0A000000).to_bytes(4, "big"))
    assert sys.getsizeof(near._young) == size < 140_000
    others = sum(
        not near.clean((number << 8 | 0x20000000).to_bytes(4, "big")) for number in range(20_000)
    )
    assert others < 20_000 * 0.05


def test_the_prefix_of_an_address() -> None:
    """What a rule groups by as ``network``."""
    assert prefix(pack("192.0.2.9")) == bytes((192, 0, 2))
    assert prefix(pack("2001:db8::9")) == pack("2001:db8::")[:8]
