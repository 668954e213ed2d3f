"""shield.sip.logins: one Call-ID while it authenticates (its use is in test_transactions)."""

from __future__ import annotations

import pytest

from shield.sip.logins import CHALLENGES, CREDENTIALS, MAX_REALMS, Login, auth_values, is_stale
from tests.builders import challenge, credentials, read_request, read_response, request, response


def values(*lines: str) -> list[bytes]:
    """The credentials in a request with these lines."""
    return auth_values(read_request(request("REGISTER", *lines)), CREDENTIALS, b"authorization")


def test_no_one_and_several_lines_of_credentials() -> None:
    """All lines of both names in the order of the message, in any spelling."""
    one, two = credentials("a"), credentials("b", proxy=True)
    raw = [line.partition(": ")[2].encode() for line in (one, two)]
    assert values() == []
    assert values(one) == raw[:1]
    assert values(two) == raw[1:]
    assert values(one, two) == raw
    assert values(two.upper(), one)[1] == raw[0]


def test_all_challenges_are_found() -> None:
    """Lines for several algorithms (RFC 8760)."""
    asked = request()
    answer = response(401, asked, challenge("a"), challenge("b"), challenge("c", proxy=True))
    found = auth_values(read_response(answer), CHALLENGES, b"-authenticate")
    assert [value.split(b'nonce="')[1][:1] for value in found] == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("lines", "stale"),
    [
        ([], False),
        ([b'Digest realm="r", nonce="n"'], False),
        ([b'Digest realm="r", stale=false'], False),
        ([b"???", b'Digest realm="r",stale = "TRUE"'], True),
        ([b'Digest realm="stale=true"'], False),
    ],
)
def test_stale_is_read_as_a_parameter(lines: list[bytes], stale: bool) -> None:
    """Its text inside another value is none."""
    assert is_stale(lines) is stale


def test_the_first_realm_is_no_new_one() -> None:
    """A new realm is one that comes after another; each only once, and never a mixed challenge."""
    login = Login(1, b"t")
    assert not login.new_realm({b"one"})
    assert login.new_realm({b"two"})
    assert not login.new_realm({b"two"})
    assert not login.new_realm({b"one", b"three"})
    assert not login.new_realm(set())


def test_realms_are_bounded() -> None:
    """Neither excuses nor memory grow without end."""
    login = Login(1, b"t")
    excused = [login.new_realm({b"r%d" % number}) for number in range(20)]
    assert sum(excused) == MAX_REALMS - 1
    many = Login(1, b"t")
    many.new_realm({b"r%d" % number for number in range(200)})
    assert len(many.realms) == MAX_REALMS
