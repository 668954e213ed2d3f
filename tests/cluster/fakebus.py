"""A NATS server in memory: cores that publish to subjects. Time is a number that the test moves."""

from __future__ import annotations

from collections import Counter
from typing import Any

from shield.cluster.nats_core import NatsCore
from shield.cluster.nats_settings import NatsSettings
from shield.cluster.nats_wire import Place
from shield.cluster.settings import ClusterSettings
from tests.cluster.fakenet import WALL, Recorder, identity

STEP = 0.05
SERVER = "nats://bus:4222"


class BusNode:
    """A core with its place at the bus."""

    def __init__(self, bus: FakeBus, name: str) -> None:
        self.bus, self.name = bus, name
        self.stopped = False
        self.start()

    def start(self) -> None:
        """Begin anew, as after a restart."""
        self.stopped = False
        self.core = NatsCore(identity(self.name), self.bus.settings, self.bus.now, WALL + self.bus.now)
        self.recorder = Recorder()
        self.recorder.outlet = self.core.add(self.recorder)
        self.places = {
            self.core.subjects.here: Place.HERE,
            self.core.subjects.all: Place.ALL,
            self.core.subjects.node(self.name): Place.NODE,
        }
        if self.bus.running:
            self.core.up(SERVER, self.bus.max_payload, self.bus.now)


class FakeBus:
    """Nodes by name. ``published`` holds everything, ``kinds`` counts publications by last word."""

    def __init__(self, *names: str, max_payload: int = 1 << 20, **settings: Any) -> None:
        self.now = 100.0
        self.running = True
        self.max_payload = max_payload
        self.settings = ClusterSettings(
            carrier="nats",
            dead_after=1.0,
            nats=NatsSettings(servers=(SERVER,), heartbeat=1.0),
            **settings,
        )
        self.published: list[tuple[str, bytes]] = []
        self.kinds: Counter[str] = Counter()
        self.nodes = {name: BusNode(self, name) for name in names}

    def __getitem__(self, name: str) -> BusNode:
        return self.nodes[name]

    def add(self, name: str) -> BusNode:
        """One more node."""
        self.nodes[name] = BusNode(self, name)
        return self.nodes[name]

    def stop(self) -> None:
        """The server goes down."""
        self.running = False
        for node in self.nodes.values():
            node.core.down(SERVER, "gone", self.now)

    def start(self) -> None:
        """It comes back."""
        self.running = True
        for node in self.nodes.values():
            node.core.up(SERVER, self.max_payload, self.now)

    def publish(self, subject: str, payload: bytes, by: BusNode | None = None) -> None:
        """Hand something to all who have subscribed, but not to its sender."""
        for node in self.nodes.values():
            place = node.places.get(subject)
            if place is not None and node is not by and not node.stopped:
                node.core.receive(place, payload, self.now)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now = min(end, self.now + STEP)
            for node in self.nodes.values():
                if not node.stopped and self.now >= node.core.get_timer():
                    node.core.handle_timer(self.now)
            self.pump()

    def pump(self) -> None:
        """Deliver what waits, and what follows from it."""
        busy = self.running
        while busy:
            busy = False
            for node in self.nodes.values():
                while not node.stopped and (publication := node.core.next_publication()) is not None:
                    busy = True
                    subject, payload = publication
                    self.published.append(publication)
                    self.kinds["node" if ".node." in subject else subject.rpartition(".")[2]] += 1
                    self.publish(subject, payload, by=node)

    def settle(self) -> None:
        """Everybody sees everybody."""
        begin = self.now
        while not all(self.sees(name) == set(self.nodes) - {name} for name in self.nodes):
            assert self.now - begin < 10
            self.run(STEP)

    def sees(self, name: str) -> set[str]:
        """Whom a node can reach."""
        return set(self[name].core.post.reachable())
