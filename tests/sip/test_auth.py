"""shield.sip.auth: digest credentials and challenges, and the short reading of both."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings

from shield.sip.auth import Challenge, Credentials, fast_auth, parse_challenge, parse_credentials
from shield.sip.grammar import MAX_PARAMS
from tests.spellings import attempt, values

FULL = Credentials(
    scheme="digest",
    username=b"bob",
    realm=b"lab, example",
    nonce=b"n==",
    uri=b"sip:192.0.2.1",
    response=b"0f",
    algorithm=b"MD5",
    opaque=b"",
    qop=b"auth",
    cnonce=b"c",
    nc=b"00000001",
)

# One in each paragraph, lines joined. The first five in the order of sipvicious, baresip, sipp,
# sipsak and linphone; then odd case, blanks, bare strings (hydra) and quoted tokens; quoted
# pairs; equal names, of which the first counts.
SPELLINGS = (
    rb"""
Digest username="bob",realm="lab, example",nonce="n==",uri="sip:192.0.2.1",cnonce="c",nc=00000001,
algorithm=MD5,qop=auth,response="0f",opaque=""

Digest username="bob", realm="lab, example", nonce="n==", uri="sip:192.0.2.1", response="0f",
 algorithm=MD5, cnonce="c", qop=auth, nc=00000001, opaque=""

Digest username="bob",realm="lab, example",cnonce="c",nc=00000001,qop=auth,uri="sip:192.0.2.1",
nonce="n==",response="0f",algorithm=MD5,opaque=""

Digest username="bob", uri="sip:192.0.2.1", algorithm=MD5, realm="lab, example", nonce="n==",
 qop=auth, nc=00000001, cnonce="c", response="0f", opaque=""

Digest realm="lab, example", nonce="n==", algorithm=MD5, opaque="", username="bob",  uri="sip:192.0.2.1",
 response="0f", cnonce="c", nc=00000001, qop=auth

 DIGEST  UserName = "bob" ,,Realm="lab, example",NONCE=n==,uri=sip:192.0.2.1,response=0f,
 algorithm="MD5", cnonce = c,nc="00000001" ,qop="auth",opaque=,

Digest username="b\ob",realm="lab\, example",nonce="n==",uri="sip:192.0.2.1",response="0f",
algorithm=MD5,opaque="",qop=auth,cnonce="c",nc=00000001

Digest username="bob",realm="lab, example",nonce="n==",uri="sip:192.0.2.1",response="0f",
algorithm=MD5,opaque="",qop=auth,cnonce="c",nc=00000001,username="eve",nonce="e"
""".replace(b"\n\n", b"|")
    .replace(b"\n", b"")
    .split(b"|")
)


@pytest.mark.parametrize("value", SPELLINGS)
def test_credentials_in_each_spelling(value: bytes) -> None:
    """Order, case, blanks and quoting change nothing in the value."""
    found = parse_credentials(value)
    assert found == replace(FULL, params=found.params)
    assert found.nonce_count == 1
    assert fast_auth(value) == (b"bob", b"n==", b"0f", b"lab, example", b"sip:192.0.2.1")


@pytest.mark.parametrize(
    ("value", "username", "nonce"),
    [
        # cnonce holds the word nonce; so may a string.
        (b'Digest cnonce="x",nonce="y",username="u"', b"u", b"y"),
        (b'Digest cnonce="x",username="u"', b"u", b""),
        (b'Digest username="u, nonce=",nonce="y"', b"u, nonce=", b"y"),
        (b'Digest username="u\\", nonce=\\"no",nonce="y"', b'u", nonce="no', b"y"),
        (b'Digest x=<,username="u",y=>,nonce="y"', b"u", b"y"),
        (b'Digest username="open,nonce="y"', b"open,nonce=", b""),
        (b'Digest username="",nonce=""', b"", b""),
        (b"Digest username", b"", b""),
        # sippts_flood_fuzz.pcap
        (b"Digest dC`2/Y'X7/IYoh[M\\P|ulu]3\\C`g8", b"", b""),
    ],
)
def test_names_inside_other_text_are_none(value: bytes, username: bytes, nonce: bytes) -> None:
    """A name counts only where a parameter begins."""
    found = fast_auth(value)
    assert found is not None
    assert found[:2] == (username, nonce)
    credentials = parse_credentials(value)
    assert (credentials.username or b"", credentials.nonce or b"") == (username, nonce)


def test_padding_hides_no_field() -> None:
    """Any number of unknown parameters before the known ones: these are read all the same."""
    padding = b"".join(b"p%d=1," % number for number in range(MAX_PARAMS + 9))
    found = parse_credentials(b"Digest " + padding + b'username="u",Nonce="n"')
    assert (found.username, found.nonce, len(found.params)) == (b"u", b"n", MAX_PARAMS + 2)
    assert fast_auth(b"Digest " + padding + b'username="u",nonce="n"') == (b"u", b"n", b"", b"", b"")


@pytest.mark.parametrize(
    "value", [b"", b" ", b"Digest", b"Digest ", b'"x" y=1', b"Digest ,,", b"Digest =1"]
)
def test_bad_auth(value: bytes) -> None:
    """Without scheme or parameters there are no credentials."""
    assert attempt(parse_credentials, value) == (None, "bad_auth")
    assert attempt(parse_challenge, value) == (None, "bad_auth")
    assert fast_auth(value) is None


def test_other_schemes() -> None:
    """Basic is read as a value but is no digest."""
    assert parse_credentials(b"Basic dTpw").scheme == "basic"
    assert fast_auth(b'Basic username="u",nonce="n"') is None


@pytest.mark.parametrize(
    ("nc", "count"), [(b"0000000a", 10), (b"x", None), (b"", None), (b"f" * 17, None), (b"1_0", None)]
)
def test_nonce_count(nc: bytes, count: int | None) -> None:
    """nc is hexadecimal of bounded length."""
    assert parse_credentials(b'Digest nc="' + nc + b'"').nonce_count == count


def test_challenge() -> None:
    """A challenge gives its typed fields; fast_auth gives its nonce."""
    value = (
        b'Digest realm="lab", nonce="n", qop="auth, AUTH-INT,", algorithm=MD5, opaque="o", stale=TRUE,'
        b' domain="sip:a sip:b", x'
    )
    found = parse_challenge(value)
    assert found == Challenge(
        "digest",
        realm=b"lab",
        nonce=b"n",
        algorithm=b"MD5",
        opaque=b"o",
        domain=b"sip:a sip:b",
        qop=(b"auth", b"auth-int"),
        stale=True,
        params=found.params,
    )
    assert found.params[b"x"] is None
    assert not parse_challenge(b"Digest nonce=n,stale=no").stale
    assert fast_auth(value) == (b"", b"n", b"", b"lab", b"")
    assert fast_auth(b'Digest realm="lab", nonce="n"') == (b"", b"n", b"", b"lab", b"")


@settings(max_examples=1000)
@given(values)
@example(b'Digest username="u",realm="r",nonce="n",uri="x",response="d"\n')
@example(b'Digest username="u",realm="r",nonce="n",uri="x",response=d,response="e"')
@example(b'Digest realm="r",nonce=n,nonce="m"')
@example(b'Digest nonce="a",username="u", \n')
def test_fast_auth_equals_full_parser(value: bytes) -> None:
    """For any bytes, fast_auth gives what parse_credentials gives, or None where that has no digest."""
    found, reason = attempt(parse_credentials, value)
    assert reason in ("", "bad_auth")
    fast = fast_auth(value)
    if found is None or found.scheme != "digest":
        assert fast is None
    else:
        fields = (found.username, found.nonce, found.response, found.realm, found.uri)
        assert fast == tuple(field or b"" for field in fields)
        assert parse_challenge(value).nonce == found.nonce
