"""What the journal stores of a decision, an alert and an allowlist entry, and how it is read back.

Ends are stored as wall time; ``shift`` is wall time minus node time. Readers raise an exception of
``UNREADABLE`` for a row that makes no sense.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from shield.blocklist.allowlist import AllowEntry
from shield.blocklist.decision import Decision, read_ports
from shield.detect.alert import Alert, Proof
from shield.errors import InputError
from shield.net import Network

__all__ = [
    "UNREADABLE",
    "Row",
    "alert_document",
    "alert_row",
    "allow_row",
    "decision_row",
    "read_alert",
    "read_allowed",
    "read_decision",
    "read_history",
]

UNREADABLE = (InputError, ValueError, TypeError, KeyError, OverflowError, RecursionError)
"""What a row of a file that somebody changed can lead to."""

Row = tuple[Any, ...]


def decision_row(decision: Decision, shift: float) -> Row:
    """Return the columns of a decision; ``read_decision`` is the way back."""
    return (
        str(decision.network),
        decision.proof.value,
        _text(decision.id),
        _text(decision.scenario),
        _text(decision.origin),
        _text(decision.type),
        decision.time,
        decision.until + shift,
        decision.duration,
        decision.repeats,
        _text(decision.reason),
        " ".join(map(str, decision.ports)),
    )


def read_decision(row: Row, shift: float, wall: float) -> Decision:
    """Read a row of ``decisions`` at wall time ``wall``.

    Never more is left than the whole duration, however far the wall clock was set back meanwhile.
    """
    value, proof, id_, scenario, origin, type_, time, until, duration, repeats, reason, ports = row
    return Decision(
        network=Network.parse(value),
        scenario=str(scenario),
        origin=str(origin),
        proof=Proof(proof),
        time=_number(time),
        until=min(_number(until), wall + _number(duration)) - shift,
        duration=_number(duration),
        id=str(id_),
        reason=str(reason),
        type=str(type_),
        repeats=int(repeats),
        ports=read_ports(ports),
    )


def read_history(row: Row) -> dict[str, Any]:
    """Read a row of ``history`` as it is shown; ``at`` and ``until`` are wall times."""
    (
        at,
        change,
        why,
        value,
        proof,
        id_,
        scenario,
        origin,
        type_,
        time,
        until,
        duration,
        repeats,
        reason,
        ports,
    ) = row
    return {
        "at": round(_number(at), 6),
        "change": str(change),
        "why": str(why),
        "id": str(id_),
        "value": str(value),
        "scope": "ip" if Network.parse(value).is_host else "range",
        "type": str(type_),
        "scenario": str(scenario),
        "origin": str(origin),
        "proof": str(proof),
        "time": round(_number(time), 6),
        "until": round(_number(until), 3),
        "duration": round(_number(duration), 3),
        "repeats": int(repeats),
        "reason": str(reason),
        "ports": str(ports),
    }


def alert_document(alert: Alert, wall: float) -> dict[str, Any]:
    """Give all of an alert that was raised at ``wall`` as it is stored."""
    return {
        "at": wall,
        **alert.as_json(),
        "ban_time": alert.ban_time,
        "fingerprint": alert.fingerprint,
    }


def alert_row(document: Mapping[str, Any]) -> Row:
    """Return the columns of an alert: time, value, proven, and all of it as JSON."""
    proven = int(document["proof"] == Proof.PROVEN.value)
    # Escaped to ASCII: text of packets may hold lone surrogates, which SQLite refuses.
    return document["at"], document["value"], proven, json.dumps(document)


def read_alert(row: Row) -> dict[str, Any]:
    """Read a row of ``alerts`` as it is shown."""
    document = json.loads(row[3])
    if not isinstance(document, dict):
        raise InputError("not an alert")
    return document


def allow_row(entry: AllowEntry, shift: float) -> Row:
    """Return the columns of an allowlist entry; ``read_allowed`` is the way back."""
    return (
        entry.value,
        entry.kind,
        json.dumps([str(network) for network in entry.networks]),
        _text(entry.reason),
        _text(entry.origin),
        entry.time,
        None if entry.until is None else entry.until + shift,
    )


def read_allowed(row: Row, shift: float) -> AllowEntry:
    """Read a row of ``allowed``."""
    value, kind, networks, reason, origin, time, until = row
    if kind not in {"address", "network", "name"}:
        raise InputError(f"kind of allowlist entry: {kind!r}")
    return AllowEntry(
        value=str(value),
        networks=tuple(Network.parse(text) for text in json.loads(networks)),
        kind=str(kind),
        reason=str(reason),
        origin=str(origin),
        time=_number(time),
        until=None if until is None else _number(until) - shift,
    )


def _number(value: object) -> float:
    if not isinstance(value, int | float) or not isfinite(value):
        raise InputError(f"not a number: {value!r}")
    return float(value)


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
