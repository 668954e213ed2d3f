"""The guard: what is skipped, and how skipped packets are counted."""

from __future__ import annotations

import pytest

from shield.blocklist import guard as module
from shield.blocklist.guard import Guard
from shield.net import Network, Port, pack

HOST = pack("192.0.2.1")


def test_hosts_and_networks_are_covered_until_discarded() -> None:
    """Both kinds, and the length counts both."""
    guard = Guard(lambda _address: None)
    for text in ("192.0.2.1", "198.51.100.0/24", "2001:db8::/48"):
        network = Network.parse(text)
        assert network not in guard
        guard.insert(network)
        assert network in guard
    assert len(guard) == 3
    assert guard.covers(HOST)
    assert guard.covers(pack("198.51.100.77"))
    assert guard.covers(pack("2001:db8::1"))
    assert not guard.covers(pack("192.0.2.2"))
    for text in ("192.0.2.1", "198.51.100.0/24"):
        guard.discard(Network.parse(text))
    assert not guard.covers(HOST)
    assert not guard.covers(pack("198.51.100.77"))
    assert "192.0.2.1" not in guard


def test_an_allowed_address_in_a_banned_network_passes() -> None:
    """The allowlist is asked only then: the usual packet does not pay for it."""
    asked: list[bytes] = []

    def allowed(address: bytes) -> bool:
        asked.append(address)
        return address == HOST

    guard = Guard(allowed)
    guard.insert(Network.parse("203.0.113.5"))
    assert guard.covers(pack("203.0.113.5"))
    assert not guard.covers(HOST)
    assert asked == []
    guard.insert(Network.parse("192.0.2.0/24"))
    assert not guard.covers(HOST)
    assert guard.covers(pack("192.0.2.2"))
    assert asked == [HOST, pack("192.0.2.2")]


def test_hits_are_counted_by_address_until_the_ban_ends() -> None:
    """The time of the last one is known; the total goes on."""
    guard = Guard(lambda _address: None)
    guard.insert(Network.host(HOST))
    assert guard.last_hit(HOST) is None
    for time in (5.0, 6.0, 7.5):
        guard.hit(HOST, time)
    assert (guard.hits_of(HOST), guard.last_hit(HOST)) == (3, 7.5)
    guard.discard(Network.host(HOST))
    assert (guard.hits_of(HOST), guard.last_hit(HOST)) == (0, None)
    assert guard.hits == 3


def test_counters_are_bounded_and_the_active_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of addresses makes two generations at most; who keeps knocking keeps the count."""
    monkeypatch.setattr(module, "MAX_COUNTED", 10)
    guard = Guard(lambda _address: None)
    for n in range(1000):
        guard.hit(n.to_bytes(4, "big"), float(n))
        if n % 5 == 0:
            guard.hit(HOST, float(n))
        assert len(guard._newer) + len(guard._older) <= 20
    assert guard.hits_of(HOST) == 200
    assert guard.hits_of(bytes(4)) == 0
    assert guard.hits == 1200


def test_a_limited_address_is_read_but_for_its_ports() -> None:
    """A later limit takes the place of the earlier one, a ban that of both; the end leaves nothing."""
    guard = Guard(lambda _address: None)
    network = Network.host(HOST)
    guard.limit(HOST, (Port.parse("udp/1"), Port.parse("tcp/2")))
    assert network in guard
    assert (guard.covers(HOST), len(guard)) == (False, 0)
    assert guard.ports == {(HOST, 17, 1), (HOST, 6, 2)}
    guard.limit(HOST, (Port.parse("udp/3"),))
    assert (guard.limited, guard.ports) == ({HOST: (Port(17, 3),)}, {(HOST, 17, 3)})
    guard.insert(network)
    assert (guard.covers(HOST), guard.limited, guard.ports) == (True, {}, set())
    guard.limit(HOST, ())
    assert (guard.covers(HOST), network in guard, guard.ports) == (False, True, set())
    guard.discard(network)
    assert network not in guard


def test_networks_are_asked_for_only_while_there_are_any() -> None:
    """The usual packet pays one test."""
    guard = Guard(lambda _address: None)
    assert not guard.wide
    guard.insert(Network.parse("198.51.100.0/24"))
    assert guard.wide
    guard.discard(Network.parse("198.51.100.0/24"))
    assert not guard.wide
