"""Nodes whose rules count together, over a bus in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from shield.cluster.capability import Incoming, SendResult
from shield.cluster.member import MemberState
from shield.cluster.messages import Kind
from shield.detect.alert import Alert
from shield.detect.pool import Pool
from shield.detect.pooling import Pooling
from shield.detect.settings import EvidenceSettings
from shield.errors import RemoteError
from shield.sip.event import SipEvent
from shield.wire import pack_value, unpack_value
from tests.detect.test_engine import START, engine

TICK = 0.5


class Member:
    """What pooling asks of a member."""

    def __init__(self, name: str, state: MemberState) -> None:
        self.name, self.state = name, state


class LabOutlet:
    """Sends to all nodes of the lab that are in sight, through the codec."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab, self.name = lab, name

    def broadcast(self, body: Any, now: float, *, include_self: bool = False) -> SendResult:
        packed = pack_value(body)
        self.lab.octets[self.name] = self.lab.octets.get(self.name, 0) + len(packed)
        for node in self.members():
            self.lab.waiting.append((node, self.name, packed))
        return SendResult.SENT

    def members(self) -> tuple[str, ...]:
        if self.name in self.lab.cut:
            return ()
        return tuple(n for n in self.lab.nodes if n != self.name and n not in self.lab.cut)


class Node:
    """An engine with its pooling."""

    def __init__(self, lab: Lab, name: str, rules: Sequence[str], **settings: Any) -> None:
        self.lab, self.name = lab, name
        self.engine = engine(*rules)
        self.alerts: list[Alert] = []
        self.errors: list[str] = []
        number = len(lab.nodes) + 1
        self.pooling = Pooling(
            EvidenceSettings(**settings),
            Pool(self.engine.sources, self.engine.evidence, name.encode()),
            wall=lambda: START + lab.now,
            secret=lambda size: bytes([number]) * size,
        )
        self.pooling.on_alerts = lambda alerts, _now: self.alerts.extend(self.engine.accuse(alerts))
        self.pooling.connect(LabOutlet(lab, name), lab.now)  # type: ignore[arg-type]
        self.engine.join(self.pooling.pool)

    def see(self, *events: SipEvent) -> None:
        """Observe events."""
        for event in events:
            self.alerts += self.engine.observe(event)

    @property
    def accused(self) -> list[str]:
        return sorted(alert.address for alert in self.alerts)


class Lab:
    """The nodes ``a``, ``b`` ... with the same rules; ``cut`` holds those out of sight."""

    def __init__(self, names: str, *rules: str, **settings: Any) -> None:
        self.now = 0.0
        self.cut: set[str] = set()
        self.waiting: deque[tuple[str, str, bytes]] = deque()
        self.octets: dict[str, int] = {}
        self.nodes: dict[str, Node] = {}
        for name in names:
            self.nodes[name] = Node(self, name, rules, **settings)
        self.settle()

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def settle(self, seconds: float = 2.0) -> None:
        """Let time pass; everything told is heard."""
        end = self.now + seconds
        while self.now < end:
            self.now += TICK
            for node in self.nodes.values():
                node.pooling.tick(self.now)
            while self.waiting:
                self.say(*self.waiting.popleft())

    def say(self, node: str, sender: str, packed: bytes) -> None:
        """Deliver one message; what cannot be read is noted at the receiver."""
        incoming = Incoming(sender, Kind.MESSAGE, 0, unpack_value(packed))
        try:
            self.nodes[node].pooling.receive(incoming, self.now)
        except RemoteError as error:
            self.nodes[node].errors.append(str(error))

    def member(self, name: str, state: MemberState) -> None:
        """Let everybody hear what became of a node."""
        for node in self.nodes.values():
            node.pooling.member_changed(Member(name, state), self.now)  # type: ignore[arg-type]

    def accused(self) -> dict[str, list[str]]:
        """Whom each node accuses."""
        return {name: node.accused for name, node in self.nodes.items() if node.alerts}


def spread(lab: Lab, events: Iterable[SipEvent]) -> None:
    """Give one event after the other to the next node."""
    names = list(lab.nodes)
    for number, event in enumerate(events):
        lab[names[number % len(names)]].see(event)
