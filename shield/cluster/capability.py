"""Capability: what a feature gives to join the cluster, and the outlet that it gets for it.

The cluster knows nothing of bans, users or calls. A feature has a name, takes messages and may report
a few octets of itself in each ping; the words are those of the OpenSIPS clusterer.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any, NamedTuple, Protocol, runtime_checkable

from shield.cluster.member import Member
from shield.cluster.messages import Kind

__all__ = [
    "Capability",
    "Incoming",
    "Outlet",
    "Progress",
    "SendResult",
    "SyncState",
    "SyncWord",
    "Synced",
]


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


class SyncWord(StrEnum):
    """How far the data of a capability is equal on all nodes (words of the OpenSIPS clusterer)."""

    NOT_SYNCED = "not synced"
    """There is nobody to compare with."""
    PENDING = "pending"
    """Something differs, or may; it is found out."""
    IN_PROGRESS = "in progress"
    """What is missing is being fetched."""
    SYNCED = "synced"


class SyncState(NamedTuple):
    """State of a capability's data on one node."""

    word: SyncWord
    percent: int = 0
    """How much has come of what is fetched; 100 when synced."""
    source: str = ""
    """The node from which it is fetched, or was fetched last."""

    def __str__(self) -> str:
        percent = f" {self.percent} %" if self.word is SyncWord.IN_PROGRESS else ""
        return f"{self.word}{percent}"


class Progress(Protocol):
    """What keeps data equal on all nodes: ``Sync``."""

    def sync_state(self, now: float) -> SyncState:
        """How far it is."""
        ...


@runtime_checkable
class Synced(Protocol):
    """A capability that keeps data which all nodes hold alike."""

    sync: Any
    """A ``Progress``, or None while it is in no cluster."""
