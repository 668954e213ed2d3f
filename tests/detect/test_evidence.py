"""Facts of evidence: what is kept of suspicious sources, and how much at most."""

from __future__ import annotations

import pytest

from shield.detect import evidence
from shield.detect.alert import EVIDENCE_BYTES
from shield.detect.evidence import KEEP_TIME, PER_SOURCE, EvidenceStore
from shield.net import pack
from shield.sip.event import Kind, SipEvent
from tests.builders import CLIENT, datagram, read_request, request


def event(time: float, payload: bytes | None = None, source: str = CLIENT) -> SipEvent:
    sent = request("OPTIONS") if payload is None else payload
    return SipEvent(Kind.REQUEST, datagram(sent, time, source), read_request(sent))


def test_a_message_is_kept_with_time_and_note() -> None:
    """What made a rule count is shown with the alert."""
    store = EvidenceStore()
    store.add(event(5.0), "rule; mark")
    (kept,) = store.of(pack(CLIENT))
    assert (kept.time, kept.note) == (5.0, "rule; mark")
    assert kept.message.startswith("OPTIONS sip:100@host.example SIP/2.0\r\n")
    assert store.of(pack("192.0.2.77")) == ()


def test_the_last_few_are_kept_in_order() -> None:
    """A loud source costs no more than PER_SOURCE messages."""
    store = EvidenceStore()
    for number in range(PER_SOURCE + 3):
        store.add(event(float(number)), "")
    assert [kept.time for kept in store.of(pack(CLIENT))] == [3.0, 4.0, 5.0, 6.0, 7.0]


def test_long_messages_are_cut_and_odd_bytes_escaped() -> None:
    """At most EVIDENCE_BYTES of a message, always as text."""
    store = EvidenceStore()
    store.add(event(0.0, request("OPTIONS", agent="x" * 2_000)), "")
    (kept,) = store.of(pack(CLIENT))
    assert len(kept.message) == EVIDENCE_BYTES
    unreadable = SipEvent(Kind.MALFORMED, datagram(b"\xffhello", 1.0), None)
    store.add(unreadable, "")
    assert store.of(pack(CLIENT))[1].message == "\\xffhello"


def test_sources_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forged sources push out older ones."""
    monkeypatch.setattr(evidence, "MAX_SOURCES", 10)
    store = EvidenceStore()
    for number in range(50):
        store.add(event(0.0, source=f"198.51.100.{number}"), "")
    kept = [number for number in range(50) if store.of(pack(f"198.51.100.{number}"))]
    assert len(kept) <= 10
    assert 49 in kept


def test_old_evidence_goes() -> None:
    """After two periods without a new message nothing is left."""
    store = EvidenceStore()
    store.tick(1.0)
    store.add(event(1.0), "")
    store.tick(1.0 + KEEP_TIME)
    assert store.of(pack(CLIENT))
    store.tick(1.0 + 2 * KEEP_TIME)
    assert not store.of(pack(CLIENT))


def test_accounts_of_the_kept_messages_are_known() -> None:
    """Each once, of those that carry credentials."""
    store = EvidenceStore()
    for name in (b"100", b"", b"101", b"100"):
        made = event(5.0)
        made.auth = (name, b"nonce", b"response") if name else None
        store.add(made, "")
    assert store.accounts(pack(CLIENT)) == (b"100", b"101")
    assert store.accounts(pack("192.0.2.77")) == ()
