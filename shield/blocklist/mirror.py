"""Mirror: the blocklist's map of another cluster, kept equal with its members, applied by nobody here.

A node that bridges two clusters has its own blocklist in the first and a mirror of the second's map. It
is kept in memory only: what this node wrote into it comes back from the members after a restart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shield.blocklist.shared_record import end_of
from shield.cluster.capability import Incoming, Outlet
from shield.cluster.entry import Applied
from shield.cluster.member import Member
from shield.cluster.messages import Kind
from shield.cluster.replicated import ReplicatedMap
from shield.cluster.sync import Sync
from shield.errors import RemoteError

__all__ = ["Mirror"]

ENDED = 5_000
"""Ended records that one tick takes out, as in the blocklist itself."""


class Mirror:
    """A capability; ``wall`` gives wall time."""

    name = "blocklist"

    def __init__(self, records: ReplicatedMap, wall: Callable[[], float]) -> None:
        self.records = records
        records.end_of = end_of
        self.outlet: Outlet | None = None
        self.sync: Sync | None = None
        self.on_tick: Callable[[float], None] = lambda _now: None
        """Called with each tick, after the map was looked after."""
        self._wall = wall

    def connect(self, outlet: Outlet) -> None:
        """Take part in the cluster."""
        self.outlet = outlet
        self.sync = Sync(self.records, outlet, _ignore)

    def write(self, applied: list[Applied], now: float) -> None:
        """Tell the others what was written into the map."""
        if self.sync is not None:
            self.sync.push([key for key, _, _ in applied], now)

    def forget(self, origin: str) -> None:
        """Take out what a node said that was put out of the cluster."""
        if origin != self.records.node:
            self.records.forget(origin)

    # --- as a capability --------------------------------------------------------------------

    def receive(self, incoming: Incoming, now: float) -> None:
        """Take messages about the map; questions about decisions are for those who made them."""
        if incoming.kind is Kind.REQUEST:
            raise RemoteError(
                "no_answer", "this node bridges to another cluster and decides nothing here"
            )
        if self.sync is not None:
            self.sync.receive(incoming.sender, incoming.body, now, self._wall())

    def member_changed(self, member: Member, now: float) -> None:  # noqa: ARG002
        """Take records again of a node that was put out and is back."""
        if self.outlet is not None and self.outlet.reachable(member.name):
            self.records.admit(member.name)

    def report(self, now: float) -> bytes:
        """Digest of the map."""
        return b"" if self.sync is None else self.sync.report(now)

    def reported(self, sender: str, report: bytes, now: float) -> None:
        """Digest of a member's map."""
        if self.sync is not None:
            self.sync.reported(sender, report, now)

    def tick(self, now: float) -> None:
        """Let records end, compare, and let the bridge have its turn."""
        self.records.expire(now, ENDED)
        if self.sync is not None:
            self.sync.tick(now)
        self.on_tick(now)


def _ignore(_origin: str, _applied: list[Applied], _extra: Any, _now: float, _wall: float) -> None:
    """Nothing is applied here; the bridge sees what is new in the map itself."""
