"""Carrier: the seam between what nodes say to each other and what brings it there.

A carrier has two halves. The one without I/O is a core: a subclass of ``Core``, such as ``PeerCore``,
that is a ``Ways`` for messages and has a ``Reach``, which knows who can be reached. The other, a
``Carrier``, moves its bytes and tells it the time. What they have in common is here; members, messages,
capabilities, maps, revocations and orders are the same whatever carries them.

A new carrier needs nothing else, and passes the contract tests (``tests/cluster/contract.py``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from shield.cluster.capability import SendResult
from shield.cluster.member import Member
from shield.cluster.messages import Data
from shield.cluster.routing import Route

__all__ = ["Carrier", "Reach", "Ways"]


class Ways(Protocol):
    """How messages of capabilities leave. ``frame`` is the packed message: packed once for many."""

    def send(self, node: str, message: Data, frame: bytes, now: float) -> SendResult:
        """Send to a member that can be reached."""
        ...

    def broadcast(
        self, nodes: tuple[str, ...], message: Data, frame: bytes, now: float
    ) -> Collection[str]:
        """Send to ``nodes``, who are all that can be reached; gives those whom it does not get to."""
        ...


class Reach(Protocol):
    """Who can be reached, as the carrier sees it. ``members``: all that are known, by name."""

    def links(self, members: Mapping[str, Member], now: float) -> Mapping[str, int]:
        """Connections of this node that others must know of, by neighbour, and their cost."""
        ...

    def routes(self, members: Mapping[str, Member], now: float) -> dict[str, Route]:
        """The way to each member that can be reached."""
        ...

    def forget(self, name: str) -> None:
        """A member was removed."""
        ...


class Carrier(Protocol):
    """Moves the bytes of one core, on the event loop that ``start`` was called on."""

    refused: Counter[str]
    """What came from outside and got nowhere, by reason."""

    @property
    def throttled(self) -> int:
        """How often something was not read, or somebody for a moment not, because too much came."""
        ...

    @property
    def port(self) -> int:
        """TCP port that others may connect to; 0 for none."""
        ...

    async def start(self) -> None:
        """Begin; raises SystemFailure for what an operator must mend first. Waits for nobody else."""
        ...

    async def close(self, *, leave: bool = False) -> None:
        """End; with ``leave`` say goodbye first. Twice does no harm."""
        ...

    def problems(self) -> Mapping[str, str]:
        """What cannot be reached, and why; empty when all is well."""
        ...

    def status(self, now: float) -> dict[str, Any]:
        """The carrier for people: ``carrier`` is its name, the rest is its own."""
        ...

    def connections(self, now: float) -> list[dict[str, Any]]:
        """Its connections for people, one row for each."""
        ...

    def connection(self, node: str, now: float) -> Mapping[str, Any]:
        """What is known of the way to one member: ``rtt``, ``clock_offset`` (seconds), ``waiting``."""
        ...
