"""Capability: what a feature gives to join the cluster, and the outlet that it gets for it.

The cluster knows nothing of bans, users or calls. A feature has a name, takes messages and may report
a few octets of itself in each ping; the words are those of the OpenSIPS clusterer.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple, Protocol

from shield.cluster.member import Member
from shield.cluster.messages import Kind

__all__ = ["Capability", "Incoming", "Outlet", "SendResult"]


class SendResult(IntEnum):
    """What became of a message (numbers of the OpenSIPS clusterer's script functions)."""

    SENT = 1
    LOCAL_DISABLED = -1
    """This node is disabled, or not in a cluster."""
    UNREACHABLE = -2
    """The other node is unknown, out of reach or disabled; of a broadcast: there is nobody."""
    FAILED = -3
    """Too large, cannot be packed, or too much waits for that node already."""


class Incoming(NamedTuple):
    """A message that has arrived; its sender is proven."""

    sender: str
    kind: Kind
    tag: int
    body: Any
    """A msgpack value: arrays are tuples."""


class Outlet(Protocol):
    """A capability's way into the cluster."""

    @property
    def name(self) -> str:
        """Name of this node."""
        ...

    def send(self, node: str, body: Any, now: float) -> SendResult:
        """Send to one node."""
        ...

    def broadcast(self, body: Any, now: float, *, include_self: bool = False) -> SendResult:
        """Send to everybody who can be reached."""
        ...

    def reply(self, incoming: Incoming, body: Any, now: float) -> SendResult:
        """Answer a request."""
        ...

    def fail(self, incoming: Incoming, why: str, now: float) -> SendResult:
        """Answer a request that cannot be done."""
        ...

    def reachable(self, node: str) -> bool:
        """Whether a message can get to the node."""
        ...

    def members(self) -> tuple[str, ...]:
        """Everybody who can be reached, without this node."""
        ...

    def knows(self, node: str) -> bool:
        """Whether the node is a member, in reach or not: it has signed for itself."""
        ...


class Capability(Protocol):
    """A feature that takes part in the cluster. No call may wait."""

    name: str

    def receive(self, incoming: Incoming, now: float) -> None:
        """Take a message or a request; RemoteError is counted and answered as a failure."""
        ...

    def member_changed(self, member: Member, now: float) -> None:
        """A member's state changed."""
        ...

    def report(self, now: float) -> bytes:
        """At most 64 octets that travel in each ping; empty for nothing."""
        ...

    def reported(self, sender: str, report: bytes, now: float) -> None:
        """A neighbour's report."""
        ...

    def tick(self, now: float) -> None:
        """Called about twice a second."""
        ...
