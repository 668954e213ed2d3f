"""Alert: a rule's claim that a source did something, with the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shield.net import Port, unpack

__all__ = ["Alert", "Evidence", "Proof"]

EVIDENCE_BYTES = 600
"""Of each evidence message this much is kept: a start line and the usual header fields."""


class Proof(StrEnum):
    """Whether the source address is known not to be forged."""

    PROVEN = "proven"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One message that made a rule count."""

    time: float
    """Event time, seconds since the epoch."""
    message: str
    """Start and header of the message, at most EVIDENCE_BYTES, undecodable bytes escaped."""
    note: str = ""
    """What the rule saw in it: answer status, mark that matched."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Rule ``scenario`` reached its limit for ``source``."""

    time: float
    """Event time of the message that completed it, seconds since the epoch."""
    source: bytes
    """Packed address that is accused."""
    scenario: str
    """Name of the behaviour; nodes with other rule versions agree on it."""
    kind: str
    """Class of the behaviour: scan, enum, bruteforce, flood, tollfraud, fuzz, relay, identity."""
    proof: Proof
    """PROVEN only if the messages that were counted prove the source, each of them."""
    proofs: tuple[str, ...]
    """The signals seen: ``nonce``, ``totag``, ``tcp``."""
    severity: int
    """1 low to 4 critical, from the rule."""
    confidence: int
    """1 low to 3 high, from the rule."""
    count: int
    """What the rule counted when it reached its limit."""
    messages: int
    """Requests seen from this source so far, this one included."""
    first_seen: float
    """Event time of the source's first request that this node remembers."""
    ban_time: float
    """Seconds that the rule asks for."""
    fingerprint: bool = False
    """The claim rests on what one message looks like, not on behaviour over several."""
    repeated: bool = True
    """False for a fingerprint seen once or twice, and while a call of the source rings: the policy
    then waits whether more sources look alike, or the source turns out to be good."""
    score: int = 0
    """What ``measure`` names, when the rule took it as enough."""
    limit: int = 0
    """The score that was needed."""
    measure: str = ""
    """What the score counts, for people: ``weight of marks``, ``requests a minute`` ..."""
    marks: tuple[tuple[str, int], ...] = ()
    """Signs of a tool that the last message showed, and what each weighs."""
    sources: int = 1
    """How many sources did it together."""
    length: int | None = None
    """Prefix length that the rule wants banned in place of the address."""
    details: tuple[tuple[str, str], ...] = ()
    """What an operator wants to know: user agent, users, called numbers, ports."""
    evidence: tuple[Evidence, ...] = ()
    ports: tuple[Port, ...] = ()
    """Of a proven alert: the few ports from which all of it came, if nobody logged in from them."""

    @property
    def address(self) -> str:
        """Text of the accused address."""
        return unpack(self.source)

    @property
    def campaign(self) -> str:
        """What links sources that run the same program (``shield.detect.shape``); empty if unknown."""
        return dict(self.details).get("campaign", "")

    def as_json(self) -> dict[str, Any]:
        """The one shape in which an alert is shown everywhere."""
        return {
            "time": round(self.time, 6),
            "value": self.address,
            "scenario": self.scenario,
            "kind": self.kind,
            "proof": self.proof.value,
            "proofs": list(self.proofs),
            "severity": self.severity,
            "confidence": self.confidence,
            "score": self.score,
            "limit": self.limit,
            "measure": self.measure,
            "marks": [{"mark": text, "weight": weight} for text, weight in self.marks],
            "count": self.count,
            "messages": self.messages,
            "sources": self.sources,
            "campaign": self.campaign,
            "first_seen": round(self.first_seen, 6),
            "ports": " ".join(map(str, self.ports)),
            "details": dict(self.details),
            "evidence": [
                {"time": round(item.time, 6), "note": item.note, "message": item.message}
                for item in self.evidence
            ],
        }
