"""Nodes of the peer carrier in memory: real cores, connections with delay, handshakes that take time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from shield.cluster.dialer import Attempt
from shield.cluster.link import Link
from shield.cluster.peer_core import PeerCore
from shield.cluster.settings import ClusterSettings
from shield.errors import RemoteError
from tests.cluster.fakenet import WALL, identity
from tests.simulation.feature import MapFeature
from tests.simulation.world import COSTS, Host, Machine, Places, World

__all__ = ["Mesh", "MeshNode", "wire_size"]

HELD = 0.2
"""Seconds after which bytes on a cut connection are tried again."""


def wire_size(octets: int) -> int:
    """Octets on an Ethernet of one piece: a TLS record for each 16 kB (22), Ethernet, IPv4 and TCP with
    time stamps for each segment (66), and an acknowledgement for each two of these."""
    records = -(-octets // 16384)
    segments = -(-(octets + 22 * records) // 1448)
    return octets + 22 * records + 66 * segments + 66 * -(-segments // 2)


@dataclass(slots=True, eq=False)
class Pipe:
    """A connection: who dialed, who answered, and the link that each has of it."""

    ends: tuple[MeshNode, MeshNode]
    links: list[Link | None] = field(default_factory=lambda: [None, None])
    last: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """When the last piece of each side arrives: order is kept."""
    held: tuple[list[bytes], list[bytes]] = field(default_factory=lambda: ([], []))
    broken: bool = False


class MeshNode:
    """One node."""

    def __init__(self, net: Mesh, number: int, host: Host) -> None:
        self.net, self.number, self.host = net, number, host
        self.name = f"n{number}"
        self.sent = self.on_wire = self.pieces = 0
        """Octets of messages, about what that is on a wire, and pieces written."""
        self.pipes: dict[Link, Pipe] = {}
        seeds = [("n0", 7170)] if number else []
        now = net.world.now
        self.core = PeerCore(
            identity(self.name),
            net.settings,
            now,
            WALL + now,
            addresses=[(self.name, 7170)],
            seeds=seeds,
        )
        self.feature = MapFeature(self.core)

    @property
    def members(self) -> int:
        """How many others it can reach."""
        return len(self.core.post.reachable())

    @property
    def frames(self) -> int:
        """Messages sent on connections that work."""
        return sum(link.stats.frames_out for link in self.core.links.up.values())

    def do(self, action: Callable[[float], None]) -> None:
        """Have something done in its event loop, and what follows from it sent."""

        def work() -> float:
            action(self.net.world.now)
            return self.flush(0.0)

        self.host.post(work)

    def look(self) -> float:
        """The timers, and whom to dial."""
        now = self.net.world.now
        self.core.handle_timer(now)
        for attempt in self.core.dialer.due(self.core.membership.members, self.core.links.peers(), now):
            self.net.dial(self, attempt)
        self.net.world.at(max(self.core.get_timer(), now + 0.01), lambda: self.host.post(self.look))
        return self.flush(COSTS.tick)

    def receive(self, pipe: Pipe, side: int, data: bytes) -> float:
        """A piece has come."""
        link = pipe.links[side]
        if pipe.broken or link is None:
            return 0.0
        before = link.stats.frames_in
        self.core.receive_data(link, data, self.net.world.now)
        spent = COSTS.read + COSTS.frame * (link.stats.frames_in - before) + COSTS.octet * len(data)
        return self.flush(spent)

    def flush(self, spent: float) -> float:
        """Send what waits, one connection after the other; gives the time spent altogether."""
        for link in self.core.links.ready():
            pipe = self.pipes.get(link)
            while pipe is not None and (data := link.data_to_send()):
                spent += COSTS.write + COSTS.octet_out * len(data)
                self.sent += len(data)
                self.on_wire += wire_size(len(data))
                self.pieces += 1
                self.net.carry(pipe, pipe.links.index(link), data, self.net.world.now + spent)
        for link in self.core.links.closing():
            if (pipe := self.pipes.get(link)) is not None:
                self.net.end(pipe, "closed")
        return spent


class Mesh:
    """All nodes. ``cores``: of one machine that all share; None: each has a core of its own."""

    def __init__(self, world: World, count: int, places: Places, cores: int | None = None) -> None:
        self.world, self.places = world, places
        self.settings = ClusterSettings()
        self.cut: Callable[[int, int], bool] = lambda _a, _b: False
        shared = Machine(cores) if cores else None
        self.nodes = [
            MeshNode(self, number, Host(world, shared or Machine(1))) for number in range(count)
        ]
        self._places = {node.name: node for node in self.nodes}

    def start(self) -> None:
        """All at once, but for a quarter of a second."""
        for node in self.nodes:
            begin = self.world.now + self.world.random.random() * 0.25
            self.world.at(begin, lambda node=node: node.host.post(node.look))

    def complete(self) -> bool:
        """Whether each has a connection to each."""
        return all(len(node.core.links.up) == len(self.nodes) - 1 for node in self.nodes)

    # --- connections ------------------------------------------------------------------------

    def dial(self, node: MeshNode, attempt: Attempt) -> None:
        """Begin a connection: one round trip of TCP, one of TLS 1.3, work on both sides."""
        other = self._places[attempt.address[0]]
        world = self.world

        def failed(problem: str) -> None:
            node.core.dialer.ended(attempt, None, problem, world.now)

        if other is node:
            node.core.dialer.ended(attempt, node.name, "self", world.now)
            return
        if self.cut(node.number, other.number):
            world.at(world.now + attempt.timeout, lambda: failed("no answer"))
            return
        pipe = Pipe((node, other))

        def greet() -> float:
            way = self._delay(other, node)
            world.at(world.now + COSTS.handshake + way, lambda: node.host.post(meet))
            return COSTS.handshake

        def meet() -> float:
            if self._open(pipe, 0, expected=attempt.name):
                pipe.last[0] = world.now + COSTS.handshake + self._delay(node, other)
                world.at(pipe.last[0], lambda: other.host.post(answer))
            node.core.dialer.ended(attempt, other.name, "", world.now)
            return node.flush(COSTS.handshake)

        def answer() -> float:
            if not pipe.broken and not self._open(pipe, 1):
                self.end(pipe, "refused")
            return other.flush(0.0)

        there = self._delay(node, other) * 2 + self._delay(other, node)
        world.at(world.now + there, lambda: other.host.post(greet))

    def _open(self, pipe: Pipe, side: int, expected: str | None = None) -> bool:
        node, peer = pipe.ends[side], pipe.ends[1 - side]
        try:
            link = node.core.connected(
                peer.core.identity.certificate, dialed=side == 0, now=self.world.now, expected=expected
            )
        except RemoteError:
            return False
        pipe.links[side] = link
        node.pipes[link] = pipe
        link.ready[link] = None  # its hello was queued before it had a pipe
        return True

    def end(self, pipe: Pipe, why: str) -> None:
        """Both ends notice, the other one when the news has come."""
        if pipe.broken:
            return
        pipe.broken = True
        for node, link in zip(pipe.ends, pipe.links, strict=True):
            if link is not None:
                node.pipes.pop(link, None)
                later = self.world.now + self._delay(pipe.ends[0], pipe.ends[1])
                self.world.at(later, lambda n=node, k=link: n.do(lambda now: n.core.closed(k, why, now)))

    # --- bytes ------------------------------------------------------------------------------

    def carry(self, pipe: Pipe, side: int, data: bytes, leaves: float) -> None:
        """Bring a piece to the other end, after those before it."""
        other = pipe.ends[1 - side]
        due = max(leaves + self._delay(pipe.ends[side], other), pipe.last[side])
        pipe.last[side] = due
        self.world.at(due, lambda: self._arrive(pipe, side, data))

    def _arrive(self, pipe: Pipe, side: int, data: bytes) -> None:
        held = pipe.held[side]
        held.append(data)
        if len(held) == 1:
            self._release(pipe, side)

    def _release(self, pipe: Pipe, side: int) -> None:
        """Hand over what has come, in order; TCP tries again while the network is cut."""
        node, other = pipe.ends[side], pipe.ends[1 - side]
        if pipe.broken:
            return
        if self.cut(node.number, other.number):
            self.world.at(self.world.now + HELD, lambda: self._release(pipe, side))
            return
        for data in pipe.held[side]:
            other.host.post(lambda data=data: other.receive(pipe, 1 - side, data))
        pipe.held[side].clear()

    def _delay(self, a: MeshNode, b: MeshNode) -> float:
        return self.places.delay(a.number, b.number, self.world.random)
