"""What the nodes of the simulation share: a replicated map with bans, as the blocklist does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shield.blocklist.shared_alerts import pack_new
from shield.blocklist.shared_record import ban_key, ban_value
from shield.cluster.capability import Incoming
from shield.cluster.core import Core
from shield.cluster.entry import Applied
from shield.cluster.member import Member
from shield.cluster.replicated import ReplicatedMap
from shield.cluster.sync import Sync
from shield.net import Network
from tests.bench.findings import LIFETIME, address, alert, decision

__all__ = ["MapFeature"]

PUSHED = 500
"""Decisions in one message, when many are made at once."""


class MapFeature:
    """The map of one node. ``heard`` is called with how many records it has after others' have come."""

    name = "blocklist"

    def __init__(self, core: Core) -> None:
        self.core = core
        secret = core.name.encode() * 4
        self.table = ReplicatedMap(self.name, core.name, secret[:64])
        self.sync = Sync(self.table, core.add(self), self._applied)
        self.heard: Callable[[int], None] = lambda _records: None

    def decide(self, count: int, now: float, first: int = 0) -> None:
        """Ban ``count`` addresses and tell the others; one alone travels with its alert."""
        wall, keys, extra = self.core.wall(now), [], None
        for number in range(first, first + count):
            network = Network.host(address(0, number))
            made = decision(network, self.core.name, number, now, wall)
            key = ban_key(network)
            self.table.put(key, ban_value(made), LIFETIME, now, wall)
            keys.append(key)
            if count == 1:
                extra = [(key, pack_new(alert(network.address, number, wall), wall))]
        for begin in range(0, count, PUSHED):
            self.sync.push(keys[begin : begin + PUSHED], now, extra)

    def _applied(self, origin: str, applied: list[Applied], extra: Any, now: float, wall: float) -> None:
        self.heard(len(self.table))

    # --- as a capability --------------------------------------------------------------------

    def receive(self, incoming: Incoming, now: float) -> None:
        self.sync.receive(incoming.sender, incoming.body, now, self.core.wall(now))

    def member_changed(self, member: Member, now: float) -> None:
        pass

    def report(self, now: float) -> bytes:
        return self.sync.report(now)

    def reported(self, sender: str, report: bytes, now: float) -> None:
        self.sync.reported(sender, report, now)

    def tick(self, now: float) -> None:
        self.sync.tick(now)
