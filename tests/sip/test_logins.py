"""shield.sip.logins: one Call-ID while it authenticates (its use is in test_transactions)."""

from __future__ import annotations

import pytest

from shield.sip.logins import MAX_REALMS, Login, is_stale


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
