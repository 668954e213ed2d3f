"""Backend: what a kernel firewall must be able to do for the Feed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from shield.net import Network

__all__ = ["Backend", "Element"]


class Element(NamedTuple):
    """A network that the kernel shall drop, and for how long."""

    network: Network
    timeout: float
    """Seconds from now; the kernel removes the element by itself."""


class Backend(Protocol):
    """One way to make the kernel drop packets. All calls raise SystemFailure when refused."""

    name: str

    def open(self) -> None:
        """Create table, sets and rules where they are missing; keep elements that exist."""
        ...

    def healthy(self) -> bool:
        """Cheap check that table, sets and rules are as open() made them."""
        ...

    def active(self) -> dict[Network, float]:
        """Elements in the kernel with their remaining seconds."""
        ...

    def commit(self, add: Sequence[Element], delete: Sequence[Network]) -> None:
        """Add (or renew the timeout of) and delete, in one transaction; absent deletes are no error."""
        ...

    def allow(self, networks: Sequence[Network]) -> None:
        """Replace the set of networks that pass before any drop; it wins over every element."""
        ...

    def render(self, elements: Sequence[Element], allowed: Sequence[Network] = ()) -> str:
        """The whole configuration as text that the backend's own tool can load."""
        ...

    def close(self, *, remove: bool = False) -> None:
        """Release sockets; with ``remove`` take table, sets and rules out of the kernel."""
        ...
