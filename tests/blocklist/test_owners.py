"""Owners: counts of other nodes' bans and of the packets that they saved stay exact."""

from __future__ import annotations

from shield.blocklist.guard import Guard
from shield.blocklist.owners import Owners
from shield.net import Network, pack

HOST, NET = Network.parse("192.0.2.1"), Network.parse("198.51.100.0/24")


def test_the_last_who_decides_owns() -> None:
    """One owner at a time; a local decision leaves none; ending twice is no harm."""
    owners = Owners(["here"])
    for network, count in ((HOST, owners.hosts), (NET, owners.networks)):
        owners.begin(network, "a")
        owners.begin(network, "a")
        owners.begin(network, "b")
        assert (count["a"], count["b"], owners.of(network)) == (0, 1, "b")
        owners.begin(network, "here")
        assert (count["b"], owners.of(network)) == (0, None)
        owners.begin(network, "a")
        owners.end(network)
        owners.end(network)
        assert count["a"] == 0


def test_unproven_bans_are_counted_apart() -> None:
    """A ban changes its grade and its owner in any order; there is one owner at a time."""
    owners = Owners(["here"])
    for origin, proven in (("a", False), ("a", False), ("a", True), ("b", False), ("b", True)):
        owners.begin(HOST, origin, proven=proven)
        assert owners.of(HOST) == origin
        counted = owners.hosts if proven else owners.unproven
        assert (counted[origin], owners.hosts.total() + owners.unproven.total()) == (1, 1)
    owners.begin(HOST, "b", proven=False)
    owners.hit(HOST.address)
    owners.begin(HOST, "here", proven=False)
    assert (owners.of(HOST), owners.unproven["b"], owners.saved["b"]) == (None, 0, 1)


def test_operators_are_local() -> None:
    """What was banned or imported by hand on this node belongs to no other."""
    owners = Owners(["here"])
    assert all(owners.is_local(origin) for origin in ("here", "cli", "import"))
    assert not owners.is_local("a")


def test_saved_packets_are_counted_for_the_node_that_decided() -> None:
    """Of hosts and of addresses inside networks; those of own bans are not."""
    guard = Guard(lambda _address: None)
    guard.owners = owners = Owners(["here"])
    for network, origin in ((HOST, "a"), (NET, "b"), (Network.parse("192.0.2.2"), "here")):
        guard.insert(network)
        owners.begin(network, origin)
    for text in ("192.0.2.1", "192.0.2.1", "198.51.100.77", "192.0.2.2"):
        guard.hit(pack(text), 1.0)
    assert (owners.saved, guard.hits) == ({"a": 2, "b": 1}, 4)
    guard.discard(NET)
    assert owners.networks["b"] == 0
