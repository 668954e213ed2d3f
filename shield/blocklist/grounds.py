"""Grounds: on what a decision rests, what would end it earlier, what would make a weak one strong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shield.blocklist.aside import Why
from shield.blocklist.decision import BY_HAND, Decision
from shield.blocklist.owners import LOCAL_ORIGINS
from shield.detect.alert import Proof

__all__ = ["REASONS", "grounds"]

SIGNS = {
    "nonce": "credentials with a nonce that a server sent to this address alone",
    "totag": "an ACK with a To tag that went to this address alone",
    "tcp": "a TCP connection that both sides took part in",
}
"""What only the owner of an address can show."""

REASONS = {
    Why.HELD: "beyond the budget of that node: release or drop it",
    Why.ALLOWLISTED: "the allowlist here covers it",
    Why.OWN_SERVER: "it is a SIP server",
    Why.MEMBER: "a node of the cluster is there",
    Why.PREFIX: "the network is too large for another node's word",
    Why.QUORUM: "too few nodes say so",
    Why.FULL: "there is no room",
    Why.SWITCHED_OFF: "switched off here",
    Why.UNPROVEN: "it does not say that the address is proven",
    Why.TRUSTED: "the address has lately logged in or completed a call here",
    Why.RINGING: "a call of the address rings here",
    Why.FLOOD: "one of many forged addresses at once",
    Why.TOO_MANY: "beyond the budget of that node for unproven bans",
    Why.REFUSED_BEFORE: "it was not in force here before the restart",
    Why.COVERED: "a proven decision is in force",
    Why.UNREADABLE: "this version cannot read it",
}
"""Why a record of the cluster is not in force here, for people."""


def grounds(decision: Decision, alerts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Explain one decision by the newest of ``alerts`` that is of its scenario."""
    by_hand = decision.origin in LOCAL_ORIGINS or decision.scenario in BY_HAND
    fitting = [one for one in alerts if one.get("scenario") == decision.scenario]
    alert = max(fitting, key=lambda one: one.get("time") or 0.0, default=None)
    proven = decision.proof is Proof.PROVEN
    seen = [] if alert is None else [name for name in alert.get("proofs") or () if name in SIGNS]
    lifted = ["shield unban", "shield allow add"]
    if not proven:
        lifted[:0] = ["a login or an answered call of this address"]
    return {
        "value": decision.value,
        "grade": decision.proof.value,
        "decided_by": decision.origin,
        "reasons": [_reason(decision, alert, seen, by_hand=by_hand)],
        "signs_seen": seen,
        "signs_missing": [name for name in SIGNS if name not in seen and not by_hand],
        "renewed": not proven,
        "lifted_by": lifted,
        "proven_by": [] if proven else list(SIGNS.values()),
    }


def _reason(
    decision: Decision, alert: Mapping[str, Any] | None, seen: Sequence[str], *, by_hand: bool
) -> str:
    if by_hand:
        return "an operator's word"
    counted = "" if alert is None else f" of {int(alert.get('count') or 0)} counted"
    if decision.proof is Proof.PROVEN:
        what = " or ".join(SIGNS[name] for name in seen) or "a sign that only its owner could give"
        return f"enough messages{counted} came with {what}"
    if seen:
        names = ", ".join(seen)
        return f"too few messages{counted} came with a sign of the address's owner (seen: {names})"
    return f"no message{counted} came with a sign that only the address's owner could give"
