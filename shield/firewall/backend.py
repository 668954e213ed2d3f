"""Backend: what a kernel firewall must be able to do for the Feed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from shield.firewall.limits import Key
from shield.net import Network

__all__ = ["Backend", "Element"]


class Element(NamedTuple):
    """What the kernel shall drop or limit, and for how long."""

    key: Key
    timeout: float
    """Seconds from now, ``inf`` for ever; the kernel removes the element by itself."""


class Backend(Protocol):
    """One way to make the kernel drop packets. All calls raise SystemFailure when refused.

    ``undisturbed``, ``active``, ``missing`` and ``healthy`` only read: they may run in another
    thread while ``commit`` runs, but not two of them at once.
    """

    name: str

    def open(self) -> None:
        """Create table, sets and rules where they are missing; keep elements that exist."""
        ...

    def undisturbed(self) -> bool:
        """Very cheap: True when nobody else changed the kernel since the previous call.

        To be called before the other reading calls, so that what changes meanwhile shows next time.
        """
        ...

    def healthy(self) -> bool:
        """Cheap check that table, sets, rules and allowed networks are as this object made them."""
        ...

    def active(self) -> dict[Key, float]:
        """Elements in the kernel with their remaining seconds; empty where the sets are missing."""
        ...

    def missing(self, keys: Sequence[Key]) -> list[Key]:
        """Tell which of ``keys`` the kernel does not hold, asked one by one.

        ``active()`` of a large nftables set may leave elements out while the kernel rearranges its
        hash table, and takes time by the square of their number; this is exact and linear.
        """
        ...

    def commit(self, add: Sequence[Element], delete: Sequence[Key]) -> None:
        """Delete, then add (or renew the timeout of), in one transaction; absent deletes are no error.

        The networks in the kernel never overlap: the caller sees to it with ``cover``.
        """
        ...

    def allow(self, networks: Sequence[Network]) -> None:
        """Replace the set of networks that pass before any drop; it wins over every element."""
        ...

    def dropped(self) -> int:
        """Packets dropped since the rules were made."""
        ...

    def render(self, elements: Sequence[Element], allowed: Sequence[Network] = ()) -> str:
        """Write the whole configuration as text that the backend's own tool can load."""
        ...

    def close(self, *, remove: bool = False) -> None:
        """Release sockets; with ``remove`` take table, sets and rules out of the kernel."""
        ...
