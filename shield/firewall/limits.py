"""Limit: what the kernel does to a source that it does not drop altogether.

Either everything that the source sends to the SIP ports, beyond a rate, is dropped; or all that comes
from one of its ports: behind a NAT that is one host of many.
"""

from __future__ import annotations

from typing import NamedTuple

from shield.blocklist.decision import Decision
from shield.net import Network, Port, unpack

__all__ = ["Key", "Limit", "limits_of"]


class Limit(NamedTuple):
    """One element of the kernel's sets of limits. Three fields, so it is never equal to a Network."""

    address: bytes
    """Packed."""
    protocol: int = 0
    """Of the port that is dropped; 0: the rate of the whole address is limited."""
    number: int = 0

    @property
    def is_host(self) -> bool:
        """A limit is about one address: it takes the way of single bans."""
        return True

    def __str__(self) -> str:
        port = f" {Port(self.protocol, self.number)}" if self.protocol else ""
        return f"limit {unpack(self.address)}{port}"


Key = Network | Limit
"""What an element of the kernel is about."""


def limits_of(decision: Decision) -> tuple[Limit, ...]:
    """The elements of a decision of type ``limit``."""
    address = decision.network.address
    return tuple(Limit(address, *port) for port in decision.ports) or (Limit(address),)
