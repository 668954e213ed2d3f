"""shield.sip.message: one message in any spelling, by the short way and by the full parser."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shield.errors import RemoteError
from shield.sip.headers import fast_tag
from shield.sip.message import (
    MAX_HEADER_BYTES,
    MAX_HEADER_LINES,
    Request,
    Response,
    parse_fully,
    parse_message,
    usual_name,
)
from shield.sip.names import USUAL_NAMES
from tests.spellings import attempt

LINES = [
    b"OPTIONS sip:100@192.0.2.1 SIP/2.0",
    b"Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1;rport",
    b"From: <sip:100@192.0.2.1>;tag=a1",
    b"To: <sip:100@192.0.2.1>",
    b"Call-ID: c1",
    b"CSeq: 1 OPTIONS",
    b"User-Agent: friendly-scanner",
    b"Content-Length: 0",
]
START, VIA, FROM, TO, CALL_ID, CSEQ, AGENT, LENGTH = LINES
ANSWER = [b"SIP/2.0 200 OK", *LINES[1:]]


def text(*lines: bytes, end: bytes = b"\r\n", body: bytes = b"") -> bytes:
    """The bytes of a message of these lines."""
    return end.join(lines) + end + end + body


def changed(old: bytes, *new: bytes, body: bytes = b"") -> bytes:
    """The usual request with one line replaced by none, one or several."""
    lines: list[bytes] = []
    for line in LINES:
        lines += new if line == old else [line]
    return text(*lines, body=body)


def request(payload: bytes) -> Request:
    """Read a request."""
    found = parse_message(payload)
    assert isinstance(found, Request)
    return found


def meaning(read: Request | Response) -> tuple[object, ...]:
    """All that a message says, the same whichever way it was read."""
    start = (read.method, read.uri) if isinstance(read, Request) else (read.status, read.reason)
    names = {name for name, _ in read.headers}
    return (
        read.is_request,
        *start,
        read.head,
        read.body,
        read.via,
        read.from_,
        read.to,
        read.call_id,
        read.cseq,
        read.cseq_method,
        read.defects,
        read.headers,
        {name: (read.get(name), read.all(name)) for name in names},
        {name: read.usual(b"\r\n" + name + b": ") for name in USUAL_NAMES},
        read.branch,
        read.vias,
        read.tag or fast_tag(read.from_),
        read.agent,
        read.allow,
        read.auth,
    )


def test_usual_request() -> None:
    """A request in the usual spelling gives its parts and no defects."""
    found = request(text(*LINES))
    assert (found.method, found.uri, found.defects) == (b"OPTIONS", b"sip:100@192.0.2.1", ())
    assert (found.call_id, found.cseq, found.cseq_method) == (b"c1", b"1 OPTIONS", b"OPTIONS")
    assert (found.from_, found.to) == (FROM[6:], TO[4:])
    assert found.via == VIA[5:]
    assert found.get(b"User-Agent") == b"friendly-scanner"
    assert found.get(b"Subject") is None
    assert found.head == text(*LINES)[:-4]
    assert found.is_request
    assert repr(found) == "<Request OPTIONS sip:100@192.0.2.1>"


def test_usual_response() -> None:
    """A response in the usual spelling gives status and reason."""
    found = parse_message(text(*ANSWER))
    assert isinstance(found, Response)
    assert (found.status, found.reason, found.defects) == (200, b"OK", ())
    assert not found.is_request
    assert repr(found) == "<Response 200 1 OPTIONS>"


@pytest.mark.parametrize(
    "payload",
    [
        text(*LINES, end=b"\n"),
        b"\r\n\r\n" + text(*LINES),
        b"\n \t\0" + text(*LINES),
        changed(AGENT, b"user-agent : friendly-scanner"),
        changed(AGENT, b"USER-AGENT:friendly-scanner"),
        changed(AGENT, b"User-Agent:\t friendly-scanner \t"),
        changed(AGENT, b"User-Agent:", b" friendly-scanner"),
        changed(FROM, b"f: <sip:100@192.0.2.1>;tag=a1"),
        changed(FROM, b"F : <sip:100@192.0.2.1>;tag=a1"),
        changed(CSEQ, b"cseq:  1   OPTIONS"),
        changed(CSEQ, b"CSeq: 1", b"\tOPTIONS"),
        changed(LENGTH, b"l: 0"),
        changed(LENGTH),
        changed(LENGTH, b"Content-Length: 0", body=b"trailing"),
        text(*[line.replace(b"SIP/2.0", b"sip/2.0") if line is START else line for line in LINES]),
        text(
            *[
                line.replace(b"Via", b"v").replace(b"To:", b"t:").replace(b"Call-ID", b"i")
                for line in LINES
            ]
        ),
        text(LINES[0], *reversed(LINES[1:])),
    ],
)
def test_no_spelling_is_a_free_pass(payload: bytes) -> None:
    """However a sound request is spelled, its fields are found and it has no defects."""
    found = request(payload)
    assert (found.method, found.uri) == (b"OPTIONS", b"sip:100@192.0.2.1")
    assert (found.from_, found.to, found.call_id) == (FROM[6:], TO[4:], b"c1")
    assert (found.via, found.cseq) == (VIA[5:], b"1 OPTIONS")
    assert found.get(b"user-AGENT") == b"friendly-scanner"
    assert (found.body, found.defects) == (b"", ())


def test_mixed_line_ends() -> None:
    """CRLF and LF in one message, and the first empty line of either kind ends the header."""
    found = request(START + b"\n" + b"\r\n".join(LINES[1:-1]) + b"\n\r\nbody\r\n\r\nmore")
    assert (found.call_id, found.body, found.defects) == (b"c1", b"body\r\n\r\nmore", ())
    found = request(b"\r\n".join(LINES[:-1]) + b"\n\nbody\r\n\r\n")
    assert found.body == b"body\r\n\r\n"


def test_folded_lines_are_joined_with_one_blank() -> None:
    """RFC 3261 section 7.3.1: a fold is one blank, however it is made."""
    found = request(changed(AGENT, b"Subject: I know you're there,", b"   \t pick up", b" ", b"\tnow"))
    assert found.get(b"s") == b"I know you're there, pick up now"


def test_several_values_and_several_lines() -> None:
    """All lines of a name are found in order, and the topmost counts."""
    found = request(
        changed(
            VIA,
            b"Via: SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b",
            b"v: SIP/2.0/UDP c",
            b"Via: SIP/2.0/UDP d",
        )
    )
    assert found.via == b"SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b"
    assert found.all(b"VIA") == [found.via, b"SIP/2.0/UDP c", b"SIP/2.0/UDP d"]
    found = request(changed(AGENT, b"Route: <sip:a>", b"Route: <sip:b>", b"Contact: *"))
    assert (found.get(b"route"), found.get(b"m"), found.defects) == (b"<sip:a>", b"*", ())


def test_unknown_names_are_found_in_any_case() -> None:
    """A header field that no RFC names is found by any spelling; of equal names the topmost."""
    found = request(changed(AGENT, b"X-Odd: 1", b"x-odd: 2", b"P-x: 3"))
    assert found.get(b"x-ODD") == b"1"
    assert found.all(b"X-odd") == [b"1", b"2"]
    assert found.get(b"p-X") == b"3"
    assert found.get(b"absent") is None


def test_credentials_are_found_in_any_spelling() -> None:
    """No one and several lines of both names, in the order of the message."""
    one, two = b'Authorization: Digest nonce="a"', b'Proxy-Authorization: Digest nonce="b"'
    raw = (b'Digest nonce="a"', b'Digest nonce="b"')
    assert request(text(*LINES)).auth == ()
    assert request(changed(AGENT, one)).auth == raw[:1]
    assert request(changed(AGENT, two)).auth == raw[1:]
    assert request(changed(AGENT, one, two)).auth == raw
    assert request(changed(AGENT, two.replace(b"P", b"p"), AGENT, one)).auth == raw[::-1]
    assert request(changed(AGENT, b"WWW-Authenticate: x")).auth == ()


def test_challenges_are_found_in_responses() -> None:
    """Lines for several algorithms (RFC 8760), and no credentials among them."""
    lines = [
        b"WWW-Authenticate: a",
        b"Authorization: x",
        b"WWW-Authenticate: b",
        b"Proxy-Authenticate: c",
    ]
    assert parse_message(text(*ANSWER, *lines)).auth == (b"a", b"b", b"c")
    assert parse_message(text(*ANSWER, lines[1])).auth == ()


def test_branch_tag_and_agent_are_read_in_passing() -> None:
    """What is needed of each request comes with it, in any spelling."""
    for payload in (text(*LINES), text(*LINES, end=b"\n")):
        found = request(payload)
        assert (found.branch, found.agent, found.vias) == (b"z9hG4bK1", b"friendly-scanner", False)
        assert found.tag in (b"a1", None)
    odd = request(changed(VIA, b"Via: SIP / 2.0 / UDP a ; branch = x"))
    assert (odd.branch, request(changed(VIA, b"Via: SIP/2.0/UDP a")).branch) == (b"x", b"")
    assert request(changed(VIA, VIA, b"Via: SIP/2.0/UDP b")).vias
    assert request(changed(VIA, VIA + b", SIP/2.0/UDP b")).vias
    assert request(changed(VIA, VIA, b"v: SIP/2.0/UDP b")).vias


@pytest.mark.parametrize(
    ("payload", "defect"),
    [
        (changed(CSEQ), "no_cseq"),
        (changed(VIA), "no_via"),
        (changed(FROM, b"From: "), "no_from"),
        (changed(TO), "no_to"),
        (changed(CALL_ID), "no_call_id"),
        (changed(CSEQ, b"CSeq: 1"), "bad_cseq"),
        (changed(CSEQ, b"CSeq: x OPTIONS"), "bad_cseq"),
        (changed(CSEQ, b"CSeq: 36893488147419103232 OPTIONS"), "bad_cseq"),
        (changed(CSEQ, b"CSeq: 1 INVITE"), "cseq_method_differs"),
        (changed(START, b"FOO sip:h SIP/2.0"), "unknown_method"),
        (changed(START, b"options sip:h SIP/2.0"), "unknown_method"),
        (changed(START, b"OPTIONS sip:h SIP/7.0"), "bad_version"),
        (changed(START, b"OPTIONS sip:h x SIP/2.0"), "bad_request_line"),
        (changed(START, b"OPTIONS sip:h"), "bad_version"),
        (changed(AGENT, b"no colon"), "bad_header_line"),
        (changed(AGENT, b": no name"), "bad_header_line"),
        (changed(AGENT, b"sp ace: x"), "bad_header_line"),
        (changed(AGENT, b"From: <sip:other@h>"), "duplicate_from"),
        (changed(AGENT, b"i: other"), "duplicate_call_id"),
        (changed(LENGTH, b"Content-Length: 5"), "body_too_short"),
        (changed(LENGTH, b"Content-Length: -1", body=b"x"), "bad_content_length"),
        (changed(LENGTH, b"Content-Length: " + b"9" * 5000), "bad_content_length"),
        (b"\r\n".join(LINES), "no_end_of_header"),
        (b"\r\n".join(LINES) + b"\r\n", "no_end_of_header"),
    ],
)
def test_defects_are_named(payload: bytes, defect: str) -> None:
    """A message that breaks RFC 3261 is still read, and its defect has a name."""
    found = request(payload)
    assert defect in found.defects
    assert found.get(b"Content-Length") is not None or defect == "no_cseq"


def test_equal_duplicates_are_no_defect() -> None:
    """A field sent twice with one value is no contradiction."""
    assert request(changed(AGENT, FROM)).defects == ()


@pytest.mark.parametrize(
    ("lines", "defects"),
    [
        # RFC 4475 section 3.1.2: requests and responses that a server must survive.
        ([b"OPTIONS sip:h;x=y  SIP/2.0"], ()),
        ([b"INVITE <sip:user@example.com> SIP/2.0"], ("cseq_method_differs",)),
        ([b"REGISTER sip:h SIP/2.0"], ("cseq_method_differs",)),
    ],
)
def test_odd_request_lines(lines: list[bytes], defects: tuple[str, ...]) -> None:
    """Blanks in the request line and brackets around its URI are read."""
    assert request(text(*lines, *LINES[1:])).defects == defects


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "no_start_line"),
        (b"\r\n\r\n", "no_start_line"),
        (bytes(8), "no_start_line"),
        (b"jaK\0", "no_start_line"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "no_start_line"),
        (b"OPTIONS", "no_start_line"),
        (b"\x80\x60" + bytes(range(160)), "no_start_line"),
        (b"O@TIONS sip:h SIP/2.0\r\n\r\n", "no_start_line"),
        (b"SIP/2.0 099 x\r\n\r\n", "bad_status_line"),
        (b"SIP/2.0 700 x\r\n\r\n", "bad_status_line"),
        # RFC 4475 section 3.1.2.19 (bigcode).
        (b"SIP/2.0 4294967301 better not break\r\n\r\n", "bad_status_line"),
        (b"SIP/2.0 OK\r\n\r\n", "bad_status_line"),
    ],
)
def test_what_is_no_sip_is_refused(payload: bytes, reason: str) -> None:
    """Without a start line of SIP there is no message, and the reason is counted by name."""
    assert attempt(parse_message, payload) == (None, reason)
    assert attempt(parse_fully, payload) == (None, reason)


@pytest.mark.parametrize("start", [b"SIP/2.0 180 ", b"SIP/2.0 180", b"sip/2.0  180  Ringing now"])
def test_odd_status_lines(start: bytes) -> None:
    """The reason may be missing or empty, blanks may be doubled."""
    found = parse_message(text(start, *LINES[1:]))
    assert isinstance(found, Response)
    assert found.status == 180
    assert found.reason in (b"", b"Ringing now")
    assert found.defects == ()


def test_body_is_cut_to_content_length() -> None:
    """Over UDP bytes beyond Content-Length are dropped, and without it the body is what is left."""
    assert request(changed(LENGTH, b"Content-Length: 3", body=b"abcdef")).body == b"abc"
    assert request(changed(LENGTH, b"Content-Length: 0003", body=b"abc")).body == b"abc"
    assert request(changed(LENGTH, body=b"abcdef")).body == b"abcdef"
    assert request(changed(LENGTH, b"Content-Length: 9", body=b"abc")).body == b"abc"


def test_header_size_is_limited() -> None:
    """What lies beyond the limit of bytes or lines is not read, and the message says so."""
    found = request(changed(AGENT, b"X-Long: " + b"x" * MAX_HEADER_BYTES))
    assert "header_too_long" in found.defects
    assert len(found.head) == MAX_HEADER_BYTES
    assert found.call_id == b"c1"
    found = request(changed(AGENT, *[b"X-%d: y" % number for number in range(MAX_HEADER_LINES)], AGENT))
    assert "too_many_header_lines" in found.defects
    assert len(found.headers) == MAX_HEADER_LINES - 1


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "evil",
    [b" \r\n", b"\r\n", b"a", b":", b"\n ", b"\0", b"a: b\r\n", b"Via: x\r\n", b"\r", b"SIP/2.0 "],
)
def test_huge_input_does_not_hang(evil: bytes) -> None:
    """A megabyte of anything is read or refused at once."""
    for prefix in (b"", START + b"\r\n", b"\r\n".join(LINES) + b"\r\n"):
        found, reason = attempt(parse_message, prefix + evil * (1_000_000 // len(evil)))
        assert (found is None) == bool(reason)
        if found is not None:
            assert len(found.head) <= MAX_HEADER_BYTES


def test_spelling_of_names() -> None:
    """Known names take their usual spelling, compact or not; unknown ones fold their case."""
    assert [usual_name(name) for name in (b"v", b"CALL-id", b"L", b"X-Foo", b"user-agent")] == [
        b"Via",
        b"Call-ID",
        b"Content-Length",
        b"x-foo",
        b"User-Agent",
    ]


_SPOIL = rb"""v: f: m: l: Via: : ; ,
\ " < > [ ] = @ % SIP/2.0 SIP/1.0 200 INVITE x-odd: X-Odd: From: CSeq: 1""".split()
_SPOIL += [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"  ",
    b"\t",
    b"\x0b",
    b"\x0c",
    b"\0",
    b"\xff",
    b": ",
    b":  ",
    b"\r\n ",
    b"\r\n\r\n",
    b"\n\n",
]
_SPOIL += [
    b"\r\nVia: y",
    b"\r\nX-Odd: 1",
    b"\r\nx-odd: 2",
    b"\r\nTo: z",
    b"\r\nl: 1",
    b"\r\nContent-Length: 4",
    b"\r\nbody",
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sound message with up to four places changed, mostly at the ends of lines and words."""
    lines = list(draw(st.sampled_from([LINES, ANSWER])))
    if draw(st.booleans()):
        lines[1:] = draw(st.permutations(lines[1:]))
    payload = text(*lines, body=draw(st.sampled_from([b"", b"", b"body"])))
    places = [at for at, byte in enumerate(payload) if byte in b"\r\n :"]
    for _ in range(draw(st.integers(0, 4))):
        at = min(draw(st.one_of(st.sampled_from(places), st.integers(0, len(payload)))), len(payload))
        cut = draw(st.integers(0, 2))
        payload = payload[:at] + draw(st.sampled_from(_SPOIL)) + payload[at + cut :]
    return payload


@settings(max_examples=1500)
@given(st.one_of(damaged(), st.lists(st.sampled_from(LINES + _SPOIL)).map(b"".join), st.binary()))
@example(text(*LINES))
@example(text(*ANSWER))
@example(changed(AGENT, b"X-Odd: 1", b"x-odd: 2"))
@example(changed(START, b"OPTIONS sip:a\x0bb SIP/2.0"))
@example(changed(START, b"SIP/2.0 200 \x0bOK"))
def test_short_way_equals_full_parser(payload: bytes) -> None:
    """For any bytes both ways give equal messages, or refuse with the same reason."""
    short, full = attempt(parse_message, payload), attempt(parse_fully, payload)
    assert short[1] == full[1]
    if short[0] is not None and full[0] is not None:
        assert meaning(short[0]) == meaning(full[0])


@given(st.binary(max_size=300))
def test_any_bytes_give_a_message_or_a_remote_error(payload: bytes) -> None:
    """Nothing but RemoteError leaves the parser, whatever follows a start line."""
    for whole in (payload, START + b"\r\n" + payload, b"SIP/2.0 200 OK\r\n" + payload):
        try:
            found = parse_message(whole)
        except RemoteError:
            continue
        assert meaning(found)
