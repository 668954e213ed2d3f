"""shield.detect.oddities: each oddity is told, and a usual request has none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.detect import oddities
from shield.detect.oddities import ODDITIES, names_of, oddities_of, oddity_bit
from shield.errors import RemoteError
from shield.sip.event import Kind, SipEvent
from tests.builders import datagram, read_request

CLIENT, SERVER = "198.51.100.30", "192.0.2.10"
SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.168.1.20\r\ns=-\r\nc=IN IP4 192.168.1.20\r\nt=0 0\r\n"
    "m=audio 10000 RTP/AVP 8 0\r\n"
)
USUAL = (
    "{method} {uri} SIP/2.0\r\n"
    f"Via: SIP/2.0/UDP {CLIENT}:5060;branch=z9hG4bK0a1b2c3d;rport\r\n"
    "Max-Forwards: 70\r\n"
    'From: "Anna" <sip:100@example.com>;tag=0a1b2c3d\r\n'
    "To: <sip:{to}@example.com>\r\n"
    "Call-ID: 0123456789abcdef\r\n"
    "CSeq: 1 {method}\r\n"
    f"Contact: <sip:100@{CLIENT}:5060>\r\n"
    "User-Agent: Yealink SIP-T46S 66.85.0.5\r\n"
    "Allow: INVITE, ACK, CANCEL, BYE\r\n"
)


def message(method: str = "REGISTER", *changes: tuple[str, str], body: str = "") -> bytes:
    """A usual request of an account with the texts of ``changes`` replaced."""
    register = method == "REGISTER"
    uri, to = ("sip:example.com", "100") if register else ("sip:200@example.com", "200")
    text = USUAL.format(method=method, uri=uri, to=to)
    if body:
        text += f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    else:
        text += "Content-Length: 0\r\n\r\n"
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text.encode()


def odd(payload: bytes, source: str = CLIENT, **way: int) -> set[str]:
    """Names of what is odd about a request to SERVER."""
    sent = datagram(payload, source=source, destination=SERVER, **way)  # type: ignore[arg-type]
    return set(names_of(oddities_of(SipEvent(Kind.REQUEST, sent, read_request(payload)))))


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "INVITE", "SUBSCRIBE", "MESSAGE"])
def test_a_usual_request_has_no_oddity(method: str) -> None:
    """As phones send it, straight and from behind NAT."""
    body = SDP if method == "INVITE" else ""
    assert odd(message(method, body=body)) == set()
    natted = message(method, (CLIENT, "192.168.1.20"), body=body)
    assert odd(natted, source_port=40_000) == set()


BRANCH, CONTACT = ";branch=z9hG4bK0a1b2c3d", f"<sip:100@{CLIENT}:5060>"
CASES: list[tuple[str, str, tuple[tuple[str, str], ...]]] = [
    ("no-cookie", "REGISTER", (("z9hG4bK", ""),)),
    ("no-branch", "REGISTER", ((BRANCH, ""),)),
    ("no-from-tag", "REGISTER", ((";tag=0a1b2c3d", ""),)),
    ("no-max-forwards", "REGISTER", (("Max-Forwards: 70\r\n", ""),)),
    ("odd-hops", "REGISTER", (("Max-Forwards: 70", "Max-Forwards: 20"),)),
    ("no-contact", "SUBSCRIBE", ((f"Contact: {CONTACT}\r\n", ""),)),
    ("bare-contact", "REGISTER", ((CONTACT, f"sip:100@{CLIENT}:5060"),)),
    ("contact-here", "REGISTER", ((CONTACT, f"<sip:100@{SERVER}>"),)),
    ("contact-elsewhere", "REGISTER", ((CONTACT, "<sip:100@203.0.113.5>"),)),
    ("via-loopback", "REGISTER", ((f"UDP {CLIENT}:5060", "UDP 127.0.1.1:5060"),)),
    ("via-elsewhere", "REGISTER", ((f"UDP {CLIENT}:5060", "UDP 203.0.113.5:5060"),)),
    ("no-rport", "REGISTER", ((f"UDP {CLIENT}:5060", "UDP 10.1.1.1:5060"), (";rport", ""))),
    ("self-call", "MESSAGE", (("200@", "100@"),)),
    ("to-elsewhere", "OPTIONS", (("To: <sip:200@", "To: <sip:300@"),)),
    ("register-user", "REGISTER", (("REGISTER sip:", "REGISTER sip:100@"),)),
    ("register-for-other", "REGISTER", (("To: <sip:100@", "To: <sip:300@"),)),
    ("short-id", "REGISTER", (("Call-ID: 0123456789abcdef", "Call-ID: 50000"),)),
    ("short-id", "REGISTER", ((";tag=0a1b2c3d", ";tag=abc"),)),
    ("wide-blanks", "REGISTER", (("From: ", "From:  "),)),
    ("tight-name", "REGISTER", (('"Anna" <', '"Anna"<'),)),
    ("no-agent", "REGISTER", (("User-Agent: Yealink SIP-T46S 66.85.0.5\r\n", ""),)),
    ("odd-agent", "REGISTER", (("Yealink SIP-T46S 66.85.0.5", "SBQwwaHu"),)),
    ("late-via", "REGISTER", (("SIP/2.0\r\nVia", "SIP/2.0\r\nCSeq: 1 REGISTER\r\nVia"),
                              ("abcdef\r\nCSeq: 1 REGISTER", "abcdef"))),
    ("early-length", "REGISTER", (("Content-Length: 0\r\n", "Content-Length: 0\r\nExpires: 60\r\n"),)),
    ("line-feeds", "REGISTER", (("\r\n", "\n"),)),
    ("no-end", "REGISTER", (("\r\n\r\n", "\r\n"),)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "method", "changes"), CASES)
def test_each_oddity_is_told(name: str, method: str, changes: tuple[tuple[str, str], ...]) -> None:
    """By itself, or with the lie of the User-Agent that it gives away."""
    assert odd(message(method, *changes)) - {"false-agent"} == {name}


@pytest.mark.parametrize(
    ("name", "body", "changes"),
    [
        ("no-allow", SDP, (("Allow: INVITE, ACK, CANCEL, BYE\r\n", ""),)),
        ("no-sdp", "", ()),
        ("bad-sdp", SDP.replace("t=0 0\r\n", ""), ()),
        ("dead-sdp", SDP.replace("audio 10000", "audio 0"), ()),
        ("dead-sdp", SDP.replace("c=IN IP4 192.168.1.20", "c=IN IP4 0.0.0.0"), ()),
    ],
)
def test_each_oddity_of_a_call_is_told(
    name: str, body: str, changes: tuple[tuple[str, str], ...]
) -> None:
    """What an INVITE offers, or does not."""
    assert odd(message("INVITE", *changes, body=body)) == {name}


def test_a_call_put_on_hold_is_no_dead_call() -> None:
    """Within a dialog media may stop: RFC 3264 section 8.4, and RFC 2543 with 0.0.0.0."""
    held = SDP.replace("c=IN IP4 192.168.1.20", "c=IN IP4 0.0.0.0")
    assert odd(message("INVITE", ("To: <sip:200@example.com>", "To: <sip:200@example.com>;tag=x1y2"),
                       body=held)) == set()  # fmt: skip


def test_ipv6_needs_brackets() -> None:
    """svmap writes the address bare; phones do not."""
    way = ("UDP 198.51.100.30:5060", "UDP [2001:db8::5]:5060")
    contact = (CONTACT, "<sip:100@[2001:db8::5]:5060>")
    assert odd(message("OPTIONS", way, contact), source="2001:db8::5") == set()
    bare = (way[0], "UDP 2001:db8::5:5060")
    assert "bare-ipv6" in odd(message("OPTIONS", bare, contact), source="2001:db8::5")


@pytest.mark.parametrize(
    ("agent", "lies"),
    [("Yealink SIP-T46S 66.85.0.5", True), ("Zoiper v2.10", True), ("Asterisk PBX 16.28.0", True),
     ("FPBX-16.0.33(18.9)", True), ("Cisco-CP7960G/8.0", False), ("Acme 1.0", False)],
)  # fmt: skip
def test_a_product_that_never_writes_so_is_a_lie(agent: str, lies: bool) -> None:
    """Only of products that came after RFC 3261 it is known what they always send."""
    change = ("Yealink SIP-T46S 66.85.0.5", agent)
    assert odd(message("REGISTER", change)) == set()
    assert ("false-agent" in odd(message("REGISTER", change, ("z9hG4bK", "")))) is lies


def test_a_phone_subscribes_to_itself() -> None:
    """For its voice mail: From and To are the same, and nothing is odd."""
    assert odd(message("SUBSCRIBE", ("200@", "100@"))) == set()


def test_an_ack_has_no_aim() -> None:
    """Requests within a dialog go where Contact says, whatever To holds."""
    assert odd(message("BYE", ("BYE sip:200@example.com", "BYE sip:gw@10.0.0.1"))) == set()


def test_every_oddity_is_tested_here() -> None:
    """A new one needs its case."""
    told = {name for name, *_ in CASES} | {"no-allow", "no-sdp", "bad-sdp", "dead-sdp"}
    assert set(ODDITIES) - told == {"bare-ipv6", "false-agent"}


def test_names_and_bits_are_the_same_thing() -> None:
    """A set of bits is told by name, in the order of the list."""
    names = ("no-cookie", "self-call", "dead-sdp")
    assert names_of(sum(oddity_bit(name) for name in names)) == names
    with pytest.raises(KeyError):
        oddity_bit("nothing")


@given(st.binary(max_size=80), st.integers(0, 600), st.integers(0, 40))
def test_no_bytes_break_it(noise: bytes, at: int, cut: int) -> None:
    """Attackers choose every byte."""
    payload = message("INVITE", body=SDP)
    payload = payload[:30] + payload[30:][:at] + noise + payload[30 + at + cut :]
    try:
        read = read_request(payload)
    except RemoteError:  # no message at all
        return
    sent = datagram(payload, source=CLIENT, destination=SERVER)
    assert oddities_of(SipEvent(Kind.REQUEST, sent, read)) >= 0


PIECES = (
    "<", ">", '"', " ", ";", ",", "@", ":", "?", "\\", "\r\n", "\t", "7", "z9", "tag=", ";tag=ab",
    "sip:", "Anna ", "l: 0\r\n", "Via: x\r\n", "User-Agent: sip\r\n", "Contact: <sip:1@127.0.0.1>\r\n",
    CLIENT,
)  # fmt: skip


@given(
    st.sampled_from(["REGISTER", "OPTIONS", "MESSAGE", "NOTIFY"]),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 30), st.sampled_from(PIECES)), max_size=2),
    st.sampled_from([CLIENT, "2001:db8::1", "2001:db8::"]),
)
def test_a_glance_and_a_full_look_agree(
    method: str, changes: list[tuple[int, int, str]], source: str
) -> None:
    """What is let pass at a glance has nothing odd about who made it, its way and its spelling."""
    where = f"[{source}]" if ":" in source else source
    text = message(method, (CLIENT, where)).decode()
    for at, cut, piece in changes:
        text = text[: at + 12] + piece + text[at + 12 + cut :]
    payload = text.encode()
    try:
        read = read_request(payload)
    except (RemoteError, AssertionError):  # no request at all
        return
    event = SipEvent(Kind.REQUEST, datagram(payload, source=source, destination=SERVER), read)
    glance = oddities_of(event)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oddities, "_sound", lambda _event, _request: False)
        assert names_of(glance) == names_of(oddities_of(event))


@pytest.mark.parametrize("source", [CLIENT, "2001:db8::1"])
def test_a_glance_is_enough_for_a_usual_request(source: str) -> None:
    """Of IPv4 and of IPv6; another source than Via names is looked at in full."""
    payload = message("OPTIONS", (CLIENT, f"[{source}]" if ":" in source else source))
    for address, enough in ((source, True), ("203.0.113.1", False)):
        event = SipEvent(
            Kind.REQUEST, datagram(payload, source=address, destination=SERVER), read_request(payload)
        )
        assert event.request is not None
        assert oddities._sound(event, event.request) is enough
