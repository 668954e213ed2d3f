"""A net of replicated maps without a wire: loses, delays, reorders, parts and heals, by a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from random import Random
from typing import Any

from shield.cluster.capability import Incoming, SendResult
from shield.cluster.entry import Applied, Limits, Row
from shield.cluster.persistence import changes, restore
from shield.cluster.replicated import ReplicatedMap
from shield.cluster.sync import Sync
from shield.errors import RemoteError
from shield.wire import pack_value, unpack_value

EPOCH = 1_700_000_000.0
TICK = 0.5
PING = 1.0


class Node:
    """One node: a map, its sync, a journal, and clocks of its own."""

    def __init__(self, net: Net, name: str, limits: Limits) -> None:
        self.net, self.name, self.limits = net, name, limits
        self.offset = net.random.uniform(0, 1e5)
        self.wall_offset = EPOCH + net.random.uniform(-5, 5) * 3600
        self.rows: dict[bytes, Row] = {}
        self.applied: list[Applied] = []
        self.lives = 0
        self.boot({})

    def boot(self, rows: dict[bytes, Row]) -> None:
        """Start with what a journal holds."""
        self.lives += 1
        self.rows = dict(sorted(rows.items()))
        self.table = ReplicatedMap(
            "test", self.name, b"secret " + self.name.encode(), self.limits, journaled=True
        )
        restore(self.table, self.rows.values(), self.now, self.wall)
        self.sync = Sync(self.table, NodeOutlet(self), self.on_applied)

    @property
    def now(self) -> float:
        return self.net.time + self.offset

    @property
    def wall(self) -> float:
        return self.net.time + self.wall_offset

    def clock_stamp(self) -> int:
        """Give a stamp that is newer than all that this node has seen."""
        return self.table.clock.next(self.wall, max(one.top for one in self.table.accounts()))

    def on_applied(
        self, origin: str, applied: list[Applied], extra: Any, now: float, wall: float
    ) -> None:
        self.applied += applied

    def put(self, key: bytes, value: bytes, lifetime: float = 1000) -> None:
        assert self.table.put(key, value, lifetime, self.now, self.wall)
        self.sync.push([key], self.now)

    def remove(self, key: bytes) -> bool:
        if self.table.remove(key, self.now, self.wall) is None:
            return False
        self.sync.push([key], self.now)
        return True

    def store(self) -> None:
        rows, gone = changes(self.table, self.now, self.wall)
        self.rows.update({row[0]: row for row in rows})
        for key in gone:
            self.rows.pop(key, None)

    def contents(self) -> dict[bytes, tuple[int, str, bytes | None]]:
        """What it holds, without ends."""
        found = {}
        for bucket in self.table._buckets:
            for key, (stamp, origin, _, value, _) in bucket.items():
                found[key] = (stamp, origin, value)
        return found


class NodeOutlet:
    """What the core would give to the sync of a node."""

    def __init__(self, node: Node) -> None:
        self.node, self.life = node, node.lives

    @property
    def name(self) -> str:
        return self.node.name

    def send(self, node: str, body: Any, now: float) -> SendResult:
        if not self.reachable(node):
            return SendResult.UNREACHABLE
        self.node.net.post(self.node.name, node, "message", pack_value(body))
        return SendResult.SENT

    def broadcast(self, body: Any, now: float, *, include_self: bool = False) -> SendResult:
        results = [self.send(name, body, now) for name in self.members()]
        return max(results, default=SendResult.UNREACHABLE)

    def reply(self, incoming: Incoming, body: Any, now: float) -> SendResult:
        raise NotImplementedError

    def fail(self, incoming: Incoming, why: str, now: float) -> SendResult:
        raise NotImplementedError

    def reachable(self, node: str) -> bool:
        return self.node.net.connected(self.node.name, node)

    def members(self) -> tuple[str, ...]:
        return tuple(name for name in self.node.net.nodes if self.reachable(name))

    def knows(self, node: str) -> bool:
        return node in self.node.net.known


class Net:
    """Nodes and the messages between them. ``time`` is seconds since the start."""

    def __init__(self, names: Iterable[str], seed: int = 0, limits: Limits | None = None) -> None:
        self.random = Random(seed)
        self.time = 0.0
        self.loss = 0.0
        self.delay = 0.005
        self.reorder = False
        self.pings = True
        self.cut: set[frozenset[str]] = set()
        self.down: set[str] = set()
        self.known: set[str] = set()
        """Names of members."""
        self.errors: list[tuple[str, str]] = []
        self.sent: list[tuple[str, str, str, int]] = []
        """From, to, first word or ``report``, size of everything sent."""
        self.tamper: Callable[[str, str, Any], Any] = lambda source, target, body: body
        self._wire: list[tuple[float, int, str, str, str, bytes]] = []
        self._count = 0
        self._last: dict[tuple[str, str], float] = {}
        self.nodes: dict[str, Node] = {}
        for name in names:
            self.add(name, limits)

    def add(self, name: str, limits: Limits | None = None) -> Node:
        self.known.add(name)
        self.nodes[name] = Node(self, name, limits or Limits())
        return self.nodes[name]

    def connected(self, a: str, b: str) -> bool:
        known = a != b and a in self.nodes and b in self.nodes
        return known and not {a, b} & self.down and frozenset((a, b)) not in self.cut

    def post(self, source: str, target: str, kind: str, data: bytes) -> None:
        word = str(unpack_value(data)[0]) if kind == "message" else kind
        self.sent.append((source, target, word, len(data)))
        if self.random.random() < self.loss:
            return
        when = self.time + self.random.uniform(0.5, 1) * self.delay
        if not self.reorder:
            when = self._last[source, target] = max(when, self._last.get((source, target), 0))
        self._count += 1
        heappush(self._wire, (when, self._count, source, target, kind, data))
        if self.reorder and self.random.random() < 0.1:
            heappush(self._wire, (when + self.delay, -self._count, source, target, kind, data))

    def run(self, seconds: float) -> None:
        """Let time pass: messages arrive, every node ticks, expires, stores and pings."""
        end = self.time + seconds
        while self.time < end:
            step = min(self.time + TICK, end)
            while self._wire and self._wire[0][0] <= step:
                when, _, source, target, kind, data = heappop(self._wire)
                self.time = max(self.time, when)
                if self.connected(source, target):
                    self._deliver(self.nodes[target], source, kind, data)
            self.time = step
            for name, node in self.nodes.items():
                if name not in self.down:
                    node.table.expire(node.now, 10_000)
                    node.sync.tick(node.now)
                    node.store()
            if self.pings and int(self.time / PING) != int((self.time - TICK) / PING):
                for name, node in self.nodes.items():
                    for other in self.nodes:
                        if self.connected(name, other):
                            self.post(name, other, "ping", node.sync.report(node.now))

    def run_until_equal(self, limit: float = 60) -> float:
        """Run until all maps are equal; returns the seconds that took."""
        start = self.time
        while not self.equal():
            assert self.time - start < limit, f"still different after {limit} s"
            self.run(TICK)
        return self.time - start

    def equal(self) -> bool:
        return len({node.table.digest(node.now) for node in self.nodes.values()}) == 1

    def _deliver(self, node: Node, source: str, kind: str, data: bytes) -> None:
        try:
            if kind == "ping":
                node.sync.reported(source, data, node.now)
            else:
                body = self.tamper(source, node.name, unpack_value(data))
                if body is not None:
                    node.sync.receive(source, body, node.now, node.wall)
        except RemoteError as error:
            self.errors.append((node.name, error.reason))
