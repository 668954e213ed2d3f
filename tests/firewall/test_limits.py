"""Limits in the kernel: what is beyond the rate is dropped, or what comes from one port."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest

from shield.blocklist.decision import LIMIT
from shield.firewall.backend import Backend, Element
from shield.firewall.limits import Limit, limits_of
from shield.net import Port, pack
from tests.firewall.fake import decision
from tests.firewall.wire import (
    ATTACKER4,
    ATTACKER6,
    GOOD4,
    GOOD6,
    NEIGHBOUR4,
    NEIGHBOUR6,
    SENSOR4,
    SENSOR6,
    Wire,
    add,
    kernel_backend,
    net,
)

RATE, BURST = 5, 20
MANY = 200
"""Packets of one attempt, sent as fast as they go."""


def test_a_limit_is_no_ban() -> None:
    """Keys of bans and limits of one address are never equal, and each names itself."""
    wide, narrow = Limit(pack("192.0.2.1")), Limit(pack("192.0.2.1"), 17, 40_001)
    assert len({net("192.0.2.1"), wide, narrow}) == 3
    assert [str(one) for one in (wide, narrow)] == ["limit 192.0.2.1", "limit 192.0.2.1 udp/40001"]


def test_a_decision_becomes_one_element_for_each_port() -> None:
    """Without ports it is one of the whole address."""
    limit = decision("192.0.2.1")._replace(type=LIMIT)
    assert limits_of(limit) == (Limit(pack("192.0.2.1")),)
    ports = (Port.parse("udp/5071"), Port.parse("tcp/40001"))
    assert limits_of(limit._replace(ports=ports)) == (
        Limit(pack("192.0.2.1"), 17, 5071),
        Limit(pack("192.0.2.1"), 6, 40_001),
    )


@pytest.fixture(params=["nftables", "iptables"])
def limiter(request: pytest.FixtureRequest, wire: Wire) -> Iterator[Backend]:
    """A backend with a small rate for the SIP port, open in the sensor's namespace."""
    with wire.sensor.inside():
        made = kernel_backend(request.param, limit_rate=RATE, limit_burst=BURST, limit_ports=(5060,))
        made.open()
        try:
            yield made
        finally:
            made.close(remove=True)


def flood(wire: Wire, source: str, port: int = 5060) -> tuple[int, float]:
    """Send MANY packets; how many arrived, and the seconds that it took."""
    sensor, good = (SENSOR6, GOOD6) if ":" in source else (SENSOR4, GOOD4)
    sink = wire.other_port if port == 5080 else wire.sinks[6 if ":" in source else 4]
    begun = time.monotonic()
    for number in range(MANY):
        wire.sockets[source].send(b"%d" % number, sensor, port)
    took = time.monotonic() - begun
    wire.sockets[good].send(b"end of flood", sensor, port)
    return len(sink.drain(until=b"end of flood")), took


@pytest.mark.system
@pytest.mark.parametrize(("source", "other"), [(ATTACKER4, NEIGHBOUR4), (ATTACKER6, NEIGHBOUR6)])
def test_beyond_the_rate_packets_are_dropped(
    limiter: Backend, wire: Wire, source: str, other: str
) -> None:
    """The burst and what the rate allows arrive; another address is not touched; then it is over."""
    before = limiter.dropped()
    limiter.commit([Element(Limit(pack(source)), 60.0)], [])
    arrived, took = flood(wire, source)
    assert BURST - 1 <= arrived <= BURST + RATE * took + 1
    assert limiter.dropped() - before == MANY - arrived
    assert flood(wire, other)[0] == MANY
    limiter.commit([], [Limit(pack(source))])
    assert flood(wire, source)[0] == MANY


@pytest.mark.system
def test_the_rate_goes_on(limiter: Backend, wire: Wire) -> None:
    """A source that stays below the rate loses nothing, however long it goes on after its burst."""
    limiter.commit([Element(Limit(pack(ATTACKER4)), 60.0)], [])
    flood(wire, ATTACKER4)
    time.sleep(1.0)
    assert wire.passes(ATTACKER4, RATE - 1)


@pytest.mark.system
def test_other_ports_are_not_limited(limiter: Backend, wire: Wire) -> None:
    """The rate is about SIP: the media of calls goes to other ports and passes."""
    limiter.commit([Element(Limit(pack(ATTACKER4)), 60.0)], [])
    assert flood(wire, ATTACKER4, 5080)[0] == MANY


@pytest.mark.system
@pytest.mark.parametrize("source", [ATTACKER4, ATTACKER6])
def test_one_port_of_an_address_is_dropped(limiter: Backend, wire: Wire, source: str) -> None:
    """All from that port is dropped, all from another port of the same address passes."""
    culprit = wire.sockets[source].socket.getsockname()[1]
    limits = [Limit(pack(source), 17, culprit), Limit(pack(source), 6, culprit + 1)]
    limiter.commit([Element(limit, 60.0) for limit in limits], [])
    assert flood(wire, source)[0] == 0
    neighbour = wire.lab.hosts["attacker"].udp(source)
    sensor, good = (SENSOR6, GOOD6) if ":" in source else (SENSOR4, GOOD4)
    for number in range(MANY):
        neighbour.send(b"%d" % number, sensor, 5060)
    wire.sockets[good].send(b"end", sensor, 5060)
    assert len(wire.sinks[6 if ":" in source else 4].drain(until=b"end")) == MANY
    limiter.commit([], limits)
    assert flood(wire, source)[0] == MANY


@pytest.mark.system
def test_allowed_is_not_limited(limiter: Backend, wire: Wire) -> None:
    """The allowlist wins over a limit too."""
    culprit = wire.sockets[ATTACKER4].socket.getsockname()[1]
    keys = [Limit(pack(ATTACKER4)), Limit(pack(ATTACKER4), 17, culprit)]
    limiter.commit([Element(key, 60.0) for key in keys], [])
    limiter.allow([net(ATTACKER4)])
    assert flood(wire, ATTACKER4)[0] == MANY


@pytest.mark.system
def test_limits_are_held_like_bans(backend: Backend) -> None:
    """Every backend puts them in, tells them with their time, renews them and takes them out."""
    keys = [
        Limit(pack(address), *port)
        for address in ("192.0.2.1", "2001:db8::1")
        for port in ((), (17, 40_001), (6, 5061))
    ]
    add(backend, "192.0.2.1", "198.51.100.0/24")
    backend.commit([Element(key, 60.0) for key in keys], [])
    active = backend.active()
    assert active.keys() == {*keys, net("192.0.2.1"), net("198.51.100.0/24")}
    assert all(50 < left <= 60 for left in active.values())
    backend.commit([Element(key, 600.0) for key in keys], [])
    assert all(590 < backend.active()[key] <= 600 for key in keys)
    absent = Limit(pack("192.0.2.1"), 17, 40_002)
    assert backend.missing([*keys, absent]) == [absent]
    backend.commit([], [*keys, absent])
    assert backend.active().keys() == {net("192.0.2.1"), net("198.51.100.0/24")}
    backend.commit([Element(keys[0], math.inf)], [])
    assert backend.active()[keys[0]] == math.inf


@pytest.mark.system
def test_another_rate_holds_at_once(wire: Wire) -> None:
    """A start with another rate measures anew, with the rules of the run before still in place."""
    for name in ("nftables", "iptables"):
        with wire.sensor.inside():
            first = kernel_backend(name, limit_rate=1, limit_burst=1)
            first.open()
            try:
                first.commit([Element(Limit(pack(ATTACKER4)), 60.0)], [])
                assert flood(wire, ATTACKER4)[0] <= 2
                first.close()
                second = kernel_backend(name, limit_rate=1000, limit_burst=10_000)
                second.open()
                assert second.healthy()
                assert flood(wire, ATTACKER4)[0] == MANY
                second.close()
            finally:
                first.close(remove=True)


@pytest.mark.system
def test_rendered_limits_load(limiter: Backend, wire: Wire) -> None:
    """The text of ``shield firewall render`` limits as well."""
    culprit = wire.sockets[NEIGHBOUR4].socket.getsockname()[1]
    script = limiter.render(
        [Element(Limit(pack(ATTACKER4)), 90.0), Element(Limit(pack(NEIGHBOUR4), 17, culprit), 90.0)]
    )
    limiter.close(remove=True)
    loader = ("nft", "-f", "-") if limiter.name == "nftables" else ("sh", "-s")
    wire.sensor.run(*loader, stdin=script)
    assert flood(wire, ATTACKER4)[0] < MANY / 2
    assert flood(wire, NEIGHBOUR4)[0] == 0
    limiter.open()
