"""The columns of decisions and alerts, the same in every table that shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shield.cli.render import Column, dash, local_time, seconds

__all__ = [
    "ALERTS",
    "ALLOWED",
    "ALLOWED_PLAIN",
    "DECISIONS",
    "proof_colour",
    "severity_colour",
]

_SEVERITY = {1: "blue", 2: "cyan", 3: "yellow", 4: "red"}


def proof_colour(row: Mapping[str, Any]) -> str:
    """Green where the address is known not to be forged."""
    return "green" if row.get("proof") == "proven" else "yellow"


def type_colour(row: Mapping[str, Any]) -> str:
    """A limit stands out among bans."""
    return "cyan" if row.get("type") == "limit" else ""


def severity_colour(row: Mapping[str, Any]) -> str:
    """From blue (low) to red (critical)."""
    return _SEVERITY.get(int(row.get("severity") or 0), "")


DECISIONS = (
    Column("value", "value", keep=9),
    Column("type", "type", dash, keep=6, colour=type_colour),
    Column("scenario", "scenario", keep=8, cut=True),
    Column("proof", "proof", keep=5, colour=proof_colour),
    Column("remaining", "left", seconds, keep=9, right=True),
    Column("time", "since", local_time, keep=2),
    Column("origin", "origin", keep=4, cut=True),
    Column("repeats", "repeats", keep=1, right=True),
    Column("ports", "ports", dash, keep=2),
    Column("reason", "reason", dash, keep=3, cut=True),
)
ALLOWED = (
    Column("value", "value", keep=9),
    Column(
        "remaining",
        "left",
        lambda left: "forever" if left is None else seconds(left),
        keep=8,
        right=True,
    ),
    Column("origin", "origin", dash, keep=3, cut=True),
    Column("reason", "reason", dash, keep=6, cut=True),
)
ALLOWED_PLAIN = ("value", "remaining", "origin", "reason")

ALERTS = (
    Column("time", "time", local_time, keep=3),
    Column("value", "source", keep=9),
    Column("scenario", "scenario", keep=8, cut=True, colour=severity_colour),
    Column("proof", "proof", keep=6, colour=proof_colour),
    Column("messages", "messages", keep=5, right=True),
    Column("why", "result", dash, keep=7, cut=True),
)
