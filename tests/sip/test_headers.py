"""shield.sip.headers: typed From, To, Contact, Via, CSeq, User-Agent, and their short readings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings

from shield.errors import RemoteError
from shield.sip.grammar import MAX_PARAMS
from shield.sip.headers import (
    MAX_VALUES,
    CSeq,
    NameAddr,
    UserAgent,
    Via,
    fast_branch,
    fast_cseq,
    fast_tag,
    parse_contacts,
    parse_cseq,
    parse_name_addr,
    parse_user_agent,
    parse_via,
    parse_vias,
)
from shield.sip.uri import Uri
from tests.spellings import attempt, values

ALICE = Uri("sip", b"alice", b"host.example")
BRANCH = {b"branch": b"z9hG4bK1"}

NAMES: list[tuple[bytes, NameAddr]] = [
    (b"<sip:alice@host.example>;tag=a1", NameAddr(b"", ALICE, {b"tag": b"a1"})),
    (b"sip:alice@host.example;tag=a1", NameAddr(b"", ALICE, {b"tag": b"a1"})),
    (b"<sip:alice@host.example>", NameAddr(b"", ALICE)),
    # svwar and svmap write no blank between name and bracket.
    (b'"3437"<sip:alice@host.example>;tag=31', NameAddr(b"3437", ALICE, {b"tag": b"31"})),
    (b"Alice B <sip:alice@host.example> ; TAG = a1 ", NameAddr(b"Alice B", ALICE, {b"tag": b"a1"})),
    # A tag in the name, in the URI, or in another parameter is none.
    (
        b'";tag=no" <sip:alice@host.example;tag=no>;x=";tag=no";tag=yes',
        NameAddr(
            b";tag=no",
            Uri("sip", b"alice", b"host.example", params={b"tag": b"no"}),
            {b"x": b";tag=no", b"tag": b"yes"},
        ),
    ),
    (
        b"<sip:alice@host.example;tag=no>",
        NameAddr(b"", Uri("sip", b"alice", b"host.example", params={b"tag": b"no"})),
    ),
    (b"<sip:alice@host.example>;tag=1;tag=2", NameAddr(b"", ALICE, {b"tag": b"1"})),
    (b"<sip:alice@host.example>;tag", NameAddr(b"", ALICE, {b"tag": None})),
    (b'<sip:alice@host.example>;tag="q"', NameAddr(b"", ALICE, {b"tag": b"q"})),
    # Of several values the first; its neighbour lends it no tag.
    (b"<sip:alice@host.example>, <sip:b@c>;tag=2", NameAddr(b"", ALICE)),
    (b"sip:alice@host.example, sip:b@c;tag=2", NameAddr(b"", ALICE)),
    (b"<sip:alice@host.example>junk;tag=1", NameAddr(b"", ALICE, {b"tag": b"1"})),
    # RFC 4475 section 3.1.1.1 (wsinv): quoted pairs in the name, parameters without meaning.
    (
        b'"J Rosenberg \\\\\\""       <sip:alice@host.example>\t;\ttag = 98asjd8',
        NameAddr(b'J Rosenberg \\"', ALICE, {b"tag": b"98asjd8"}),
    ),
    # RFC 4475 section 3.1.1.6 (lwsdisp): no blank after a name without quotes.
    (b"caller<sip:alice@host.example>;tag=323", NameAddr(b"caller", ALICE, {b"tag": b"323"})),
    # RFC 4475 section 3.1.2.17 (baddn) and 3.1.2.5 (quotbal): names that break the grammar.
    (
        b"Bell, Alexander <sip:alice@host.example>;tag=43",
        NameAddr(b"Bell, Alexander", ALICE, {b"tag": b"43"}),
    ),
    (b'"Mr. J. User <sip:alice@host.example>', NameAddr(b"Mr. J. User", ALICE)),
    (b"*", NameAddr(b"", None)),
    (b" * ", NameAddr(b"", None)),
]


@pytest.mark.parametrize(("value", "expected"), NAMES)
def test_parse_name_addr(value: bytes, expected: NameAddr) -> None:
    """Name, URI and parameters of each spelling; fast_tag finds the same tag."""
    found = parse_name_addr(value)
    assert found == expected
    assert found.star == (value.strip() == b"*")
    assert fast_tag(value) == found.tag == expected.params.get(b"tag")


def test_tag_is_found_without_a_sound_uri() -> None:
    """A broken URI or padding does not hide the tag, a missing bracket does."""
    assert fast_tag(b"<sip:@>;tag=1") == b"1"
    assert fast_tag(b"<sip:a@b>" + b"".join(b";p%d" % n for n in range(MAX_PARAMS)) + b";tag=1") == b"1"
    assert fast_tag(b"<sip:a@b;tag=1") is None
    assert fast_tag(b"") is None


def test_parse_contacts() -> None:
    """A Contact field gives each of its values, with the parameters that belong to it."""
    value = b'"A, B" <sip:a,b@h>;expires=60;received="sip:192.0.2.9:5060", sip:c@d;q=0.5,,<tel:1>'
    found = parse_contacts(value)
    assert [(one.display_name, one.uri and one.uri.user, one.params) for one in found] == [
        (b"A, B", b"a,b", {b"expires": b"60", b"received": b"sip:192.0.2.9:5060"}),
        (b"", b"c", {b"q": b"0.5"}),
        (b"", b"1", {}),
    ]


@pytest.mark.parametrize("parse", [parse_contacts, parse_vias])
def test_too_many_values(parse: Any) -> None:
    """The values of one field are limited."""
    assert attempt(parse, b",".join([b"x"] * (MAX_VALUES + 1))) == (None, "too_many_values")


VIAS: list[tuple[bytes, Via]] = [
    (b"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1", Via(b"SIP/2.0", b"UDP", b"192.0.2.1", 5060, BRANCH)),
    (
        b"sip/2.0/tcp Host.Example;BRANCH=z9hG4bK1",
        Via(b"SIP/2.0", b"TCP", b"host.example", None, BRANCH),
    ),
    # RFC 4475 section 3.1.1.1 (wsinv), folded lines already joined.
    (
        b"SIP  / 2.0\t / UDP  192.0.2.2;branch=z9hG4bK1",
        Via(b"SIP/2.0", b"UDP", b"192.0.2.2", None, BRANCH),
    ),
    (
        b"SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;maddr=192.0.2.2 ;branch=z9hG4bK1",
        Via(
            b"SIP/2.0",
            b"UDP",
            b"first.example.com",
            4000,
            {b"ttl": b"16", b"maddr": b"192.0.2.2", **BRANCH},
        ),
    ),
    (
        b"SIP/2.0/UDP [2001:DB8::9:1]:5060;received=[2001:db8::9:255];branch=z9hG4bK1",
        Via(b"SIP/2.0", b"UDP", b"2001:db8::9:1", 5060, {b"received": b"[2001:db8::9:255]", **BRANCH}),
    ),
    # svmap: no brackets.
    (
        b"SIP/2.0/UDP 2001:db8::66;branch=z9hG4bK1",
        Via(b"SIP/2.0", b"UDP", b"2001:db8::66", None, BRANCH),
    ),
    (b"SIP/2.0/UDP ::1", Via(b"SIP/2.0", b"UDP", b"::1")),
    # nmap -sV.
    (b"SIP/2.0/TCP nm;branch=foo", Via(b"SIP/2.0", b"TCP", b"nm", None, {b"branch": b"foo"})),
    (b"SIP/2.0/UDP h:;rport", Via(b"SIP/2.0", b"UDP", b"h", None, {b"rport": None})),
    (
        b'SIP/2.0/UDP h;x=";branch=no, SIP";rport=45694;branch=z9hG4bK1, SIP/2.0/TCP i;branch=two',
        Via(b"SIP/2.0", b"UDP", b"h", None, {b"x": b";branch=no, SIP", b"rport": b"45694", **BRANCH}),
    ),
    (b"SIP/2.0/UDP h, SIP/2.0/TCP i;branch=two", Via(b"SIP/2.0", b"UDP", b"h")),
    # RFC 4475 section 3.1.1.10 (transports): unknown ones are allowed.
    (
        b"SIP/2.0/UNKNOWN t5.example.com;branch=",
        Via(b"SIP/2.0", b"UNKNOWN", b"t5.example.com", None, {b"branch": b""}),
    ),
]


@pytest.mark.parametrize(("value", "expected"), VIAS)
def test_parse_via(value: bytes, expected: Via) -> None:
    """Protocol, sent-by and parameters of each spelling; fast_branch finds the same branch."""
    found = parse_via(value)
    assert found == expected
    assert fast_branch(value) == found.branch == expected.params.get(b"branch")


def test_via_of_the_next_hop() -> None:
    """Received loses its brackets; rport is a number only when the next hop filled it in."""
    via = parse_via(b"SIP/2.0/UDP h;received=[2001:db8::9];rport=5062")
    assert (via.received, via.rport) == (b"2001:db8::9", 5062)
    for rport in (b"rport", b"rport=", b"rport=x", b"rport=65536"):
        assert parse_via(b"SIP/2.0/UDP h;" + rport).rport is None
    assert parse_via(b"SIP/2.0/UDP h").received is None


def test_parse_vias() -> None:
    """A Via field gives its values from the topmost down."""
    assert [via.host for via in parse_vias(b"SIP/2.0/UDP a;x=1,SIP/2.0/UDP b , SIP/2.0/TCP c")] == [
        b"a",
        b"b",
        b"c",
    ]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b",",
        b"SIP/2.0",
        b"SIP/2.0/UDP",
        b"SIP/2.0/UDP ",
        b"SIP/2.0/UDP ;branch=z9hG4bK1",
        b"UDP host",
        b"SIP/2.0/UDP h i",
        b"SIP/2.0/UDP h:5x",
        b"SIP/2.0/UDP [::1;branch=x",
        b"SIP//UDP h",
        b", SIP/2.0/UDP h;branch=x",
    ],
)
def test_bad_via(value: bytes) -> None:
    """Without protocol or sent-by there is no Via and no branch."""
    assert attempt(parse_via, value) == (None, "bad_via")
    assert fast_branch(value) is None


def test_via_with_a_port_out_of_range_keeps_its_branch() -> None:
    """The branch joins a response with its request even where the port is nonsense."""
    assert attempt(parse_via, b"SIP/2.0/UDP h:99999;branch=b") == (None, "bad_via")
    assert fast_branch(b"SIP/2.0/UDP h:99999;branch=b") == b"b"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"1 INVITE", CSeq(1, b"INVITE")),
        # RFC 4475 section 3.1.1.1 (wsinv) and 3.1.1.2 (intmeth).
        (b" 0009   INVITE ", CSeq(9, b"INVITE")),
        (b"139122385 !odd-Method_*+`.%indeed'~", CSeq(139122385, b"!odd-Method_*+`.%indeed'~")),
        (b"4294967295\tinvite", CSeq(4294967295, b"invite")),
    ],
)
def test_parse_cseq(value: bytes, expected: CSeq) -> None:
    """Number and method; the method keeps its case."""
    assert parse_cseq(value) == expected
    assert fast_cseq(value) == (expected.number, expected.method)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"1",
        b"INVITE",
        b"1INVITE",
        b"-1 INVITE",
        b"1 IN VITE",
        b"1 INV@TE",
        b"4294967296 INVITE",
        b"36893488147419103232 REGISTER",
        b"1" * 5000 + b" INVITE",
        b"1.5 INVITE",
    ],
)
def test_bad_cseq(value: bytes) -> None:
    """RFC 4475 section 3.1.2.4 (scalar02) and other numbers beyond 32 bits or words that are none."""
    assert attempt(parse_cseq, value) == (None, "bad_cseq")
    assert fast_cseq(value) is None


@pytest.mark.parametrize(
    ("value", "products", "comments"),
    [
        (b"friendly-scanner", ((b"friendly-scanner", None),), ()),
        (b"Linphone/3.6.1 (eXosip2/4.1.0)", ((b"Linphone", b"3.6.1"),), (b"eXosip2/4.1.0",)),
        (b"Asterisk PBX 18", ((b"Asterisk", None), (b"PBX", None), (b"18", None)), ()),
        (b"kamailio / 5.6 ( x86 )", ((b"kamailio", b"5.6"),), (b" x86 ",)),
        (b"", (), ()),
        (b"(((//\xff", ((b"\xff", None),), ()),
    ],
)
def test_parse_user_agent(
    value: bytes, products: tuple[tuple[bytes, bytes | None], ...], comments: tuple[bytes, ...]
) -> None:
    """Products and comments are told apart; nothing is an error."""
    assert parse_user_agent(value) == UserAgent(value, products, comments)


@settings(max_examples=500)
@given(values)
@example(b"*;tag=1")
@example(b"sip:a@b;tag=1\n")
@example(b"<sip:a@b>;tag=1\n")
@example(b"a:<sip:a@b>;tag=1")
def test_fast_tag_equals_full_parser(value: bytes) -> None:
    """For any bytes that parse_name_addr reads, fast_tag gives its tag."""
    found, reason = attempt(parse_name_addr, value)
    tag = fast_tag(value)
    if found is not None:
        assert tag == found.tag
    else:
        assert reason in ("bad_name_addr", "bad_uri", "too_many_params")
        assert tag is None or reason != "bad_name_addr"


@settings(max_examples=500)
@given(values)
@example(b"SIP/2.0/UDP h;branch=a\n")
@example(b'SIP/2.0/UDP h;branch=a;"')
def test_fast_branch_equals_full_parser(value: bytes) -> None:
    """For any bytes that parse_via reads, fast_branch gives its branch: of a list the first."""
    via, reason = attempt(parse_via, value)
    if via is not None:
        assert fast_branch(value) == via.branch
        assert parse_vias(value)[0] == via if attempt(parse_vias, value)[0] else True
    else:
        assert reason in ("bad_via", "too_many_params")


@settings(max_examples=300)
@given(values)
@example(b"1 INVITE\n")
def test_fast_cseq_equals_full_parser(value: bytes) -> None:
    """For any bytes, fast_cseq gives what parse_cseq gives."""
    found, reason = attempt(parse_cseq, value)
    assert fast_cseq(value) == ((found.number, found.method) if found else None)
    assert reason in ("", "bad_cseq")


@given(values)
def test_any_bytes_give_a_value_or_a_remote_error(value: bytes) -> None:
    """Nothing but RemoteError leaves the list parsers, and a User-Agent is never refused."""
    for parse in (parse_contacts, parse_vias):
        try:
            parse(value)
        except RemoteError as error:
            assert error.reason  # noqa: PT017
    assert parse_user_agent(value).text == value
