"""Networks that do not overlap, in place of networks that may.

An nftables interval set refuses a network that overlaps one it holds. So only outermost networks
are installed. Where a network hides one that lives longer, the moment of the handover is told: then
the outer one is taken out and the inner one put in, in one transaction.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from shield.net import Network

__all__ = ["Cover", "bounds", "cover", "outermost", "span"]

HANDOVER_GRACE = 3.0
"""Seconds that an outer network stays longer in the kernel than it should when it hides one that
lives longer, so that a late handover leaves no gap. Without a running shield it still ends."""


class Cover(NamedTuple):
    """What to install, and when to ask again."""

    install: dict[Network, float]
    """Non-overlapping networks with the time at which the kernel shall drop them by itself."""
    handover: float
    """Time of the next change of ``install`` that time alone brings; ``inf`` when there is none."""


def cover(networks: Mapping[Network, float], now: float = -math.inf) -> Cover:
    """Find the outermost of ``networks`` (each with its end time) that have not ended at ``now``."""
    install: dict[Network, float] = {}
    handover = math.inf
    outer: Network | None = None
    for network in sorted((n for n, until in networks.items() if until > now), key=_order):
        if outer is None or not outer.contains(network):
            outer = network
            install[network] = networks[network]
        elif networks[network] > networks[outer]:
            # The inner one outlives the outer: it must follow at that moment.
            handover = min(handover, networks[outer])
            install[outer] = networks[outer] + HANDOVER_GRACE
    return Cover(install, handover)


def outermost(networks: Iterable[Network]) -> list[Network]:
    """``networks`` without those that lie inside another."""
    return list(cover(dict.fromkeys(networks, math.inf)).install)


def bounds(network: Network) -> tuple[bytes, bytes]:
    """Give first and last address of a network."""
    bits = len(network.address) * 8
    last = int.from_bytes(network.address, "big") | ((1 << (bits - network.length)) - 1)
    return network.address, last.to_bytes(bits // 8, "big")


def span(first: bytes, last: bytes) -> list[Network]:
    """Split the addresses from ``first`` to ``last`` into networks."""
    parts = ipaddress.summarize_address_range(ipaddress.ip_address(first), ipaddress.ip_address(last))
    return [Network(part.network_address.packed, part.prefixlen) for part in parts]


def _order(network: Network) -> tuple[int, bytes, int]:
    return len(network.address), network.address, network.length
