"""Routing: cheapest ways, and no loops."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shield.cluster.member import ENABLED, Record
from shield.cluster.routing import MAX_HOPS, Route, routes


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


def test_a_full_mesh_needs_no_search() -> None:
    """Everybody is a neighbour and a cheap relay changes nothing; who is none is reached over others."""
    records = {name: record(name, "a", "b", "c", cost=0) for name in "bc"}
    assert routes("a", {"b": 10, "c": 10}, records) == {"b": Route("b", 10, 1), "c": Route("c", 10, 1)}
    records["d"] = record("d", "c")
    records["c"] = record("c", "a", "d")
    assert routes("a", {"b": 10, "c": 10}, records)["d"] == Route("c", 21, 2)


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
