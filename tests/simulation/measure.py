"""What is measured of a network of nodes, simulated or real: the same figures, by the same names."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from tests.simulation.feature import MapFeature
from tests.simulation.world import Host, World

__all__ = ["Figures", "Network", "measure", "partition"]

IDLE_SECONDS = 10.0
SINGLE = 10
"""Decisions one after the other, of different nodes; the median counts."""
MANY = 1000
LIMIT = 120.0
"""Simulated seconds after which something does not happen any more."""


@dataclass(slots=True)
class Figures:
    """Of one cluster. Octets are those of messages; ``wire`` adds TLS, TCP, IP and Ethernet, about."""

    nodes: int
    links: int
    """Connections of one node."""
    form_s: float
    """From the start of all until each can reach each."""
    idle_out: float
    """Octets a second that one node sends while nothing happens."""
    idle_wire: float
    idle_pieces: float
    """Pieces that it writes in a second."""
    idle_cpu: float
    """Percent of a core; by the costs of ``world``."""
    one_ms: float
    """From a decision until the last node has it."""
    one_out: float
    """Octets that all nodes together send for it, with its alert, divided by their number."""
    many_s: float
    """The same for a thousand decisions of one node."""
    many_out: float
    """Octets for one of the thousand, sent by all together and divided by the number of nodes."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Node(Protocol):
    """A node of a simulated network."""

    name: str
    number: int
    sent: int
    on_wire: int
    pieces: int
    host: Host
    feature: MapFeature

    @property
    def members(self) -> int:
        """How many others it can reach."""
        ...

    def do(self, action: Callable[[float], None]) -> None:
        """Have something done in its event loop, and what follows from it sent."""
        ...


class Network(Protocol):
    """A simulated network."""

    world: World
    cut: Callable[[int, int], bool]

    @property
    def nodes(self) -> list[Any]:
        """All of them."""
        ...

    def start(self) -> None:
        """Start all."""
        ...

    def complete(self) -> bool:
        """Whether all connections are there that shall be."""
        ...


def measure(net: Network, links: int) -> Figures:
    """Start the nodes, let them rest, decide."""
    world, nodes, count = net.world, net.nodes, len(net.nodes)
    net.start()
    formed = _wait(net, lambda: all(node.members == count - 1 for node in nodes))
    _wait(net, net.complete)
    world.run(5.0)  # what is told of the last connections
    before = _sums(nodes)
    world.run(IDLE_SECONDS)
    out, wire, pieces, busy = (
        (after - earlier) / count / IDLE_SECONDS
        for earlier, after in zip(before, _sums(nodes), strict=True)
    )
    singles = [_decide(net, nodes[number * 7 % count], 1, number) for number in range(SINGLE)]
    many_s, many_out = _decide(net, nodes[count // 2], MANY, SINGLE)
    return Figures(
        count, links, round(formed, 3), round(out, 1), round(wire, 1), round(pieces, 2),
        round(100 * busy, 3), round(statistics.median(took for took, _ in singles) * 1000, 2),
        round(statistics.median(sent for _, sent in singles), 1),
        round(many_s, 3), round(many_out / MANY, 1),
    )  # fmt: skip


def _wait(net: Network, done: Callable[[], bool]) -> float:
    """Look every few milliseconds whether something is so; gives when it was."""
    end = net.world.now + LIMIT
    while not done():
        if net.world.now > end:
            raise TimeoutError(f"not within {LIMIT:g} simulated seconds")
        net.world.run(0.01)
    return net.world.now


def _sums(nodes: list[Node]) -> tuple[float, ...]:
    each = [(node.sent, node.on_wire, node.pieces, node.host.busy) for node in nodes]
    return tuple(sum(values) for values in zip(*each, strict=True))


def _decide(net: Network, decider: Node, count: int, first: int) -> tuple[float, float]:
    """Seconds until all have it, and octets that were sent for it by each node on the average."""
    world, nodes = net.world, net.nodes
    world.run(1.0 + world.random.random())
    reached: dict[str, float] = {}

    def heard(node: Node, records: int) -> None:
        if records >= first + count:
            reached.setdefault(node.name, world.now)

    for node in nodes:
        node.feature.heard = lambda records, node=node: heard(node, records)
    start, before = world.now, _sums(nodes)[0]
    decider.do(lambda now: decider.feature.decide(count, now, first))
    world.until(lambda: len(reached) == len(nodes) - 1, 60)
    sent = (_sums(nodes)[0] - before) / len(nodes)
    return max(reached.values()) - start, sent


def partition(net: Network, seconds: float, each: int) -> dict[str, float]:
    """Cut a network that works in two, decide on both sides, heal it; seconds until all are equal."""
    world, nodes = net.world, net.nodes
    half, records = len(nodes) // 2, len(nodes[0].feature.table)
    net.cut = lambda a, b: (a < half) != (b < half)
    world.run(seconds / 2)
    nodes[0].do(lambda now: nodes[0].feature.decide(each, now, 10_000))
    nodes[-1].do(lambda now: nodes[-1].feature.decide(each, now, 20_000))
    world.run(seconds / 2)
    apart = {node.members for node in nodes}
    net.cut = lambda _a, _b: False
    healed = world.now
    _wait(net, lambda: all(len(node.feature.table) == records + 2 * each for node in nodes))
    return {
        "cut_seconds": seconds,
        "changes_each_side": each,
        "most_seen_meanwhile": max(apart),
        "seconds_to_equal": round(world.now - healed, 2),
    }
