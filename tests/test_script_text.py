"""shield.script_text: texts of routing scripts, in whatever order and with whatever users."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.net import pack
from shield.script_text import HEREIS, PLACES, REGONLINE, WHEREIS, Hacker, Place, parse

ADDRESSES = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))
PROXIES = st.sampled_from(
    ["192.0.2.1", "192.0.2.1:5060", "sip.example.com", "[2001:db8::1]:5060", "2001:db8::1", "p1"]
)


@pytest.mark.parametrize("address", ["192.0.2.9", "2001:db8::9"])
def test_an_attacker_is_read_in_both_orders(address: str) -> None:
    """The script writes the address first or last; the first form is the one that is sent."""
    found = Hacker(b"friendly-scanner", pack(address))
    encoded = "ZnJpZW5kbHktc2Nhbm5lcg=="
    assert str(found) == f"HACKER:{encoded}:{address}"
    assert parse(str(found)) == parse(f"HACKER:{address}:{encoded}") == found
    assert parse(f"HACKER:[{address}]:{encoded}") == found
    assert parse(f"HACKER::{address}") == Hacker(b"", pack(address))


@given(st.binary(max_size=200), ADDRESSES)
def test_any_user_agent_comes_out_as_it_went_in(agent: bytes, address: bytes) -> None:
    """Whatever octets it has."""
    assert parse(str(Hacker(agent, address))) == Hacker(agent, address)


@given(st.sampled_from(sorted(PLACES)), st.binary(min_size=1, max_size=60), PROXIES)
def test_any_user_comes_out_as_it_went_in(kind: str, user: bytes, proxy: str) -> None:
    """Colons, blanks, line ends, 8-bit text and what looks like an escape."""
    text = str(Place(kind, user, proxy))
    assert text.isprintable()
    assert parse(text) == Place(kind, user, proxy)


@pytest.mark.parametrize(
    ("text", "user", "proxy"),
    [
        ("alice:192.0.2.1", b"alice", "192.0.2.1"),
        ("a:b:192.0.2.1", b"a:b", "192.0.2.1"),
        ("a b:192.0.2.1:5060", b"a b", "192.0.2.1:5060"),
        ("alice:2001:db8::1", b"alice", "2001:db8::1"),
        ("a%3Ab:h", b"a:b", "h"),
        ("é:h", "é".encode(), "h"),
    ],
)
def test_users_and_proxies_as_scripts_write_them(text: str, user: bytes, proxy: str) -> None:
    """Escaped or not; the last part that can be one is the proxy."""
    assert parse(f"{REGONLINE}:{text}") == Place(REGONLINE, user, proxy)


@pytest.mark.parametrize(
    "text",
    [
        "", "hello", "WHEREIS", "WHEREIS:", "WHEREIS:alice", "WHEREIS::192.0.2.1", "WHEREIS:a:b c",
        "HACKER:", "HACKER:x", "HACKER:x:y", "HACKER:***:192.0.2.1", "HACKER:YQ=:192.0.2.1",
        "whereis:alice:h", "OTHER:a:b", "WHEREIS:" + "x" * 5000 + ":h",
    ],
)  # fmt: skip
def test_anything_else_is_free_text(text: str) -> None:
    """Also what only looks like one of these."""
    assert parse(text) is None


@given(st.text(max_size=80), st.sampled_from(["HACKER", WHEREIS, HEREIS]))
def test_nothing_raises(rest: str, kind: str) -> None:
    """Others may say what they like."""
    parse(f"{kind}:{rest}")
