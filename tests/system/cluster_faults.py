"""Faults of the network between the nodes of a lab, made in the switch: no node can know of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tests.netlab import Lab


class Faults:
    """Rules of the switch; each call replaces those of the one before. ``addresses`` by host."""

    def __init__(self, net: Lab, addresses: Mapping[str, str]) -> None:
        self._net, self._addresses = net, addresses

    def heal(self) -> None:
        """Mend everything."""
        self._net.faults()

    def cut(self, *pairs: tuple[str, str]) -> None:
        """Let nothing pass between the two of each pair."""
        self._net.faults(*(rule for a, b in pairs for rule in self._between([a], [b])))

    def split(self, left: Iterable[str], right: Iterable[str]) -> None:
        """Let nothing pass between two sides."""
        self._net.faults(*self._between(left, right))

    def lose(self, percent: int) -> None:
        """Lose that share of all packets, whoever sends them."""
        self._net.faults(f"ether type ip numgen random mod 100 < {percent} counter drop")

    def lost(self) -> int:
        """How many packets ``lose`` has lost."""
        return sum(map(int, re.findall(r"counter packets (\d+)", self._net.shown_faults())))

    def _between(self, left: Iterable[str], right: Iterable[str]) -> list[str]:
        sides = [", ".join(self._addresses[name] for name in side) for side in (left, right)]
        return [f"ip saddr {{ {a} }} ip daddr {{ {b} }} drop" for a, b in (sides, sides[::-1])]
