"""Explain: everything that a running node itself knows about one address, for ``shield show``."""

from __future__ import annotations

from typing import Any

from shield.blocklist.decision import BAN, LIMIT
from shield.detect.scores import standing
from shield.net import unpack
from shield.pipeline import Pipeline

__all__ = ["explain"]


def explain(pipeline: Pipeline, address: bytes, now: float) -> dict[str, Any]:
    """Say what a node remembers of an address; ``now`` is node time."""
    blocklist, engine, time = pipeline.blocklist, pipeline.engine, pipeline.time
    decision = blocklist.match(address, now)
    entry = pipeline.allowlist.covers(address)
    record = engine.sources.get(address)
    source = None
    if record is not None:
        trusted = engine.trusted(address, time)
        source = {
            "first_seen": record.first_seen,
            # While it is banned its packets are counted and not read.
            "last_seen": max(record.last_seen, blocklist.guard.last_hit(address) or 0.0),
            "messages": record.messages,
            "scores": standing(
                engine.rules,
                record,
                time,
                trusted=trusted,
                shown=engine.suspects.standing(engine.rules, address, time),
            ),
            "trusted": trusted,
            "trust": round(record.trust(time, engine.trust_time), 2),
            "refused_passwords": record.refused,
        }
    return {
        "value": unpack(address),
        "banned": decision is not None and decision.type == BAN and entry is None,
        "limited": decision is not None and decision.type == LIMIT and entry is None,
        "decision": decision.as_json(now) if decision is not None else None,
        "allowlisted": entry.as_json(now) if entry is not None else None,
        "server": address in pipeline.servers.known,
        "source": source,
        "skipped": blocklist.guard.hits_of(address),
        "alerts": [
            {**verdict.alert.as_json(), "why": verdict.why} for verdict in pipeline.verdicts(address)
        ],
    }
