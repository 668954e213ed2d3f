"""Decision: the values derived from its fields and the shape in which it is shown."""

from __future__ import annotations

from shield.blocklist.decision import Change, ChangeKind, Decision
from shield.detect.alert import Proof
from shield.net import Network

DECISION = Decision(
    network=Network.parse("192.0.2.1"),
    scenario="sip-scan",
    origin="node-a",
    proof=Proof.PROVEN,
    time=1_800_000_000.1234567,
    until=700.0,
    duration=600.0,
    id="node-a-1",
)


def test_the_remaining_time_is_never_negative() -> None:
    """Whatever the clock says."""
    assert DECISION.remaining(100.0) == 600.0
    assert DECISION.remaining(9000.0) == 0.0


def test_extending_leaves_the_original() -> None:
    """Decisions are values."""
    longer = DECISION.extended(900.0, 800.0)
    assert (longer.until, longer.duration, longer.id) == (900.0, 800.0, "node-a-1")
    assert DECISION.until == 700.0


def test_the_shown_shape_has_every_field() -> None:
    """Scripts read these keys."""
    assert DECISION.as_json(400.0) == {
        "id": "node-a-1",
        "value": "192.0.2.1",
        "scope": "ip",
        "type": "ban",
        "scenario": "sip-scan",
        "origin": "node-a",
        "proof": "proven",
        "time": 1_800_000_000.123457,
        "duration": 600.0,
        "remaining": 300.0,
        "repeats": 0,
        "reason": "",
    }


def test_a_network_has_the_scope_range() -> None:
    """Also a change of it carries the decision as it was."""
    network = Network.parse("2001:db8::/64")
    change = Change(ChangeKind.ADDED, Decision(network, "x", "cli", Proof.PROVEN, 0.0, 1.0, 1.0, "i"))
    assert change.decision.scope == "range"
    assert change.decision.value == "2001:db8::/64"
    assert change.reason == ""
