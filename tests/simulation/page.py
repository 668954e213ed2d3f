"""The table and the plot of ``docs/scale.md``, from the results of a simulation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["BEGIN", "END", "HEAD", "draw", "replaced", "table"]

BEGIN = "<!-- made by scripts/simulate --write -->"
END = "<!-- end -->"

HEAD = (
    "carrier", "nodes", "", "connections", "together", "idle: octets/s of a connection",
    "idle: kB/s of a node on the wire", "idle: % of a core", "one decision: ms", "its octets of a node",
    "1,000 decisions: ms", "octets of each",
)  # fmt: skip
"""Octets are of messages, on the wire with TLS, TCP, IP and Ethernet in both directions."""

NAMES = {"peer": "peer", "nats": "NATS"}


def table(results: dict[str, Any]) -> str:
    """Markdown: a row for each size of each carrier."""
    rows = [HEAD, tuple("---" if n < 1 or n == 2 else "---:" for n in range(len(HEAD)))]
    for carrier, found in results["carriers"].items():
        for kind in ("simulated", "projected"):
            rows += [_row(carrier, kind, one) for one in found[kind]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(carrier: str, kind: str, one: dict[str, Any]) -> tuple[str, ...]:
    return (
        NAMES[carrier],
        f"{one['nodes']:,}",
        kind,
        f"{one['links']:,}",
        f"{one['form_s']:.1f} s" if one["form_s"] else "",
        f"{one['idle_out'] / one['links']:,.0f}",
        f"{_both_ways(carrier, one) / 1000:,.1f}",
        f"{one['idle_cpu']:.1f}",
        f"{one['one_ms']:,.1f}",
        f"{one['one_out']:,.1f}",
        f"{1000 * one['many_s']:,.0f}",
        f"{one['many_out']:,.2f}",
    )


def _both_ways(carrier: str, one: dict[str, Any]) -> float:
    """A neighbour sends as much as the node itself; a node of NATS counts what comes anyway."""
    return float(one["idle_wire"]) * (2 if carrier == "peer" else 1)


def replaced(page: str, fresh: str) -> str:
    """The page with another table; raises ValueError when its markers are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{fresh}\n\n{END}{after}"


def draw(results: dict[str, Any], target: Path) -> None:
    """Draw what grows with the number of nodes (needs matplotlib, extra ``simulate``)."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "shield"  # the same file for the same figures
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    panels = (
        ("idle traffic of a node, kB/s on the wire", lambda c, one: _both_ways(c, one) / 1000),
        ("idle node, % of a core", lambda _c, one: one["idle_cpu"]),
        ("one decision until all have it, ms", lambda _c, one: one["one_ms"]),
    )
    for axis, (title, value) in zip(axes, panels, strict=True):
        for carrier, colour in (("peer", "tab:blue"), ("nats", "tab:orange")):
            found = results["carriers"].get(carrier)
            if found is None:
                continue
            for kind, style in (("simulated", "-o"), ("projected", ":")):
                rows = found[kind] if kind == "simulated" else found["simulated"][-1:] + found[kind]
                label = f"{NAMES[carrier]}, {kind}"
                sizes, values = [one["nodes"] for one in rows], [value(carrier, one) for one in rows]
                axis.plot(sizes, values, style, color=colour, label=label)
        axis.set(xscale="log", yscale="log", xlabel="nodes", title=title)
        axis.grid(visible=True, which="major", alpha=0.3)
    axes[0].legend()
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)
