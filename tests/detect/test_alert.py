"""shield.detect.alert: the claim against a source."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from shield.detect.alert import Alert, Proof
from shield.net import pack

ALERT = Alert(
    time=1.0,
    source=pack("192.0.2.9"),
    scenario="password-guessing",
    kind="bruteforce",
    proof=Proof.PROVEN,
    proofs=("nonce",),
    severity=3,
    confidence=3,
    count=5,
    messages=9,
    first_seen=0.5,
    ban_time=3_600.0,
)


@pytest.mark.parametrize("address", ["192.0.2.9", "2001:db8::9"])
def test_the_address_is_text(address: str) -> None:
    """Logs and other nodes see the address as people write it."""
    assert replace(ALERT, source=pack(address)).address == address


def test_proof_is_spelled_as_a_word() -> None:
    """The words go into logs, rule files and the feed of other nodes."""
    assert [str(proof) for proof in Proof] == ["proven", "unproven"]
    assert Proof("proven") is Proof.PROVEN


def test_an_alert_claims_no_more_than_it_was_given() -> None:
    """Without more it rests on behaviour, and carries neither details nor evidence."""
    assert (ALERT.fingerprint, ALERT.details, ALERT.evidence) == (False, (), ())


def test_an_alert_does_not_change() -> None:
    """It is handed to several consumers."""
    with pytest.raises(FrozenInstanceError):
        ALERT.count = 6  # type: ignore[misc]
