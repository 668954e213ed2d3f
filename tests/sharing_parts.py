"""A node's inner parts in a cluster with one other node, which is only a name and a map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shield.blocklist.decision import Decision
from shield.blocklist.shared_record import ban_key, ban_value
from shield.blocklist.sharing import Sharing
from shield.blocklist.sharing_settings import SharingSettings
from shield.cluster.capability import Incoming, SendResult
from shield.cluster.entry import Limits
from shield.cluster.messages import Kind
from shield.cluster.replicated import ReplicatedMap
from shield.detect.alert import Proof
from shield.net import Network
from tests.node_parts import WALL, Bench

OTHER = "node-b"


class Sent:
    """An outlet that keeps what was sent."""

    name = "node-a"

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.replies: list[Any] = []

    def send(self, node: str, body: Any, now: float) -> SendResult:
        return SendResult.SENT

    def broadcast(self, body: Any, now: float, *, include_self: bool = False) -> SendResult:
        self.bodies.append(body)
        return SendResult.SENT

    def reply(self, incoming: Incoming, body: Any, now: float) -> SendResult:
        self.replies.append(body)
        return SendResult.SENT

    def fail(self, incoming: Incoming, why: str, now: float) -> SendResult:
        return SendResult.SENT

    def reachable(self, node: str) -> bool:
        return True

    def members(self) -> tuple[str, ...]:
        return (OTHER,)

    def knows(self, node: str) -> bool:
        return node == OTHER


class SharingBench(Bench):
    """A bench whose hub shares; ``sent`` is what the others hear."""

    def __init__(
        self,
        folder: Path,
        settings: SharingSettings | None = None,
        *,
        limits: Limits | None = None,
        **blocklist: Any,
    ) -> None:
        self._limits = limits
        self.sent = Sent()
        self.other = ReplicatedMap("blocklist", OTHER, b"b" * 32)
        self._sharing_settings = settings or SharingSettings()
        super().__init__(folder, sharing=self._make, **blocklist)

    def _make(self, bench: Bench) -> Sharing:
        pipeline = bench.pipeline
        sharing = Sharing(
            self._sharing_settings,
            ReplicatedMap("blocklist", "node-a", b"a" * 32, self._limits, journaled=True),
            blocklist=pipeline.blocklist,
            allowlist=pipeline.allowlist,
            policy=pipeline.policy,
            servers=pipeline.servers,
            wall=lambda: WALL + bench.now,
            local=(pipeline.origin,),
            good=pipeline.good,
        )
        sharing.connect(self.sent, self.now)
        return sharing

    @property
    def shared(self) -> Sharing:
        assert self.hub.sharing is not None
        return self.hub.sharing

    def hear(self, value: str, duration: float = 600.0, *alerts: bytes) -> None:
        """The other node bans a value."""
        network = Network.parse(value)
        made = Decision(
            network, "sip-scan", OTHER, Proof.PROVEN, WALL, self.now + duration, duration,
            f"{OTHER}-{value}", "a scanner",
        )  # fmt: skip
        key = ban_key(network)
        self.other.put(key, ban_value(made), duration, self.now, WALL + self.now)
        record = self.other.record(key, self.now)
        body = ("put", (record,), tuple((key, alert) for alert in alerts))
        self.shared.receive(Incoming(OTHER, Kind.MESSAGE, 0, body), self.now)

    def told(self) -> list[tuple[bytes, bytes | None]]:
        """Keys and values that this node told the others since the last call."""
        found = [(record[0], record[3]) for body in self.sent.bodies for record in body[1]]
        self.sent.bodies.clear()
        return found
