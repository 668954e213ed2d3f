"""Nodes of the NATS carrier in memory: real cores, and a server that hands on what they publish."""

from __future__ import annotations

from collections.abc import Callable

from shield.cluster.nats_core import NatsCore
from shield.cluster.nats_settings import NatsSettings
from shield.cluster.nats_wire import Place
from shield.cluster.settings import ClusterSettings
from tests.cluster.fakenet import WALL, identity
from tests.simulation.feature import MapFeature
from tests.simulation.mesh import wire_size
from tests.simulation.world import COSTS, Host, Machine, Places, World

__all__ = ["Star"]

SERVER = "nats://server:4222"
MAX_PAYLOAD = 1 << 20
"""Octets, as a server allows unless configured."""

SERVER_COST = 0.000002
"""Seconds of the server for one copy: nats-server hands on some hundred thousand a second."""

SIGNATURE = 0.00013
"""Seconds to look at a signature, which every parcel has; making one costs half of it."""


def protocol_size(subject: str, payload: bytes) -> int:
    """Octets of one message in the protocol of NATS: MSG, subject, number, length, payload."""
    return len(payload) + len(subject) + 15


class StarNode:
    """One node."""

    def __init__(self, net: Star, number: int, host: Host) -> None:
        self.net, self.number, self.host = net, number, host
        self.name = f"n{number}"
        self.sent = self.on_wire = self.pieces = 0
        """Octets that it publishes, about what these and those that come are on a wire, and how many."""
        now = net.world.now
        self.core = NatsCore(identity(self.name), net.settings, now, WALL + now)
        self.feature = MapFeature(self.core)
        self.place_of = {
            self.core.subjects.here: Place.HERE,
            self.core.subjects.all: Place.ALL,
            self.core.subjects.node(self.name): Place.NODE,
        }
        self.last = [0.0, 0.0]
        """When the last message arrives at the server, and here: order is kept."""

    @property
    def members(self) -> int:
        """How many others it can reach."""
        return len(self.core.post.reachable())

    def do(self, action: Callable[[float], None]) -> None:
        """Have something done in its event loop, and what follows from it sent."""

        def work() -> float:
            action(self.net.world.now)
            return self.flush(0.0)

        self.host.post(work)

    def begin(self) -> float:
        """The server is there."""
        self.core.up(SERVER, MAX_PAYLOAD, self.net.world.now)
        return self.look()

    def look(self) -> float:
        """The timers."""
        now = self.net.world.now
        self.core.handle_timer(now)
        self.net.world.at(max(self.core.get_timer(), now + 0.01), lambda: self.host.post(self.look))
        return self.flush(COSTS.tick)

    def receive(self, place: Place, payload: bytes) -> float:
        """Something was published that it has subscribed to."""
        self.on_wire += wire_size(len(payload) + 40)
        self.core.receive(place, payload, self.net.world.now)
        return self.flush(COSTS.read + COSTS.frame + SIGNATURE + COSTS.octet * len(payload))

    def flush(self, spent: float) -> float:
        """Publish what waits; gives the time spent altogether."""
        while (publication := self.core.next_publication()) is not None:
            subject, payload = publication
            size = protocol_size(subject, payload)
            spent += COSTS.write + SIGNATURE / 2 + COSTS.octet_out * size
            self.sent += size
            self.on_wire += wire_size(size)
            self.pieces += 1
            self.net.publish(self, subject, payload, self.net.world.now + spent)
        return spent


class Star:
    """All nodes and the server, which stands in the first region."""

    def __init__(self, world: World, count: int, places: Places, cores: int | None = None) -> None:
        self.world, self.places = world, places
        self.settings = ClusterSettings(carrier="nats", nats=NatsSettings(servers=(SERVER,)))
        self.cut: Callable[[int, int], bool] = lambda _a, _b: False
        shared = Machine(cores) if cores else None
        self.nodes = [
            StarNode(self, number, Host(world, shared or Machine(1))) for number in range(count)
        ]
        self._subscribed: dict[str, list[StarNode]] = {}
        for node in self.nodes:
            for subject in node.place_of:
                self._subscribed.setdefault(subject, []).append(node)
        self._free = 0.0

    def start(self) -> None:
        """All at once, but for a quarter of a second."""
        for node in self.nodes:
            begin = self.world.now + self.world.random.random() * 0.25
            self.world.at(begin, lambda node=node: node.host.post(node.begin))

    def complete(self) -> bool:
        """Whether all connections are there that shall be: each has one."""
        return True

    def publish(self, node: StarNode, subject: str, payload: bytes, leaves: float) -> None:
        """On its way to the server."""
        due = max(leaves + self._delay(node.number, 0), node.last[0])
        node.last[0] = due
        self.world.at(due, lambda: self._hand_on(node, subject, payload))

    def _hand_on(self, sender: StarNode, subject: str, payload: bytes) -> None:
        self._free = max(self._free, self.world.now)
        for node in self._subscribed.get(subject, ()):
            if node is sender or self.cut(sender.number, node.number):
                continue
            self._free += SERVER_COST
            node.last[1] = max(self._free + self._delay(0, node.number), node.last[1])
            place = node.place_of[subject]
            self.world.at(
                node.last[1],
                lambda node=node, place=place: node.host.post(lambda: node.receive(place, payload)),
            )

    def _delay(self, a: int, b: int) -> float:
        return self.places.delay(a, b, self.world.random)
