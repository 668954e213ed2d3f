"""Attacker, good host and sensor, and short ways to say things about them."""

from __future__ import annotations

import itertools
import time
from typing import Any

from shield.firewall.backend import Backend, Element
from shield.firewall.registry import make_backend
from shield.firewall.settings import FirewallSettings
from shield.net import Network
from tests.netlab import Lab, Udp

ATTACKER4, ATTACKER6 = "192.0.2.10", "2001:db8:0:1::10"
NEIGHBOUR4, NEIGHBOUR6 = "192.0.2.11", "2001:db8:0:1::11"
GOOD4, GOOD6 = "192.0.2.200", "2001:db8:0:2::20"
SENSOR4, SENSOR6 = "192.0.2.1", "2001:db8::1"

ALL = ("192.0.2.10", "2001:db8:0:1::10", "198.51.100.0/24", "2001:db8:7::/64", "255.255.255.0/24")
"""A host and a network of each kind, and the last network of all."""


def net(text: str) -> Network:
    return Network.parse(text)


def add(backend: Backend, *texts: str, timeout: float = 60.0) -> None:
    backend.commit([Element(net(text), timeout) for text in texts], [])


class Wire:
    """Attacker, good host and sensor; says whose packets reach a program on the sensor."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        attacker = lab.host(
            "attacker", f"{ATTACKER4}/24", f"{NEIGHBOUR4}/24", f"{ATTACKER6}/48", f"{NEIGHBOUR6}/48"
        )
        good = lab.host("good", f"{GOOD4}/24", f"{GOOD6}/48")
        self.sensor = lab.host("sensor", f"{SENSOR4}/24", f"{SENSOR6}/48")
        self.sockets = {a: attacker.udp(a) for a in (ATTACKER4, NEIGHBOUR4, ATTACKER6, NEIGHBOUR6)}
        self.sockets |= {a: good.udp(a) for a in (GOOD4, GOOD6)}
        self.sinks: dict[int, Udp] = {
            4: self.sensor.udp(SENSOR4, 5060),
            6: self.sensor.udp(SENSOR6, 5060),
        }
        self.other_port = self.sensor.udp(SENSOR4, 5080)
        self._numbers = itertools.count()
        for source in self.sockets:  # neighbours are resolved before anything is measured
            assert self.passes(source)

    def passes(self, source: str, count: int = 5) -> bool:
        """All or nothing of ``count`` packets must arrive; the last packet comes from a good host."""
        version = 6 if ":" in source else 4
        sensor, good = (SENSOR6, GOOD6) if version == 6 else (SENSOR4, GOOD4)
        name = next(self._numbers)
        sent = [f"{name} {source} {i}".encode() for i in range(count)]
        for payload in sent:
            self.sockets[source].send(payload, sensor, 5060)
        time.sleep(0.01)
        end = f"end {name}".encode()
        self.sockets[good].send(end, sensor, 5060)
        got = self.sinks[version].drain(until=end)
        assert got in ([], sent), f"some arrived: {got}"
        return got == sent


def kernel_backend(name: str, **options: Any) -> Backend:
    """Make a backend; open it inside a host."""
    return make_backend(FirewallSettings(backend=name, **options))
