"""What ``show`` tells of one address or network, whether the daemon knows it or only the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shield.blocklist.allowlist import AllowEntry
from shield.blocklist.decision import BAN, Decision
from shield.blocklist.grounds import grounds

__all__ = ["story"]

Rows = Sequence[Mapping[str, Any]]


def story(
    value: str,
    now: float,
    *,
    decisions: Sequence[Decision],
    allowed: AllowEntry | None,
    alerts: Rows,
    history: Rows,
    source: Mapping[str, Any] | None = None,
    shared: Rows = (),
) -> dict[str, Any]:
    """Put together what is known; ``source`` is what a running node remembers of an address.

    ``shared`` is what nodes of the cluster say about exactly this value.
    """
    record = (source or {}).get("source")
    known = bool(alerts or history or record)
    state = "watched" if known else "unknown"
    if decisions:
        state = "banned" if any(decision.type == BAN for decision in decisions) else "limited"
    if allowed:
        state = "allowed"
    return {
        "value": value,
        "state": state,
        **_seen(alerts, record or {}),
        "decisions": [decision.as_json(now) for decision in decisions],
        "grounds": [grounds(decision, alerts) for decision in decisions],
        "allowlist": allowed.as_json(now) if allowed else None,
        "alerts": list(alerts),
        "history": [_past(row) for row in history],
        "source": source,
        "shared": list(shared),
    }


def _seen(alerts: Rows, record: Mapping[str, Any]) -> dict[str, float | None]:
    """When the first and the last packet came; after a restart the alerts know it from before."""
    first = [alert["first_seen"] for alert in alerts if alert.get("first_seen") is not None]
    last = [alert["time"] for alert in alerts if alert.get("time") is not None]
    if record:
        first.append(record["first_seen"])
        last.append(record["last_seen"])
    return {"first_seen": min(first, default=None), "last_seen": max(last, default=None)}


def _past(row: Mapping[str, Any]) -> dict[str, Any]:
    """Bring a line of history into the keys of a decision, with the time of the change."""
    return {**row, "time": row["at"], "kind": row["change"], "reason": row["why"] or row["reason"]}
