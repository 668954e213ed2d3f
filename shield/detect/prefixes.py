"""Neighbours: which networks (/24, /64) hold somebody good, in memory that never grows.

A whole network is banned only when nobody in it ever did anything good. A network is one bit of a table:
one that looks good and is not has its sources banned one by one, which is the harmless side to err on.
"""

from __future__ import annotations

from shield.detect.bits import Bits

__all__ = ["PREFIX_BITS", "Neighbours", "prefix"]

PREFIX_BITS = (24, 64)
"""What one customer or one attacker gets: the smallest IPv4 network that is routed, and the network
of one IPv6 link, in which a host picks its addresses as it likes (RFC 4291 section 2.5.4)."""


def prefix(address: bytes) -> bytes:
    """The part of a packed address that is the same in its whole /24 or /64."""
    return address[:3] if len(address) == 4 else address[:8]


class Neighbours(Bits):
    """The networks of good sources."""

    __slots__ = ()

    def good(self, address: bytes) -> None:
        """Somebody at this address logged in, made a call that was answered, or lets a phone ring."""
        self.note(prefix(address))

    def clean(self, address: bytes) -> bool:
        """Whether nobody in the network of this address did anything good."""
        return not self.seen(prefix(address))
