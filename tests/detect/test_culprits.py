"""shield.detect.culprits: which ports the counted messages came from."""

from __future__ import annotations

import pytest

from shield.detect import culprits as module
from shield.detect.culprits import KEEP_TIME, MOST_PORTS, TRAIL, Culprits
from shield.net import Transport, pack
from shield.sip.event import Kind, SipEvent
from tests.builders import CLIENT, datagram, read_request, request


def event(port: int, transport: Transport = Transport.UDP, source: str = CLIENT) -> SipEvent:
    sent = request()
    made = datagram(sent, 0.0, source, source_port=port, transport=transport)
    return SipEvent(Kind.REFUSED, made, read_request(sent))


def named(culprits: Culprits, count: int = 16, rule: str = "guessing") -> str:
    return " ".join(map(str, culprits.of(pack(CLIENT), rule, count)))


def test_the_ports_of_the_counted_messages_are_named() -> None:
    """Each once, with its protocol; of other rules and other sources nothing."""
    found = Culprits()
    for port, transport in ((40_001, Transport.UDP), (40_002, Transport.TLS), (40_001, Transport.UDP)):
        found.counted(event(port, transport), "guessing")
    found.counted(event(40_003), "scan")
    found.counted(event(40_004, source="192.0.2.77"), "guessing")
    assert named(found) == "udp/40001 tcp/40002"
    assert named(found, rule="scan") == "udp/40003"
    assert named(found, rule="other") == ""


def test_only_as_many_messages_as_were_counted_are_looked_at() -> None:
    """What came before was not part of it."""
    found = Culprits()
    for port in (1, 2, 3):
        found.counted(event(port), "guessing")
    assert named(found, 2) == "udp/2 udp/3"
    assert named(found, 0) == "udp/3"


def test_who_changes_ports_at_will_is_not_told_by_them() -> None:
    """A few are named, more are not."""
    found = Culprits()
    for port in range(1, MOST_PORTS + 1):
        found.counted(event(port), "guessing")
    assert len(named(found).split()) == MOST_PORTS
    found.counted(event(99), "guessing")
    assert named(found) == ""


def test_a_port_from_which_somebody_logged_in_names_no_culprit() -> None:
    """Neither alone nor beside another one, as long as it is remembered."""
    found = Culprits()
    found.tick(0.0)
    found.counted(event(1), "guessing")
    found.good(event(1, Transport.TCP))
    found.good(event(1, source="192.0.2.77"))
    assert named(found) == "udp/1", "another protocol or address is another mapping"
    found.good(event(1))
    assert named(found) == ""
    found.counted(event(2), "guessing")
    assert named(found) == ""
    assert named(found, 1) == "udp/2"
    found.tick(KEEP_TIME)
    found.tick(2 * KEEP_TIME)
    found.counted(event(1), "guessing")
    assert named(found) == "udp/1"


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In messages of a source and in sources."""
    monkeypatch.setattr(module, "MAX_TRAILS", 10)
    found = Culprits()
    for number in range(100):
        found.counted(event(number + 1), "guessing")
    assert len(found._trails.get((pack(CLIENT), "guessing")) or b"") == 3 * TRAIL
    for number in range(50):
        found.counted(event(7, source=f"198.51.100.{number}"), "guessing")
    known = [n for n in range(50) if found.of(pack(f"198.51.100.{n}"), "guessing", 1)]
    assert len(known) <= 10
    assert 49 in known
