"""Hypothesis strategies for header values: fragments of SIP glued together, whole and damaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import strategies as st

from shield.errors import RemoteError

T = TypeVar("T")

_PIECES = rb"""
    < > " \ ; , = @ : ? / % [ ] & * ( ) sip: SIP: sips: tel: http: sip:a@b <sip:alice@host.example>
    <sip:100@[2001:db8::1]:5060> alice 100 %31 +1-201 host.example HOST 192.0.2.1 [2001:db8::1]
    2001:db8::1
    :5060 :99999 :65535 ;tag= ;TAG= tag ;tag=abc ;branch= branch z9hG4bK1 ;rport ;lr ;received=192.0.2.9
    ;x="a;tag=q" SIP/2.0/UDP TCP username="u" nonce="n" cnonce="c" uri="sip:x" response="d" response=d
    nonce="a\"b" nonce nc=1 qop=auth qop="auth,auth-int" stale=TRUE algorithm=MD5 1 INVITE
    4294967295 4294967296
""".split()
_PIECES += [
    b" ",
    b"\t",
    b"\n",
    b"\x00",
    b"\xff",
    b"\xc3\xa4",
    b", ",
    b"Digest ",
    b"digest ",
    b'realm="r, s"',
]
_PIECES += [b"SIP / 2.0 / UDP ", b"SIP/2.0/UDP host;branch=z9hG4bK1", b" INVITE"]

glued = st.lists(st.sampled_from(_PIECES), max_size=12).map(b"".join)

_USUAL = [
    b"<sip:alice@host.example>;tag=abc",
    b'"Alice"<sip:alice@192.0.2.1:5060;transport=udp>;tag=a1;x=y',
    b"sip:alice@host.example;tag=abc",
    b"sip:100@[2001:db8::1]",
    b"<sip:%31%30@host>",
    b"<tel:+1-201-555;phone-context=example.org>;tag=t",
    b'"a <sip:x@y>;tag=z" <sip:alice@host?h=v>;tag="q"',
    b"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport",
    b"SIP/2.0/TCP [2001:db8::1];received=192.0.2.9;branch=z9hG4bK2, SIP/2.0/UDP b;branch=z9hG4bK3",
    b"SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;branch=z9hG4bK4",
    b'Digest username="u", realm="r", nonce="n", uri="sip:x", response="d", cnonce="c", nc=01, qop=auth',
    b'Digest realm="r",cnonce="nonce=",nonce="n",username="u",uri="sip:x",algorithm=MD5,response="d"',
    b'Digest username="u",realm="r",nonce="n",uri="sip:x",cnonce="c",nc=1,response="d"',
    b"1 INVITE",
    b"0009  INVITE",
]


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A usual value with one to three places replaced, doubled or cut."""
    value = draw(st.sampled_from(_USUAL))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(value)))
        end = draw(st.integers(at, min(len(value), at + 4)))
        value = value[:at] + draw(st.one_of(st.just(b""), st.sampled_from(_PIECES))) + value[end:]
    return value


values = st.one_of(glued, _damaged(), st.binary(max_size=40))
"""Header values and URIs: sound, damaged, glued from fragments, or plain noise."""

uris = st.one_of(
    values,
    st.tuples(st.sampled_from([b"sip:", b"SIPS:", b"sip:a@", b"sip:%41;x=1@h", b"tel:"]), glued).map(
        b"".join
    ),
)
"""Request-URIs, mostly with a scheme."""


def attempt(parse: Callable[[bytes], T], raw: bytes) -> tuple[T | None, str]:
    """What the parser gives, with an empty reason; or None and the reason of its RemoteError."""
    try:
        return parse(raw), ""
    except RemoteError as error:
        return None, error.reason
