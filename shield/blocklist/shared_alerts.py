"""Alerts that travel with decisions, so that every node can explain a ban, not only the one that saw it.

One travels as the JSON text that the journal stores, trimmed. What arrives is read field by field: it is
shown to people and stored, and its length and shape are somebody else's choice.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from typing import Any

from shield.blocklist.journal_rows import alert_document
from shield.blocklist.shared_record import banned_network
from shield.detect.alert import Alert, Proof
from shield.errors import InputError, RemoteError
from shield.net import Network, pack

__all__ = [
    "PUSHED",
    "pack_alert",
    "pack_documents",
    "pack_new",
    "read_alert",
    "read_answer",
    "read_pushed",
    "read_question",
    "sent_by",
]

SAMPLES = 4
"""Evidence messages that travel: the first ones tell what it is."""
SAMPLE_TEXT = 1500
"""Characters of each: header of a SIP request with its usual fields."""
DETAILS = 16
TEXT = 255
"""Characters of any other text."""
MAX_ALERT = 16_384
"""Octets of one alert: four samples whose every character is escaped would not fit, and are left out."""
PUSHED = 16
"""Alerts in one message with decisions; who misses one asks for it."""
ALERTS = 8
"""Alerts in the answer to a question why an address is banned."""

_NUMBERS = (
    "time", "severity", "confidence", "score", "limit", "count", "messages", "first_seen", "ban_time",
)  # fmt: skip
_TEXTS = ("scenario", "kind", "measure")


def pack_alert(document: Mapping[str, Any]) -> bytes | None:
    """Trim and pack what ``alert_document`` gives; None when it is too long even without evidence."""
    evidence = [
        {**one, "message": str(one["message"])[:SAMPLE_TEXT]}
        for one in list(document.get("evidence") or ())[:SAMPLES]
    ]
    for samples in (evidence, evidence[:1], []):
        data = json.dumps({**document, "evidence": samples}).encode()
        if len(data) <= MAX_ALERT:
            return data
    return None


def pack_documents(documents: Sequence[Mapping[str, Any]]) -> tuple[bytes, ...]:
    """Pack the newest alerts, the answer to ``explain``."""
    packed = (pack_alert(document) for document in documents[:ALERTS])
    return tuple(data for data in packed if data is not None)


def pack_new(alert: Alert, wall: float) -> bytes | None:
    """Pack an alert that led to a decision a moment ago."""
    return pack_alert(alert_document(alert, wall))


def sent_by(alert: Alert | None) -> int:
    """Messages that speak against the source of an alert by itself: what it sent, or was counted for."""
    if alert is None:
        return 0
    return alert.messages if alert.sources > 1 else max(alert.messages, alert.count)


def read_alert(data: Any, network: Network, origin: str, wall: float) -> dict[str, Any]:
    """Read one alert of ``origin`` about an address in ``network``; raises RemoteError("alert").

    Returns the shape that the journal stores, with the time of arrival and ``origin``.
    """
    if type(data) is not bytes or len(data) > MAX_ALERT:
        raise RemoteError("alert", "too long")
    try:
        found = json.loads(data)
        if not network.contains(Network.host(pack(str(found["value"])))):
            raise RemoteError("alert", "about another address")
        numbers = {name: _number(found[name]) for name in _NUMBERS}
        texts = {name: _text(found[name]) for name in _TEXTS}
        return {
            "at": wall,
            "value": str(found["value"]),
            "origin": origin,
            **numbers,
            **texts,
            "campaign": _text(found.get("campaign", "")),
            "ports": _text(found.get("ports", "")),
            "sources": _number(found.get("sources", 1)),
            "proof": Proof(found["proof"]).value,
            "proofs": [_text(one) for one in found["proofs"][:DETAILS]],
            "marks": [
                {"mark": _text(one["mark"]), "weight": _number(one["weight"])}
                for one in found["marks"][:DETAILS]
            ],
            "fingerprint": found.get("fingerprint") is True,
            "details": {
                _text(key): _text(value) for key, value in list(found["details"].items())[:DETAILS]
            },
            "evidence": [_sample(one) for one in found["evidence"][:SAMPLES]],
        }
    except (InputError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RemoteError("alert", str(error)) from None


def read_question(body: Any) -> Network:
    """Read ``("explain", network)``; raises RemoteError("question")."""
    if type(body) is not tuple or body[:1] != ("explain",) or len(body) < 2:
        raise RemoteError("question")
    try:
        return Network.parse(str(body[1])[:64])
    except InputError as error:
        raise RemoteError("question", str(error)) from None


def read_answer(body: Any, network: Network, origin: str, wall: float) -> list[dict[str, Any]]:
    """Read the answer to ``explain``; what makes no sense is left out."""
    documents = []
    for data in body[:ALERTS] if isinstance(body, tuple) else ():
        try:
            documents.append(read_alert(data, network, origin, wall))
        except RemoteError:
            continue
    return documents


def read_pushed(
    alerts: Any, wanted: Container[bytes], origin: str, wall: float
) -> tuple[list[dict[str, Any]], int]:
    """Read the pairs (key, alert) that came with decisions; only those ``wanted``.

    Returns them and how many made no sense.
    """
    documents, refused = [], 0
    for item in alerts[:PUSHED] if type(alerts) is tuple else ():
        try:
            key, data = item
            if key in wanted:
                documents.append(read_alert(data, banned_network(key), origin, wall))
        except (RemoteError, TypeError, ValueError):
            refused += 1
    return documents, refused


def _sample(one: Any) -> dict[str, Any]:
    return {
        "time": _number(one["time"]),
        "message": _text(one["message"], SAMPLE_TEXT),
        "note": _text(one["note"]),
    }


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not -1e12 <= value <= 1e12:  # NaN compares false
        raise ValueError(f"not a number: {str(value)[:40]}")
    number: float = value
    return number


def _text(value: Any, most: int = TEXT) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    # JSON can spell half characters, which no terminal and no file takes.
    return value[:most].encode("utf-8", "replace").decode()
