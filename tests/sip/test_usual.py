"""shield.sip.usual: what the expression of the usual spelling takes, and that it invents nothing.

That both ways of reading agree on any bytes is shown in test_message.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shield.sip.grammar import COMPACT
from shield.sip.headers import fast_branch, fast_tag
from shield.sip.message import parse_fully, parse_message
from shield.sip.names import MAX_HEADER_LINES, USUAL_NAMES
from shield.sip.usual import match_usual
from tests.builders import challenge, credentials, request, response
from tests.spellings import attempt
from tests.traffic import COMPACT as COMPACT_LINES
from tests.traffic import LOOSE

USUAL = [
    request(),
    request(
        "INVITE", "Via: SIP/2.0/UDP a;branch=b", "Contact: <sip:a@b>", "X-Own: 1", "Remote-Party-ID: x"
    ),
    request(
        "REGISTER", credentials("n"), credentials("m", proxy=True), "Allow: INVITE, ACK", "Expires: 60"
    ),
    response(401, request(), challenge("n"), challenge("m")),
    response(200, request("INVITE", to_tag="t"), "Server: x", "Supported: a", "Supported: b"),
]


@pytest.mark.parametrize("payload", USUAL)
def test_usual_messages_take_the_short_way(payload: bytes) -> None:
    """Known and unknown names, several lines of one name, credentials: nothing of it is unusual."""
    match = match_usual(payload)
    assert match is not None
    assert match.end() == len(payload)


@pytest.mark.parametrize(
    ("usual", "odd"),
    [
        ("Via", "v"),
        ("Via", "VIA"),
        ("CSeq", "Cseq"),
        ("Call-ID", "Call-Id"),
        ("User-Agent", "User-agent"),
        ("User-Agent", "User-Agent "),
        ("Content-Length", "l"),
        ("From", "FROM"),
    ],
)
def test_odd_names_do_not(usual: str, odd: str) -> None:
    """An odd spelling of a known name is never taken for a name that nobody knows."""
    assert match_usual(request().replace(f"\r\n{usual}:".encode(), f"\r\n{odd}:".encode())) is None


def test_no_known_name_passes_for_an_unknown_one() -> None:
    """In whatever case, short or long: else a rule would look for it in vain."""
    names = [*COMPACT, *USUAL_NAMES, *COMPACT.values()]
    for name in names:
        for odd in (name.lower(), name.upper(), name.swapcase()):
            if odd not in USUAL_NAMES:
                assert match_usual(request("OPTIONS", f"{odd.decode()}: 1")) is None


def test_lines_are_limited() -> None:
    """As many as the full parser reads, and no more."""
    own = len(request().split(b"\r\n")) - 2
    fits = request("OPTIONS", *["X-A: 1"] * (MAX_HEADER_LINES - own))
    assert match_usual(fits) is not None
    assert match_usual(fits.replace(b"X-A: 1\r\n", b"X-A: 1\r\nX-A: 1\r\n", 1)) is None


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "evil", [b"Via: x\r\n", b"X: y\r\n", b"From: <", b'From: "', b";a=b", b"; ", b"A"]
)
def test_it_runs_in_linear_time(evil: bytes) -> None:
    """A megabyte of anything behind a sound beginning is walked over once."""
    for place in (b"\r\n\r\n", b";branch=", b";tag=", b"From: "):
        sound = request()
        at = sound.find(place) + len(place) - (4 if place == b"\r\n\r\n" else 0)
        match_usual(sound[:at] + evil * (1_000_000 // len(evil)) + sound[at:])


PIECES = [
    b" ",
    b"\t",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n ",
    b'"',
    b"\\",
    b"<",
    b">",
    b";",
    b",",
    b"=",
    b"\x0b",
]
PIECES += [b";tag=x", b";branch=y", b":", b": ", b"\r\n\r\n", b"\r\nFrom: a", b"\r\nv: b", b"0", b"\xff"]
PIECES += [b"\r\nVia: SIP/2.0/UDP z;branch=w", b"\r\nAuthorization: Digest x", b"\r\nAllow: A", b"\0"]


@st.composite
def altered(draw: st.DrawFn) -> bytes:
    """A usual message, its lines in any order, some spelled otherwise, up to three pieces put in."""
    start, *lines = draw(st.sampled_from(USUAL)).split(b"\r\n")[:-2]
    if draw(st.booleans()):
        lines = draw(st.permutations(lines))
    payload = b"\r\n".join([start, *lines, b"", b""])
    for usual, other in draw(st.lists(st.sampled_from((*COMPACT_LINES, *LOOSE)), max_size=2)):
        payload = payload.replace(f"\r\n{usual}".encode(), f"\r\n{other}".encode())
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(payload)))
        payload = payload[:at] + draw(st.sampled_from(PIECES)) + payload[at + draw(st.integers(0, 1)) :]
    return payload


@settings(max_examples=1500, deadline=None)
@given(altered())
@example(request().replace(b";tag=f1", b";tag=f1\\"))
@example(request().replace(b";branch=z9hG4bK1", b';branch=z9hG4bK1"'))
def test_all_that_is_picked_out_is_what_the_full_parser_finds(payload: bytes) -> None:
    """Each attribute of a message, however it is spelled or damaged, and whichever way it was read."""
    short, full = attempt(parse_message, payload), attempt(parse_fully, payload)
    assert short[1] == full[1]
    if short[0] is None or full[0] is None:
        return
    for name in (
        "head", "body", "defects", "via", "vias", "branch", "from_", "to", "call_id", "cseq", "agent",
        "allow", "auth", "fields", "headers",
    ):  # fmt: skip
        assert getattr(short[0], name) == getattr(full[0], name), name
    assert short[0].branch == (fast_branch(full[0].via) or b"")
    assert (short[0].tag or fast_tag(short[0].from_)) == fast_tag(full[0].from_)


@given(st.binary(max_size=200))
def test_any_bytes_match_or_do_not(payload: bytes) -> None:
    """Nothing raises, and what matches is a prefix."""
    for whole in (payload, request()[:-4] + payload, request() + payload):
        match = match_usual(whole)
        assert match is None or match.end() <= len(whole)
