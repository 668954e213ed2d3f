"""Inspection: what is found in the kernel, and what of it differs from what is wanted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from shield.errors import SystemFailure
from shield.firewall.backend import Backend
from shield.firewall.limits import Key

__all__ = ["READ_MOST", "Inspection", "compare", "read_elements"]

READ_MOST = 150_000
"""Elements up to which the kernel's sets are read whole; beyond, each wanted element is asked for
(linear instead of quadratic), and elements of somebody else are not looked for."""

SAMPLE = 1000
"""Elements asked for first when there are many: where none of them is, all are taken for missing."""

SLACK = 3.0
"""Seconds by which the kernel's remaining time may differ: it was read some time ago, and ipset
counts whole seconds."""

FAR = 86_400.0
"""Seconds from which on remaining time is long enough: ipset cannot hold a very long one."""


class Inspection(NamedTuple):
    """The state of the kernel."""

    quiet: bool = False
    """Nobody touched it since the last time; nothing else was looked at."""
    healthy: bool = True
    active: dict[Key, float] | None = None
    missing: Collection[Key] = ()
    error: SystemFailure | None = None


def read_elements(backend: Backend, wanted: Sequence[Key]) -> Inspection:
    """Find which elements a healthy backend holds."""
    if len(wanted) > READ_MOST:
        sample = wanted[:SAMPLE]
        if len(backend.missing(sample)) == len(sample):
            return Inspection(missing=wanted)
        return Inspection(missing=backend.missing(wanted))
    active = backend.active()
    candidates = [network for network in wanted if network not in active]
    # A dump may leave out what is there; what is gone altogether need not be asked for.
    missing = backend.missing(candidates) if len(candidates) <= len(active) else candidates
    return Inspection(active=active, missing=missing)


def compare(
    inspection: Inspection, wanted: Mapping[Key, float], skip: Collection[Key], now: float
) -> tuple[list[Key], list[Key]]:
    """Find what must be put in again, and what is in the kernel but nobody's decision.

    ``wanted`` gives the end of each element in node time; those in ``skip`` are being changed.
    """
    missing = [n for n in inspection.missing if n not in skip and wanted.get(n, now) > now]
    if inspection.active is None:
        return missing, []
    foreign = []
    for network, remaining in inspection.active.items():
        if network in skip:
            continue
        until = wanted.get(network)
        if until is None:
            foreign.append(network)
        elif until > now and abs(min(remaining, FAR) - min(until - now, FAR)) > SLACK:
            missing.append(network)  # its timeout is wrong
    return missing, foreign
