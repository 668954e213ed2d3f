"""Wanted: what the kernel shall hold, as it follows from the decisions. No I/O and no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shield.blocklist.decision import BAN, LIMIT, Change, ChangeKind, Decision
from shield.firewall.cover import cover
from shield.firewall.limits import Key, Limit, limits_of
from shield.net import Network

__all__ = ["Wanted"]

_BEGUN = (ChangeKind.ADDED, ChangeKind.EXTENDED)


class Wanted:
    """Elements with the node time at which each ends."""

    def __init__(self) -> None:
        self.hosts: dict[Key, float] = {}
        """Banned hosts and the elements of limits."""
        self.limits: dict[Network, tuple[Limit, ...]] = {}
        """The elements of each limited address."""
        self.networks: dict[Network, float] = {}
        """All banned networks, whether they overlap or not."""
        self.installed: dict[Network, float] = {}
        """Networks that the kernel shall hold: the outermost of ``networks``."""
        self.handover = math.inf
        """Node time of the next change of ``installed`` that time alone brings."""

    def want(self, decision: Decision) -> Sequence[Key]:
        """Note a live decision; returns its elements. Of two about one network the later end holds."""
        network = decision.network
        if not network.is_host:
            self.networks[network] = max(decision.until, self.networks.get(network, -math.inf))
            return (network,)
        keys: tuple[Key, ...] = (network,)
        if decision.type == LIMIT:
            keys = self.limits[network] = limits_of(decision)
        for key in keys:
            self.hosts[key] = max(decision.until, self.hosts.get(key, -math.inf))
        return keys

    def follow(self, change: Change, now: float) -> tuple[Sequence[Key], bool]:
        """Note a change; returns the elements that it is about.

        Also whether there is nothing to do for them: the kernel took out by itself what has ended.
        """
        decision = change.decision
        network = decision.network
        begun = change.kind in _BEGUN
        if not network.is_host:
            if begun:
                self.networks[network] = decision.until
            else:
                self.networks.pop(network, None)
            return (network,), False
        limited = self.limits.pop(network, ()) if self.limits else ()
        if begun and decision.type == BAN and not limited:
            self.hosts[network] = decision.until
            return (network,), False
        before: Sequence[Key] = (network, *limited)
        ends = [self.hosts.pop(key, -math.inf) for key in before]
        if begun:  # in place of what there was: a ban of a limit, a limit of another one
            return tuple(dict.fromkeys((*before, *self.want(decision)))), False
        return before, change.kind is ChangeKind.EXPIRED and max(ends) <= now

    def cover(self, now: float) -> list[Network]:
        """Find which networks to install; returns those for which that has changed."""
        before = self.installed
        self.installed, self.handover = cover(self.networks, now)
        changed = dict.fromkeys([*before, *self.installed])
        return [n for n in changed if before.get(n) != self.installed.get(n)]
