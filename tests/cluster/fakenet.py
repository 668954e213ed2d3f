"""A network in memory: cores joined by pipes that can be slow, cut, or lose a whole connection.

Time is a number that the test moves. TCP keeps order and loses nothing while it lives, so a pipe delays
bytes, freezes, or breaks; what a lossy line does to TCP is delay.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from shield.cluster.authority import Authority, create
from shield.cluster.capability import Incoming, Outlet
from shield.cluster.dialer import Attempt
from shield.cluster.identity import Identity, new_key
from shield.cluster.link import Link
from shield.cluster.member import Member
from shield.cluster.messages import Kind
from shield.cluster.peer_core import PeerCore
from shield.cluster.settings import ClusterSettings
from shield.errors import RemoteError

WALL = 1_700_000_000.0
STEP = 0.05


@cache
def authority() -> Authority:
    """The CA of all tests."""
    return create("test", "authority", WALL)[0]


@cache
def identity(name: str) -> Identity:
    """A node's identity; made once, keys cost time."""
    ca = authority()
    key = new_key()
    return Identity.of(key, ca.issue(name, key.public_key().public_bytes_raw(), WALL), ca.certificate)


class Recorder:
    """A capability that keeps what it gets and answers requests with what ``answer`` gives."""

    name = "test"

    def __init__(self) -> None:
        self.got: list[Incoming] = []
        self.states: list[tuple[str, str]] = []
        self.reports: dict[str, bytes] = {}
        self.outlet: Outlet | None = None
        self.answer: Callable[[Any], Any] = lambda body: body

    def receive(self, incoming: Incoming, now: float) -> None:
        self.got.append(incoming)
        if incoming.kind is Kind.REQUEST and self.outlet is not None:
            self.outlet.reply(incoming, self.answer(incoming.body), now)

    def member_changed(self, member: Member, now: float) -> None:
        self.states.append((member.name, member.state.value))

    def report(self, now: float) -> bytes:
        return b"report"

    def reported(self, sender: str, report: bytes, now: float) -> None:
        self.reports[sender] = report

    def tick(self, now: float) -> None:
        pass

    @property
    def bodies(self) -> list[Any]:
        return [incoming.body for incoming in self.got]


@dataclass(eq=False)
class Pipe:
    """One connection between two nodes."""

    ends: tuple[FakeNode, FakeNode]
    links: list[Link | None] = field(default_factory=lambda: [None, None])
    broken: bool = False


class FakeNode:
    """A core with its place in the network. ``clock``: how far its wall clock is off."""

    def __init__(self, net: FakeNet, name: str, clock: float, settings: ClusterSettings) -> None:
        self.net, self.name, self.clock, self.settings = net, name, clock, settings
        self.frozen = self.stopped = False
        self.start()

    def start(self) -> None:
        """Begin anew, as after a restart."""
        self.stopped = False
        self.core = PeerCore(
            identity(self.name),
            self.settings,
            self.net.now,
            WALL + self.net.now + self.clock,
            addresses=[(self.name, 7170)],
            seeds=[(seed, 7170) for seed in self.net.seeds],
        )
        self.recorder = Recorder()
        self.recorder.outlet = self.core.add(self.recorder)

    def stop(self) -> None:
        """Be killed: connections break."""
        self.stopped = True
        self.net.break_pipes(lambda pipe: self in pipe.ends)


class FakeNet:
    """Nodes by name; ``cut`` holds pairs that cannot reach each other."""

    def __init__(self, *names: str, seed: int = 1, delay: float = 0.001, **settings: Any) -> None:
        self.now = 100.0
        self.random = random.Random(seed)
        self.delay = delay
        self.jitter = 0.0
        self.seeds = names[:1]
        self.cut: set[frozenset[str]] = set()
        self.pipes: list[Pipe] = []
        self.traffic: list[tuple[str, bytes]] = []
        self.settings = ClusterSettings(**settings)
        self._queue: list[tuple[float, int, Pipe, int, bytes]] = []
        self._order = 0
        self._last: dict[tuple[int, int], float] = {}
        self.nodes: dict[str, FakeNode] = {}
        for name in names:
            self.add(name)

    def add(self, name: str, clock: float = 0.0) -> FakeNode:
        """One more host."""
        self.nodes[name] = FakeNode(self, name, clock, self.settings)
        return self.nodes[name]

    def __getitem__(self, name: str) -> FakeNode:
        return self.nodes[name]

    # --- faults -----------------------------------------------------------------------------

    def sever(self, *groups: tuple[str, ...]) -> None:
        """Let only nodes of one group reach each other; what is on its way is lost silently."""
        where = {name: number for number, group in enumerate(groups) for name in group}
        names = list(self.nodes)
        self.cut = {
            frozenset((a, b)) for a in names for b in names if a < b and where.get(a) != where.get(b)
        }

    def cut_link(self, a: str, b: str) -> None:
        """Cut one pair."""
        self.cut.add(frozenset((a, b)))

    def heal(self) -> None:
        """Let everybody reach everybody."""
        self.cut.clear()

    def break_pipes(self, wanted: Callable[[Pipe], bool]) -> None:
        """Reset connections: both ends notice at once."""
        for pipe in self.pipes:
            if not pipe.broken and wanted(pipe):
                self._break(pipe, "reset")

    # --- time -------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now = min(end, self.now + STEP)
            self._deliver()
            for node in self.nodes.values():
                if not node.stopped and not node.frozen:
                    if self.now >= node.core.get_timer():
                        node.core.handle_timer(self.now)
                    self._dial(node)
            self._pump()

    def until(self, done: Callable[[], bool], limit: float) -> float:
        """Let time pass until something is so; gives how long it took."""
        start = self.now
        while not done():
            assert self.now - start < limit, f"not within {limit} s"
            self.run(STEP)
        return self.now - start

    def settle(self) -> None:
        """Everybody sees everybody."""
        everybody = set(self.nodes)
        self.until(lambda: all(self.sees(name) == everybody - {name} for name in everybody), 10)

    def sees(self, name: str) -> set[str]:
        """Whom a node can reach."""
        return set(self.nodes[name].core.post.reachable())

    # --- inside -----------------------------------------------------------------------------

    def _dial(self, node: FakeNode) -> None:
        core = node.core
        for attempt in core.dialer.due(core.membership.members, core.links.peers(), self.now):
            problem, name = self._connect(node, attempt)
            core.dialer.ended(attempt, name, problem, self.now)

    def _connect(self, node: FakeNode, attempt: Attempt) -> tuple[str, str | None]:
        other = self.nodes.get(attempt.address[0])
        if (
            other is None
            or other.stopped
            or other.frozen
            or frozenset((node.name, other.name)) in self.cut
        ):
            return "no answer", None
        if other is node:
            return "self", node.name
        pipe = Pipe((node, other))
        try:
            pipe.links[0] = node.core.connected(
                other.core.identity.certificate, dialed=True, now=self.now, expected=attempt.name
            )
            pipe.links[1] = other.core.connected(
                node.core.identity.certificate, dialed=False, now=self.now
            )
        except RemoteError as error:
            if pipe.links[0] is not None:
                node.core.closed(pipe.links[0], "closed by peer", self.now)
            if error.reason == "duplicate":
                return "", other.name
            return str(error), None
        self.pipes.append(pipe)
        return "", other.name

    def _pump(self) -> None:
        for pipe in list(self.pipes):
            for side, node in enumerate(pipe.ends):
                link = pipe.links[side]
                if link is None or node.stopped or node.frozen:
                    continue
                while data := link.data_to_send():
                    self._send(pipe, side, data)
            if pipe.broken:
                self.pipes.remove(pipe)
        for node in self.nodes.values():
            for link in node.core.links.closing():
                for pipe in self.pipes:
                    if link in pipe.links and not pipe.broken:
                        self._break(pipe, "closed")

    def _send(self, pipe: Pipe, side: int, data: bytes) -> None:
        self._order += 1
        due = self.now + self.delay + self.random.uniform(0, self.jitter)
        key = (id(pipe), side)
        due = self._last[key] = max(due, self._last.get(key, 0.0))  # order is kept
        heapq.heappush(self._queue, (due, self._order, pipe, 1 - side, data))

    def _deliver(self) -> None:
        later = []
        while self._queue and self._queue[0][0] <= self.now:
            item = heapq.heappop(self._queue)
            _, _, pipe, side, data = item
            node, link = pipe.ends[side], pipe.links[side]
            if pipe.broken or link is None or node.stopped:
                continue
            if frozenset(end.name for end in pipe.ends) in self.cut or node.frozen:
                later.append(item)  # TCP sends it again, in order
                continue
            node.core.receive_data(link, data, self.now)
        for item in later:
            heapq.heappush(self._queue, item)

    def _break(self, pipe: Pipe, why: str) -> None:
        pipe.broken = True
        for node, link in zip(pipe.ends, pipe.links, strict=True):
            if link is not None and not node.stopped:
                node.core.closed(link, why, self.now)
