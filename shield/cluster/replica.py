"""Replica: a replicated map as a capability, for features that need nothing else to be told.

    users = Replica("location", node, secret, wall=time.time)
    users.on_change = lambda key, entry, before, now: ...
    users.join(cluster, now)
    users.put(b"alice@example.com", value, 3600.0, now)

Alone it works as well: what is written then is told when a cluster is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shield.cluster.capability import Incoming, Outlet
from shield.cluster.cluster import Cluster
from shield.cluster.entry import Applied, Entry, Limits
from shield.cluster.member import Member
from shield.cluster.messages import Kind
from shield.cluster.replicated import ReplicatedMap
from shield.cluster.sync import Sync
from shield.errors import RemoteError

__all__ = ["Replica"]

ENDED = 5_000
"""Ended entries that one tick takes out: under 10 ms."""
WAITING = 50_000
"""Keys that wait to be told; beyond, the others find out by comparison."""
PUSH_RECORDS = 500
"""Records in one message."""


class Replica:
    """See the module's docstring. ``secret``: what seals the records of this node, 64 bytes at most."""

    def __init__(
        self,
        name: str,
        node: str,
        secret: bytes,
        *,
        wall: Callable[[], float],
        limits: Limits | None = None,
    ) -> None:
        self.name = name
        self.records = ReplicatedMap(name, node, secret, limits)
        self.sync: Sync | None = None
        self.outlet: Outlet | None = None
        self.on_change: Callable[[bytes, Entry, Entry | None, float], None] = _nothing
        """Called with key, entry, the entry before it, and node time, when another node has written or
        removed something, and (entry without a value) when something has ended."""
        self.on_request: Callable[[Incoming, float], Any] | None = None
        """Gives the reply to a question of another node; RemoteError becomes a failure."""
        self.on_member: Callable[[Member, float], None] = lambda _member, _now: None
        self._wall = wall
        self._waiting: dict[bytes, None] = {}

    def join(self, cluster: Cluster, now: float) -> None:
        """Take part in a cluster under the identity of this node."""
        secret = cluster.core.identity.secret(self.name.encode())
        if not self.records.sealed_with(secret):
            self.records.reseal(secret, now, self._wall())
        self.connect(cluster.add(self), now)

    def connect(self, outlet: Outlet, now: float) -> None:  # noqa: ARG002
        """Take part in a cluster."""
        self.outlet = outlet
        self.sync = Sync(self.records, outlet, self._merged)

    def disconnect(self) -> None:
        """Work alone from now on; what the others said stays until it ends."""
        self.outlet = self.sync = None

    # --- what this node writes --------------------------------------------------------------

    def put(self, key: bytes, value: bytes, lifetime: float, now: float) -> Entry | None:
        """Write a value; None (counted) when there is no room. Raises ValueError beyond the limits."""
        entry = self.records.put(key, value, lifetime, now, self._wall())
        if entry is not None:
            self._tell(key)
        return entry

    def remove(self, key: bytes, now: float) -> bool:
        """Remove a value, whoever wrote it; False when there is none."""
        if self.records.remove(key, now, self._wall()) is None:
            return False
        self._tell(key)
        return True

    def flush(self, now: float) -> None:
        """Tell what was written since; ``tick`` does so twice a second."""
        if self.sync is None:
            self._waiting.clear()
            return
        keys = list(self._waiting)
        self._waiting.clear()
        for start in range(0, len(keys), PUSH_RECORDS):
            self.sync.push(keys[start : start + PUSH_RECORDS], now)

    def forget(self, origin: str, now: float) -> None:
        """Take out everything that a node said which has no part in the cluster any more."""
        for key, entry in self.records.forget(origin):
            if entry.value is not None:
                self.on_change(key, entry._replace(value=None), entry, now)

    def _tell(self, key: bytes) -> None:
        if len(self._waiting) < WAITING:
            self._waiting[key] = None

    def _merged(
        self, origin: str, applied: Sequence[Applied], extra: Any, now: float, wall: float
    ) -> None:
        del origin, extra, wall
        for key, entry, before in applied:
            self.on_change(key, entry, before, now)

    # --- as a capability --------------------------------------------------------------------

    def receive(self, incoming: Incoming, now: float) -> None:
        """See Capability."""
        if incoming.kind is Kind.REQUEST:
            if self.on_request is None or self.outlet is None:
                raise RemoteError("no_answer", "nobody answers here")
            self.outlet.reply(incoming, self.on_request(incoming, now), now)
        elif self.sync is not None:
            self.sync.receive(incoming.sender, incoming.body, now, self._wall())

    def member_changed(self, member: Member, now: float) -> None:
        """See Capability."""
        if self.outlet is not None and self.outlet.reachable(member.name):
            self.records.admit(member.name)  # if it was put out, it has a new certificate
        self.on_member(member, now)

    def report(self, now: float) -> bytes:
        """See Capability."""
        return b"" if self.sync is None else self.sync.report(now)

    def reported(self, sender: str, report: bytes, now: float) -> None:
        """See Capability."""
        if self.sync is not None:
            self.sync.reported(sender, report, now)

    def tick(self, now: float) -> None:
        """See Capability."""
        for key, entry in self.records.expire(now, ENDED):
            if entry.value is not None:
                self.on_change(key, entry._replace(value=None), entry, now)
        self.flush(now)
        if self.sync is not None:
            self.sync.tick(now)


def _nothing(key: bytes, entry: Entry, before: Entry | None, now: float) -> None:
    del key, entry, before, now
