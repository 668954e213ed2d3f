"""Figures of clusters that are too large to be simulated node by node, from those that were.

The cost of a node grows with its connections (peer carrier) or with the members that it hears (NATS):
a straight line for each figure, through all sizes that were simulated but the smallest. How far the line
is from that one tells what it is worth.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import fields

from tests.simulation.measure import Figures

__all__ = ["GROWING", "project", "worth"]

GROWING = ("idle_out", "idle_wire", "idle_pieces", "idle_cpu", "one_ms", "one_out", "many_s", "many_out")
"""Figures that are projected. How long nodes take to find together is not: it depends on how many start
at once."""


def project(simulated: Sequence[Figures], nodes: int, links: int) -> Figures:
    """Give the figures of a cluster of ``nodes`` with ``links`` connections each."""
    known = sorted(simulated, key=lambda one: one.nodes)[1:]
    if len(known) < 2:
        raise ValueError("three sizes at least must be simulated")
    values = {name: _line(known, name, nodes) for name in GROWING}
    return Figures(nodes=nodes, links=links, form_s=0.0, **values)


def worth(simulated: Sequence[Figures]) -> dict[str, float]:
    """How far the projection is from the smallest size, which it does not know: its share of that."""
    least = min(simulated, key=lambda one: one.nodes)
    said = project(simulated, least.nodes, least.links)
    return {
        name: round(abs(getattr(said, name) / real - 1), 2)
        for name in GROWING
        if (real := getattr(least, name))
    }


def _line(known: Sequence[Figures], name: str, nodes: int) -> float:
    sizes = [one.nodes for one in known]
    if name in (
        "one_out",
        "many_out",
    ):  # all octets divided by all nodes: what the last node adds is the same
        totals = [getattr(one, name) * one.nodes for one in known]
        slope, start = statistics.linear_regression(sizes, totals)
        return round((slope * nodes + start) / nodes, 2)
    slope, start = statistics.linear_regression(sizes, [getattr(one, name) for one in known])
    return round(slope * nodes + start, 3)


assert set(GROWING) <= {one.name for one in fields(Figures)}
