"""Parcels: read as they were signed, and each taken once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.cluster.messages import Routed
from shield.cluster.parcels import WINDOW, Parcel, Seen
from shield.errors import RemoteError
from shield.wire import pack_value
from tests.cluster.fakenet import identity


@given(st.lists(st.integers(1, 60)))
def test_each_sequence_number_is_new_once(numbers: list[int]) -> None:
    """In any order, a number is new exactly the first time."""
    seen, before = Seen(), set()
    for number in numbers:
        assert seen.first(1, number) is (number not in before)
        before.add(number)


def test_old_starts_and_very_old_numbers_are_not_new() -> None:
    """An earlier incarnation, or what fell out of the window, is taken for a replay."""
    seen = Seen()
    assert seen.first(5, 10_000)
    assert not seen.first(4, 10_001)
    assert not seen.first(5, 10_000 - WINDOW)
    assert seen.first(5, 10_001 - WINDOW)
    assert seen.first(6, 1)
    assert seen.first(6, 1 << 40), "a jump costs no memory"


@pytest.mark.parametrize(
    "values",
    [(), ("a", 1, 1, "b", "cap", 0, 0), ("a", -1, 1, "b", "cap", 0, 0, None),
     (1, 1, 1, "b", "cap", 0, 0, 1), ("a" * 300, 1, 1, "b", "cap", 0, 0, None), "text"],
)  # fmt: skip
def test_what_is_no_parcel_is_refused(values: object) -> None:
    """Shape and limits are checked before anything is used."""
    with pytest.raises(RemoteError, match="shape"):
        Parcel.read(Routed(8, pack_value(values), b""))


def test_a_parcel_is_read_as_it_was_signed() -> None:
    """Origin, destination and body survive, and the signature is the origin's."""
    parcel = Parcel("a", 5, 6, "b", "test", 1, 9, ("body", b"\x00"), 7)
    routed = parcel.sign(identity("a"))
    assert Parcel.read(routed) == parcel
    assert identity("a").own.verify(routed.signature, routed.body)
    assert not identity("b").own.verify(routed.signature, routed.body)
