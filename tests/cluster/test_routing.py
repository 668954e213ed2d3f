"""Routing: cheapest ways, loops, and parcels taken once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.cluster.member import ENABLED, Record
from shield.cluster.messages import Routed
from shield.cluster.routing import MAX_HOPS, WINDOW, Parcel, Route, Seen, routes
from shield.errors import RemoteError
from shield.wire import pack_value
from tests.cluster.fakenet import identity


def record(name: str, *links: str, cost: int = 1, flags: int = ENABLED) -> Record:
    return Record(name, 1, 1, b"", (), tuple((link, 10) for link in links), cost, flags, "")


def test_a_connection_counts_when_both_ends_name_it() -> None:
    """What only one end claims is not used: the other may be dead."""
    records = {"b": record("b", "a", "c"), "c": record("c")}
    assert routes("a", {"b": 10}, records) == {"b": Route("b", 10, 1)}
    records["c"] = record("c", "b")
    assert routes("a", {"b": 10}, records)["c"] == Route("b", 21, 2)


def test_a_disabled_node_carries_nothing() -> None:
    """It is there, but nobody is reached over it."""
    records = {"b": record("b", "a", "c", flags=0), "c": record("c", "b")}
    assert set(routes("a", {"b": 10}, records)) == {"b"}


def test_a_direct_link_beats_a_cheap_relay() -> None:
    """A relay costs two links and its own cost."""
    records = {"b": record("b", "a", "c", cost=0), "c": record("c", "a", "b")}
    assert routes("a", {"b": 10, "c": 10}, records)["c"].hops == 1


@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7))))
def test_every_way_leads_on_and_ends(edges: set[tuple[int, int]]) -> None:
    """In any network each step along next hops is cheaper, so no message goes in circles."""
    both = {(f"n{a}", f"n{b}") for a, b in edges if a != b} | {
        (f"n{b}", f"n{a}") for a, b in edges if a != b
    }
    names = [f"n{number}" for number in range(8)]
    records = {name: record(name, *(b for a, b in both if a == name)) for name in names}
    tables = {
        name: routes(name, dict(records[name].links), {k: v for k, v in records.items() if k != name})
        for name in names
    }
    for name, table in tables.items():
        for target, route in table.items():
            assert (name, route.next_hop) in both
            if route.next_hop != target:
                assert tables[route.next_hop][target].cost < route.cost
            assert route.hops <= MAX_HOPS + 1


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
