"""shield.sip.uri: whole URIs, and the short reading of user and host."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings

from shield.errors import RemoteError
from shield.sip.grammar import MAX_PARAMS
from shield.sip.headers import parse_name_addr
from shield.sip.uri import Uri, fast_address, fast_host, fast_user, parse_uri, split_name_addr, unescape
from tests.spellings import attempt, uris, values

CASES: list[tuple[bytes, Uri]] = [
    (b"sip:host.example", Uri("sip", None, b"host.example")),
    (b"sip:alice@Host.EXAMPLE", Uri("sip", b"alice", b"host.example")),
    (b"SIPS:alice:secret@host:5061", Uri("sips", b"alice", b"host", 5061, b"secret")),
    (b"sip:[2001:DB8::1]", Uri("sip", None, b"2001:db8::1")),
    (b"sip:100@[2001:db8::1]:5060", Uri("sip", b"100", b"2001:db8::1", 5060)),
    (b"sip:100@[fe80::1%25eth0]", Uri("sip", b"100", b"fe80::1%25eth0")),
    # svmap leaves the brackets out.
    (b"sip:100@2001:db8::1", Uri("sip", b"100", b"2001:db8::1")),
    (b" sip: alice@host : 5060 ", Uri("sip", b"alice", b"host", 5060)),
    (b"sip:alice@host:", Uri("sip", b"alice", b"host")),
    (b"sip:alice@host:0005060", Uri("sip", b"alice", b"host", 5060)),
    (b"sip:@host", Uri("sip", b"", b"host")),
    (b"sip:a:@host", Uri("sip", b"a", b"host", None, b"")),
    # Percent-escapes hide nothing: evasive_headers.pcap dials %31190.
    (b"sip:%31190@host", Uri("sip", b"1190", b"host")),
    (b"sip:100%@host", Uri("sip", b"100%", b"host")),
    (b"sip:%zz%4@host", Uri("sip", b"%zz%4", b"host")),
    (b"sip:a%40b:p%3a@host", Uri("sip", b"a@b", b"host", None, b"p:")),
    (b"sip:user@domain@host", Uri("sip", b"user@domain", b"host")),
    (b"sip:100' or 1=1--@host", Uri("sip", b"100' or 1=1--", b"host")),
    (b"sip:a\xff\x00@h\xc3\xa4", Uri("sip", b"a\xff\x00", b"h\xc3\xa4")),
    (
        b"sip:+1;phone-context=x.example@gw;user=phone",
        Uri("sip", b"+1;phone-context=x.example", b"gw", params={b"user": b"phone"}),
    ),
    (
        b"sip:h;LR;transport=UDP;lr=no;=x;maddr=%31;e=",
        Uri("sip", None, b"h", params={b"lr": None, b"transport": b"UDP", b"maddr": b"1", b"e": b""}),
    ),
    (
        b"sip:h:5;a?Subject=a%20b&subject=c&x",
        Uri("sip", None, b"h", 5, params={b"a": None}, headers={b"subject": b"a b", b"x": b""}),
    ),
    (b"sip:a@h?x=;y", Uri("sip", b"a", b"h", headers={b"x": b";y"})),
    # RFC 4475 section 3.1.1.2: reserved characters in the user part.
    (
        b"sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.@example.com",
        Uri(
            "sip",
            b"1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
            b"example.com",
            None,
            b"&it+has=1,weird!*pas$wo~d_too.",
        ),
    ),
    # RFC 4475 section 3.1.1.4: escaped nulls.
    (b"sip:null-%00-null@example.com", Uri("sip", b"null-\0-null", b"example.com")),
    (b"tel:+1-201-555.0123", Uri("tel", b"+12015550123", b"")),
    (
        b"TEL:7042;phone-context=example.com;ext=(1)",
        Uri("tel", b"7042", b"", params={b"phone-context": b"example.com", b"ext": b"(1)"}),
    ),
    # RFC 4475 section 3.3.2 and 3.3.4: unknown schemes are no defect of the URI.
    (b"nobodyKnowsThisScheme:totallyopaquecontent", Uri("nobodyknowsthisscheme", None, b"")),
    (b"http://host/a", Uri("http", None, b"")),
]


@pytest.mark.parametrize(("raw", "uri"), CASES)
def test_parse_uri(raw: bytes, uri: Uri) -> None:
    """Each construct gives the parts that RFC 3261 section 19.1 and RFC 3966 name."""
    assert parse_uri(raw) == uri


@pytest.mark.parametrize(("raw", "uri"), CASES)
def test_fast_address_of_each_construct(raw: bytes, uri: Uri) -> None:
    """Bare and in a From value, each construct gives the same user and host as the whole URI."""
    assert fast_address(b'"<x>" <' + raw + b">;tag=1") == (uri.user, uri.host)
    assert fast_user(raw) == uri.user
    assert fast_host(raw) == uri.host


@pytest.mark.parametrize(
    "raw",
    [b"", b"alice", b"alice@host", b"sip", b"sip:", b"sip:a@", b"sip:a@:5060", b":a@b", b"9sip:a@b",
     b"sip:a@host:65536", b"sip:a@host:x", b"sip:a@host:-1", b"sip:a@[x]", b"sip:a@[::1", b"sip:a@h h",
     b"sip:a@h\x00", b"sip:a@;x", b"tel:", b"tel:-()", b"<sip:a@b>", b"sip:a@host:" + b"9" * 5000],
)  # fmt: skip
def test_bad_uri(raw: bytes) -> None:
    """Without scheme, host or a port that fits, there is no URI, and the error says so."""
    with pytest.raises(RemoteError) as error:
        parse_uri(raw)
    assert error.value.reason == "bad_uri"


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        # sipsak_random.pcap damages single bytes.
        (b"sip:sipsak@127.0.0.1:38216mtag=360a0ea", (b"sipsak", b"127.0.0.1")),
        (b"sip:100@a/b", (b"100", b"a/b")),
        (b"<sip:%31@H h:99999>", (b"1", b"h h")),
        (b"sip:100@", (b"100", b"")),
        (b"sip:", None),
        (b"tel:", None),
        (b"100@host", None),
    ],
)
def test_user_is_found_beside_a_broken_host(raw: bytes, address: tuple[bytes, bytes] | None) -> None:
    """A host or port that is none does not hide whom the request asks for."""
    assert attempt(parse_uri, raw)[0] is None
    assert fast_address(raw) == address
    assert fast_user(raw) == (address and address[0])
    assert fast_host(raw) == (address and address[1])


@pytest.mark.parametrize("separator", [b";", b"&"])
def test_too_many_params(separator: bytes) -> None:
    """Parameters and headers are limited; user and host are found nevertheless."""
    raw = b"sip:a@h" + (b";" if separator == b";" else b"?")
    raw += separator.join(b"p%d" % number for number in range(MAX_PARAMS + 1))
    with pytest.raises(RemoteError) as error:
        parse_uri(raw)
    assert error.value.reason == "too_many_params"
    assert fast_address(raw) == (b"a", b"h")


@pytest.mark.parametrize(
    ("raw", "aor"),
    [
        (b"sip:alice:pw@Host:5060;transport=tcp?a=b", "sip:alice@host"),
        (b"sips:%61lice@host", "sip:alice@host"),
        (b"sip:100@[2001:db8::1]:5060", "sip:100@[2001:db8::1]"),
        (b"sip:host", "sip:host"),
        (b"sip:\xff@host", "sip:\\xff@host"),
        (b"tel:+1-201", "tel:+1201"),
    ],
)
def test_aor(raw: bytes, aor: str) -> None:
    """The address-of-record is the account alone: no port, password, parameters, escapes."""
    assert parse_uri(raw).aor == aor


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        (b"sip:00-44 (20)@h", b"004420"),
        (b"sip:123;phone-context=+1@h", b"123"),
        (b"tel:+1-201", b"+1201"),
        (b"sip:h", None),
    ],
)
def test_number(raw: bytes, number: bytes | None) -> None:
    """What is dialled has no separators and no parameters."""
    assert parse_uri(raw).number == number


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (b"<sip:a@b>", (b"", b"sip:a@b", b"")),
        (b' "A <x>" < sip:a@b > ;tag=1', (b'"A <x>"', b"sip:a@b", b" ;tag=1")),
        (b'"A \\" <" <sip:a@b>', (b'"A \\" <"', b"sip:a@b", b"")),
        (b'"Mr. J. User <sip:a@b>', (b'"Mr. J. User', b"sip:a@b", b"")),
        (b"A B <sip:a@b>;x", (b"A B", b"sip:a@b", b";x")),
        (b"sip:a@b;tag=1", (b"", b"sip:a@b", b";tag=1")),
        (b"sip:a;x=1@b;tag=1", (b"", b"sip:a;x=1@b", b";tag=1")),
        (b"sip:b;tag=1", (b"", b"sip:b", b";tag=1")),
        (b"sip:a@b, sip:c@d", (b"", b"sip:a@b", b", sip:c@d")),
        (b"SIP:a@b;x=<sip:c@d>", (b"", b"SIP:a@b", b";x=<sip:c@d>")),
        (b"<sip:a@b>,<sip:c@d>", (b"", b"sip:a@b", b",<sip:c@d>")),
    ],
)
def test_split_name_addr(value: bytes, parts: tuple[bytes, bytes, bytes]) -> None:
    """Display name, URI and parameters part where servers part them."""
    assert split_name_addr(value) == parts


@pytest.mark.parametrize("value", [b"<sip:a@b", b'"x<y>"<sip:a', b'"a <sip:b@c>" "<', b'"<sip:a@b>" x'])
def test_bad_name_addr(value: bytes) -> None:
    """A bracket that is never closed, or stands only in a quoted name, gives no URI."""
    assert attempt(split_name_addr, value) == (None, "bad_name_addr")
    assert fast_address(value) is None


def test_unescape_leaves_other_text() -> None:
    """Only percent and two hexadecimal digits are an escape, and it is decoded once."""
    assert unescape(b"a%20b%2541%zz%") == b"a b%41%zz%"


@settings(max_examples=500)
@given(values)
@example(b"sip:a@b;x=<sip:c@d>")
@example(b"<sip:a@b\n>")
@example(b"sip:a@b\n")
@example(b'x"<sip:a@b>"<sip:c@d>')
def test_short_way_equals_full_parser_on_header_values(value: bytes) -> None:
    """For any bytes that parse_name_addr reads, fast_address gives its user and host."""
    address = fast_address(value)
    assert fast_user(value) == (address[0] if address else None)
    assert fast_host(value) == (address[1] if address else None)
    whole, reason = attempt(parse_name_addr, value)
    if whole is None:
        assert reason in ("bad_name_addr", "bad_uri", "too_many_params")
        assert address is None or reason != "bad_name_addr"
    else:
        assert address == ((whole.uri.user, whole.uri.host) if whole.uri else None)


@settings(max_examples=500)
@given(uris)
@example(b"tel:1\t;x")
def test_short_way_equals_full_parser_on_request_uris(raw: bytes) -> None:
    """For any Request-URI of SIP or tel without a comma, fast_address gives what parse_uri gives."""
    uri, reason = attempt(parse_uri, raw)
    assert reason in ("", "bad_uri", "too_many_params")
    if uri and b"," not in raw and uri.scheme in ("sip", "sips", "tel"):
        assert fast_address(raw) == (uri.user, uri.host)


@given(values)
def test_any_bytes_give_a_uri_or_a_remote_error(raw: bytes) -> None:
    """Nothing but RemoteError leaves the parser, and what it gives has text for its parts."""
    for text in (raw, b"sip:" + raw, b"tel:" + raw, b"sip:a@" + raw):
        uri, _ = attempt(parse_uri, text)
        if uri is None:
            continue
        assert uri.aor.startswith(("sip:", "tel:"))
        assert uri.host == uri.host.lower()
        assert uri.port is None or 0 <= uri.port <= 65_535
        assert hash(uri) == hash(parse_uri(text))
        assert uri.number is None or b"-" not in uri.number
