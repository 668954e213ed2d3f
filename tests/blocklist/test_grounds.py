"""Grounds: why a decision has its grade, and what would change it."""

from __future__ import annotations

from typing import Any

from shield.blocklist.aside import Why
from shield.blocklist.decision import Decision
from shield.blocklist.grounds import REASONS, SIGNS, grounds
from shield.detect.alert import Proof
from shield.net import Network


def told(proof: Proof, *proofs: str, origin: str = "n1", alerts: bool = True) -> dict[str, Any]:
    made = Decision(Network.parse("192.0.2.1"), "scan", origin, proof, 0.0, 9.0, 9.0, "n1-1")
    rows: list[dict[str, Any]] = [{"scenario": "other", "count": 1, "proofs": []}]
    rows += [{"scenario": "scan", "count": 7, "proofs": list(proofs)}] if alerts else []
    return grounds(made, rows)


def test_an_unproven_ban_says_what_is_missing_and_what_ends_it() -> None:
    """No sign at all, or too few; good traffic, an operator, and proof would change it."""
    shown = told(Proof.UNPROVEN)
    assert (shown["grade"], shown["decided_by"], shown["renewed"]) == ("unproven", "n1", True)
    assert shown["reasons"][0].startswith("no message of 7 counted")
    assert shown["lifted_by"][0].startswith("a login or an answered call")
    assert "shield unban" in shown["lifted_by"]
    assert (shown["signs_missing"], len(shown["proven_by"])) == (list(SIGNS), 3)
    some = told(Proof.UNPROVEN, "totag")
    assert some["reasons"][0].startswith("too few messages of 7 counted")
    assert (some["signs_seen"], some["signs_missing"]) == (["totag"], ["nonce", "tcp"])


def test_a_proven_ban_says_by_what() -> None:
    """Good traffic does not lift it; without its alert the grade is still told."""
    shown = told(Proof.PROVEN, "nonce")
    assert SIGNS["nonce"] in shown["reasons"][0]
    assert (shown["proven_by"], shown["renewed"]) == ([], False)
    assert shown["lifted_by"] == ["shield unban", "shield allow add"]
    assert "enough messages came with" in told(Proof.PROVEN, alerts=False)["reasons"][0]
    assert told(Proof.PROVEN, origin="cli")["reasons"] == ["an operator's word"]


def test_each_reason_against_a_record_has_words() -> None:
    """Show knows them all."""
    assert set(REASONS) == set(Why)
