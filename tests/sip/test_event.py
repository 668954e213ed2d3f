"""shield.sip.event: what a SipEvent tells rules."""

from __future__ import annotations

import pytest

from shield.net import Transport, pack
from shield.sip.event import NONCE, TCP, TO_TAG, Kind, SipEvent, proof_names
from tests.builders import CLIENT, SERVER, datagram, read_request, read_response, request, response


def event(payload: bytes, *, connected: bool = False) -> SipEvent:
    """The event of one request."""
    packet = datagram(payload, 7.5, connected=connected, source_port=40_000, transport=Transport.TCP)
    return SipEvent(Kind.REQUEST, packet, read_request(payload))


def test_client_is_who_asks_and_server_who_is_asked() -> None:
    """Addresses, ports, time and transport come from the datagram of the request."""
    found = event(request())
    assert (found.client, found.client_port) == (pack(CLIENT), 40_000)
    assert (found.server, found.server_port) == (pack(SERVER), 5060)
    assert (found.time, found.transport, found.branch) == (7.5, Transport.TCP, b"z9hG4bK1")
    assert (found.status, found.response, found.auth) == (0, None, None)


def test_a_connected_sender_is_proven() -> None:
    """A completed TCP handshake proves the address; TCP segments alone do not."""
    assert event(request(), connected=True).proofs == TCP
    assert event(request()).proofs == 0


@pytest.mark.parametrize(
    ("bits", "names"),
    [(0, ()), (NONCE, ("nonce",)), (NONCE | TO_TAG | TCP, ("nonce", "totag", "tcp")), (TCP, ("tcp",))],
)
def test_proofs_have_names(bits: int, names: tuple[str, ...]) -> None:
    """Rule files and alerts spell the signs as words."""
    assert proof_names(bits) == names


def test_register_asks_for_to_and_others_for_the_request_uri() -> None:
    """The Request-URI of REGISTER names the domain only (RFC 3261 section 10.2)."""
    register = event(request("REGISTER", user="alice"))
    assert (register.method, register.user, register.domain) == (b"REGISTER", b"alice", b"host.example")
    other = request("INVITE", user="bob").replace(b"To: <sip:bob@", b"To: <sip:eve@")
    assert event(other).user == b"bob"


def test_missing_user_and_tag_are_empty() -> None:
    """What the message does not say is empty, not None."""
    payload = request("OPTIONS").replace(b"sip:100@host.example SIP", b"sip:host.example SIP")
    found = event(payload.replace(b";tag=f1", b""))
    assert (found.user, found.tag) == (b"", b"")
    assert event(request(tag="x9")).tag == b"x9"


def test_an_unreadable_request_has_no_user() -> None:
    """Events of malformed messages can be asked the same questions."""
    found = SipEvent(Kind.MALFORMED, datagram(b"\x00garbage"), None)
    assert (found.method, found.user, found.tag, found.domain) == (b"", b"", b"", b"")
    assert found.payload == b"\x00garbage"


def test_a_later_event_keeps_the_request_and_leaves_the_first_alone() -> None:
    """The same request can be told about twice; the earlier event does not change."""
    payload = request()
    first = event(payload, connected=True)
    answer = read_response(response(403, payload))
    later = first.then(Kind.ANSWER, 9.0, answer, 403)
    assert (later.kind, later.time, later.status, later.response) == (Kind.ANSWER, 9.0, 403, answer)
    assert (later.client, later.request, later.proofs) == (first.client, first.request, TCP)
    assert (first.kind, first.time, first.status, first.response) == (Kind.REQUEST, 7.5, 0, None)
