"""A program with a member's certificate that does what no member should: forge, flood, ban everything.

It is made of the cluster's own parts, so that nothing but what it says is wrong. Run it in the host
that it belongs to: ``with host.inside(): asyncio.run(...)``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from shield.blocklist.decision import Decision
from shield.blocklist.shared_record import allow_key, allow_value, ban_key, ban_value
from shield.cluster.capability import Incoming
from shield.cluster.cluster import Cluster
from shield.cluster.member import Member
from shield.cluster.messages import Data, Kind
from shield.cluster.parcels import Parcel
from shield.cluster.replicated import ReplicatedMap
from shield.cluster.sync import Sync
from shield.detect.alert import Proof
from shield.net import Network


class Rogue:
    """One bad member. ``records`` is its map, which others may compare theirs with."""

    name = "blocklist"

    def __init__(self, directory: Path) -> None:
        self.cluster = Cluster(directory)
        secret = self.cluster.core.identity.secret(b"blocklist")
        self.records = ReplicatedMap("blocklist", self.cluster.name, secret)
        self.outlet = self.cluster.add(self)
        self.sync = Sync(self.records, self.outlet, lambda *_: None)

    async def __aenter__(self) -> Self:
        await self.cluster.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.cluster.close()

    async def meets(self, count: int) -> None:
        """Wait until that many members can be reached over connections of its own."""
        async with asyncio.timeout(15):
            while len(self.cluster.core.links.up) < count or len(self.cluster.members()) < count:
                await asyncio.sleep(0.02)

    # --- what it says -----------------------------------------------------------------------

    def bans(self, values: Iterable[str], hours: float = 1.0) -> list[Any]:
        """Make records of bans in its own name, and keep them."""
        now, wall, made = time.monotonic(), time.time(), []
        for value in values:
            network = Network.parse(value)
            decision = Decision(
                network, "manual", self.cluster.name, Proof.PROVEN, wall, now + hours * 3600,
                hours * 3600, f"rogue-{value}", "rogue", "ban", 0,
            )  # fmt: skip
            key = ban_key(network)
            self.records.put(key, ban_value(decision), hours * 3600, now, wall)
            made.append(self.records.record(key, now))
        return made

    def allows(self, value: str) -> Any:
        """Make a record of an allowlist entry."""
        now, wall = time.monotonic(), time.time()
        self.records.put(allow_key(value), allow_value("rogue", wall, endless=False), 3600, now, wall)
        return self.records.record(allow_key(value), now)

    def push(self, records: Sequence[Any]) -> None:
        """Say it to everybody."""
        for start in range(0, len(records), 500):
            part = [*records[start : start + 500]]
            self.cluster.broadcast(self.name, ("put", part, None))

    def forge_parcel(self, origin: str, destination: str, records: Sequence[Any]) -> None:
        """Send records to one node as though they had come from another, over this one."""
        core = self.cluster.core
        members = core.membership.members
        parcel = Parcel(
            origin=origin,
            incarnation=members[origin].record.incarnation,
            sequence=1 << 40,
            destination=destination,
            capability=self.name,
            kind=int(Kind.MESSAGE),
            tag=0,
            body=("put", [*records], None),
            destination_incarnation=members[destination].record.incarnation,
        )
        core.links.up[destination].send(parcel.sign(core.identity))
        core.post.wake()

    def forge_record(self, origin: str, destination: str) -> None:
        """Say in another node's name that it lives elsewhere: its certificate, our signature."""
        core = self.cluster.core
        record = core.membership.members[origin].record
        newer = record._replace(sequence=record.sequence + 1000, addresses=(("192.0.2.66", 7170),))
        core.links.up[destination].send(newer.sign(core.identity))
        core.post.wake()

    def send(self, node: str, body: Any) -> None:
        """Send anything to one node."""
        self.cluster.core.post.send(node, Data(self.name, Kind.MESSAGE, 0, body), time.monotonic())

    # --- Capability -------------------------------------------------------------------------

    def receive(self, incoming: Incoming, now: float) -> None:
        self.sync.receive(incoming.sender, incoming.body, now, time.time())

    def member_changed(self, member: Member, now: float) -> None: ...

    def report(self, now: float) -> bytes:
        return self.sync.report(now)

    def reported(self, sender: str, report: bytes, now: float) -> None:
        self.sync.reported(sender, report, now)

    def tick(self, now: float) -> None:
        self.sync.tick(now)
