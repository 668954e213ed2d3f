"""The results of ``scripts/bench cluster`` as a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Row = tuple[str, str, str, str]
"""What, measured, goal, bare asyncio with TLS."""


def as_text(result: dict[str, Any]) -> str:
    """A table for each event loop."""
    load = f"load before {result['load_before']:.1f}, after {result['load_after']:.1f}"
    lines = [f"Python {result['python']}, {result['cores']} cores, {load}"]
    for loop, parts in result["loops"].items():
        lines += ["", f"{loop:44}{'measured':>24}{'goal':>12}   bare TLS"]
        for part, found in parts.items():
            for one in found:
                why = one.get("skipped")
                rows = ROWS[part](one) if why is None else [(part, f"skipped: {why}", "", "")]
                over = "nats: " if one.get("carrier") == "nats" else ""
                lines += [f"{over + a:44}{b:>24}{c:>12}   {d}".rstrip() for a, b, c, d in rows]
    return "\n".join(lines)


def _latency(one: dict[str, Any]) -> Iterator[Row]:
    bare = one["bare"]["last"]
    for place in ("blocklist", "kernel"):
        if place not in one:
            continue
        last = one[place]["last"]
        if "kernel" in one:
            what, goals = f"enforcing: to {place} of all {one['receivers']}", ("", "")
        else:
            what = f"decision to {place} of all {one['receivers']}"
            goals = (f"{one['goal_p50_ms']:g}", f"{one['goal_p99_ms']:g}")
        times = f", ratio {one[place]['times_bare']:g}"
        yield f"{what}, p50", f"{last['p50_ms']:.2f} ms", goals[0], f"{bare['p50_ms']:.2f} ms{times}"
        yield f"{what}, p99", f"{last['p99_ms']:.2f} ms", goals[1], f"{bare['p99_ms']:.2f} ms"


def _bulk(one: dict[str, Any]) -> Iterator[Row]:
    yield (
        f"received and merged, {one['decisions']:,}", f"{one['per_core_second']:,} /s of a core",
        f"{one['goal']:,}", f"{1e6 / one['bare_microseconds']:,.0f}, ratio {one['times_bare']:g}",
    )  # fmt: skip
    yield "  a decision", f"{one['microseconds']:.1f} us, {one['bytes_each']} octets", "", ""


def _join(one: dict[str, Any]) -> Iterator[Row]:
    million = one["records"] == 1_000_000
    yield (
        f"join, {one['records']:,} of {one['origins']} nodes",
        f"{one['seconds']:.1f} s, CPU {one['cpu_seconds']:.1f} s",
        f"{one['goal_seconds']:g}" if million else "", f"{one['bare_seconds']:.2f} s",
    )  # fmt: skip
    yield (
        f"  peak {one['peak_mb']:.0f} MB, at the end {one['final_mb']:.0f} MB",
        f"{one['peak_by_final']:.2f}", f"{one['goal_peak']:g}", "",
    )  # fmt: skip


def _partition(one: dict[str, Any]) -> Iterator[Row]:
    what = f"equal after {one['cut_seconds']:g} s apart, {one['changes_each_side']:,} changes each"
    yield what, f"{one['seconds_to_equal']:.2f} s", f"{one['goal_seconds']:g}", ""


def _idle(one: dict[str, Any]) -> Iterator[Row]:
    measured = f"{one['cpu_percent']:.2f} %, {one['memory_mb']:.0f} MB"
    share = f"{one['share_mb']:.0f} MB"
    yield f"idle, each of {one['nodes']} nodes", measured, "", f"{one['bare_memory_mb']:.0f} MB"
    yield "  its share of memory, without what all have in common", share, "", ""


def _mesh(one: dict[str, Any]) -> Iterator[Row]:
    what = f"full mesh of {one['nodes']} nodes, {one['connections']:,} connections"
    yield what, f"{one['mesh_seconds']:.1f} s", "", ""
    spent = f"{one['cpu_seconds']:.1f} s, {one['memory_mb']:.0f} MB"
    yield f"  after {one['started_seconds']:.0f} s of starts; CPU and memory of each", spent, "", ""


ROWS = {
    "latency": _latency,
    "kernel": _latency,
    "bulk": _bulk,
    "join": _join,
    "partition": _partition,
    "idle": _idle,
    "mesh": _mesh,
}
