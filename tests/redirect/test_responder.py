"""shield.redirect.responder: what proxies ask, and the answer that they follow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.errors import ConfigError
from shield.net import Transport, pack
from shield.redirect.responder import HERE, Answer, Responder, Target, contact_uri, escape_user
from shield.redirect.settings import RedirectSettings
from shield.sip.headers import parse_contacts, parse_name_addr, parse_vias
from shield.sip.message import Response, parse_message
from shield.sip.uri import parse_uri
from tests.builders import request

ASKER, PORT = "127.0.0.1", 40_000
PLACES = {
    b"100@host.example": Target("192.0.2.2:5060", "udp"),
    b"200@host.example": Target("[2001:db8::2]:5070", "tcp"),
    b"300@host.example": Target("sip:sip1.example.com:5080;transport=tls", "udp"),
}


def responder(**settings: Any) -> Responder:
    return Responder(RedirectSettings(**settings), [lambda aor, _now: PLACES.get(aor)], salt=b"salt")


def ask(
    payload: bytes, made: Responder | None = None, source: str = ASKER,
    transport: Transport = Transport.UDP, now: float = 5.0,
) -> Answer | None:  # fmt: skip
    return (made or responder()).receive(payload, pack(source), PORT, transport, now)


def answered(payload: bytes, made: Responder | None = None) -> Response:
    answer = ask(payload, made)
    assert answer is not None
    message = parse_message(answer.payload)
    assert isinstance(message, Response)
    assert message.defects == ()
    return message


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE", "REGISTER"])
def test_a_user_is_where_the_contact_says(method: str) -> None:
    """302 with one Contact, for each method that is answered."""
    found = answered(request(method, user="100"))
    assert found.status == 302
    assert found.get(b"Contact") == b"<sip:100@192.0.2.2:5060>"
    assert answered(request(method, user="nobody")).status == 404


@pytest.mark.parametrize(
    ("user", "contact"),
    [
        ("200", b"<sip:200@[2001:db8::2]:5070;transport=tcp>"),
        ("300", b"<sip:300@sip1.example.com:5080;transport=tls>"),
    ],
)
def test_transport_and_address_stay_what_they_are(user: str, contact: bytes) -> None:
    """IPv6 in brackets; what an operator advertises as it is."""
    assert answered(request("INVITE", user=user)).get(b"Contact") == contact


def test_what_a_server_is_to_deal_with_itself_is_not_looked_for_further() -> None:
    """A conference of this server may be registered as a user at another one."""
    elsewhere = PLACES[b"100@host.example"]
    finders = [lambda _aor, _now: HERE, lambda _aor, _now: elsewhere]
    made = Responder(RedirectSettings(), finders, salt=b"salt")
    assert answered(request("INVITE", user="100"), made).status == 404


def test_an_answer_belongs_to_its_request() -> None:
    """Via, From, To, Call-ID and CSeq come back; the To tag is the same when the request comes again."""
    sent = request("INVITE", user="100", tag="f7", call_id="c7", cseq=12)
    found, again = answered(sent), answered(sent)
    assert (found.call_id, found.cseq) == (b"c7", b"12 INVITE")
    assert parse_name_addr(found.get(b"From") or b"").tag == b"f7"
    tag = parse_name_addr(found.get(b"To") or b"").tag
    assert tag
    assert tag == parse_name_addr(again.get(b"To") or b"").tag
    assert tag != parse_name_addr(answered(request("INVITE", call_id="c8")).get(b"To") or b"").tag


def test_an_answer_over_udp_goes_where_the_via_asks() -> None:
    """To the port of the packet with rport (RFC 3581), else to that of the Via, always to the sender."""
    plain = ask(request("INVITE", via="198.51.100.9:5066"))
    assert plain is not None
    assert (plain.address, plain.port) == (pack(ASKER), 5066)
    asked = request("INVITE").replace(b";branch=", b";rport;received=9.9.9.9;branch=")
    rport = ask(asked)
    assert rport is not None
    assert rport.port == PORT
    via = parse_vias(parse_message(rport.payload).get(b"Via") or b"")[0]
    assert (via.rport, via.received) == (PORT, ASKER.encode())
    assert ask(request("INVITE", via="198.51.100.9")).port == 5060  # type: ignore[union-attr]
    over_tcp = ask(request("INVITE"), transport=Transport.TCP)
    assert over_tcp is not None
    assert over_tcp.port == PORT


def test_all_vias_come_back_in_their_order() -> None:
    """On one line or several: the answer has to find its way."""
    sent = request(
        "INVITE", "Via: SIP/2.0/UDP b.example;branch=z9hG4bK2, SIP/2.0/TCP c.example;branch=z"
    )
    found = answered(sent)
    vias = parse_vias(b",".join(found.all(b"Via")))
    assert [via.host for via in vias] == [b"192.0.2.9", b"b.example", b"c.example"]
    assert [via.received for via in vias] == [b"127.0.0.1", None, None]


def test_a_proxy_that_asks_whether_anybody_is_here() -> None:
    """OPTIONS without a user is answered with 200; an INVITE without one with 404."""
    ping = request("OPTIONS").replace(b"sip:100@host.example SIP", b"sip:192.0.2.1 SIP")
    assert answered(ping).status == 200
    assert answered(ping.replace(b"OPTIONS", b"INVITE")).status == 404


def test_other_methods_are_not_allowed() -> None:
    """And what is allowed is said."""
    found = answered(request("REFER", user="100"))
    assert found.status == 405
    assert b"INVITE" in (found.get(b"Allow") or b"")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (request("ACK", user="100"), "ack"),
        (request("CANCEL", user="100"), "ack"),
        (
            b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z\r\nCSeq: 1 X\r\nCall-ID: a\r\n\r\n",
            "response",
        ),
        (b"GET / HTTP/1.1\r\n\r\n", None),
        (request("INVITE").replace(b"Via: SIP/2.0/UDP", b"Xia: SIP"), "no_via"),
        (request("INVITE").replace(b"Via: SIP/2.0/UDP 192.0.2.9:5060", b"Via: nonsense"), "no_via"),
    ],
)
def test_what_gets_no_answer_is_counted(payload: bytes, reason: str | None) -> None:
    """By reason; nothing raises."""
    made = responder()
    assert ask(payload, made) is None
    assert made.ignored.total() == 1
    if reason:
        assert made.ignored[reason] == 1


@pytest.mark.parametrize("payload", [b"", b"\r\n\r\n", b"\0\0\0\0"])
def test_keepalives_are_no_questions(payload: bytes) -> None:
    """Neither answered nor counted."""
    made = responder()
    assert ask(payload, made) is None
    assert not made.ignored


def test_only_who_may_ask_is_answered() -> None:
    """Who is online is nobody else's business."""
    made = responder(allow=("192.0.2.0/24",))
    assert ask(request("INVITE", user="100"), made) is None
    assert ask(request("INVITE", user="100"), made, source="192.0.2.7") is not None
    assert made.as_json() == {"answers": {"302": 1}, "ignored": {"not_allowed": 1}}


def test_our_own_servers_may_always_ask() -> None:
    """Kamailio asks from the address that it listens on, not from loopback."""
    settings = RedirectSettings(allow=())
    made = Responder(settings, [], salt=b"s", ours=lambda source: source == pack("192.0.2.1"))
    assert ask(request("INVITE"), made, source="192.0.2.1") is not None
    assert ask(request("INVITE"), made, source="192.0.2.2") is None


def test_a_flood_of_questions_is_cut_for_each_second_and_asker() -> None:
    """The next second is answered again."""
    made = responder(rate=3)
    sent = request("INVITE", user="100")
    assert [ask(sent, made) is not None for _ in range(5)] == [True] * 3 + [False] * 2
    assert ask(sent, made, source="127.0.0.2") is not None
    assert ask(sent, made, now=6.0) is not None
    assert made.ignored["rate"] == 2


@given(st.binary(min_size=1, max_size=40))
def test_any_user_survives_the_way_into_a_contact_and_back(user: bytes) -> None:
    """Colons, blanks, at signs, brackets and 8-bit text."""
    uri = parse_uri(contact_uri(user + b"@h.example", Target("192.0.2.1:5060", "udp")))
    assert (uri.user, uri.host, uri.port) == (user, b"192.0.2.1", 5060)
    value = b"<" + contact_uri(user + b"@h", Target("192.0.2.1", "wss")) + b">"
    assert len(parse_contacts(value)) == 1
    assert escape_user(b"a b:@") == b"a%20b%3A%40"


@given(st.binary(max_size=300))
def test_random_octets_never_raise(noise: bytes) -> None:
    """Nor does a request that was damaged anywhere."""
    made = responder()
    ask(noise, made)
    sent = request("INVITE", user="100")
    at = len(noise) % len(sent)
    ask(sent[:at] + noise[:9] + sent[at + 3 :], made)


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"listen": ("nowhere:x",)}, "listen"),
        ({"allow": ("10.0.0.0/99",)}, "allow"),
        ({"rate": 0}, "rate"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any], key: str) -> None:
    """The key is named."""
    with pytest.raises(ConfigError, match=rf"redirect\.{key}"):
        RedirectSettings(**wrong)
