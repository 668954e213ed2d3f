"""Decision: the values derived from its fields and the shape in which it is shown."""

from __future__ import annotations

import pytest

from shield.blocklist.decision import LIMIT, Change, ChangeKind, Decision, read_ports
from shield.detect.alert import Proof
from shield.errors import InputError
from shield.net import Network, Port

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
        "ports": "",
    }


def test_a_limit_names_its_ports_and_they_are_read_back() -> None:
    """One text, for tables, lists and files."""
    ports = (Port.parse("udp/40001"), Port.parse("tcp/5071"))
    shown = DECISION._replace(type=LIMIT, ports=ports).as_json(400.0)
    assert (shown["type"], shown["ports"]) == ("limit", "udp/40001 tcp/5071")
    assert read_ports(shown["ports"]) == ports
    assert read_ports("") == ()


@pytest.mark.parametrize(
    "text", ["udp", "udp/0", "udp/65536", "sctp/5060", "udp/x", "5060", "udp/1 udp/2 udp/3 udp/4 udp/5"]
)
def test_ports_that_make_no_sense_are_refused(text: str) -> None:
    """Of a list or of another node."""
    with pytest.raises(InputError, match="port"):
        read_ports(text)


def test_a_network_has_the_scope_range() -> None:
    """Also a change of it carries the decision as it was."""
    network = Network.parse("2001:db8::/64")
    change = Change(ChangeKind.ADDED, Decision(network, "x", "cli", Proof.PROVEN, 0.0, 1.0, 1.0, "i"))
    assert change.decision.scope == "range"
    assert change.decision.value == "2001:db8::/64"
    assert change.reason == ""
