"""Neighbours: a connection that flaps is held back; which ways they open: test_routing, test_core."""

from __future__ import annotations

from shield.cluster.member import Member, MemberState
from shield.cluster.messages import MemberNews
from shield.cluster.peer_neighbours import Neighbours
from tests.cluster.fakenet import identity
from tests.cluster.test_routing import record


def test_two_connections_at_once_are_no_flapping() -> None:
    """After a start both sides dial and one of two stays: four restarts in a minute hold nobody back."""
    a = Neighbours("a")
    for restart in range(4):
        for moment in (0.0, 0.1, 0.3):
            a.up("b", 10.0 * restart + moment)
    assert a.held("b", 31.0) == 0
    a.up("b", 40.0)
    assert a.held("b", 41.0) > 0


def test_ways_are_found_anew_when_a_record_or_a_connection_changes() -> None:
    """Asked again with the same, it gives the same; a new record or a lost connection counts at once."""
    a, certificate = Neighbours("a"), identity("b").own
    members = {
        name: Member(record(name, *links), certificate, MemberNews(b"", b""), MemberState.ALIVE, 0.0)
        for name, links in {"b": ("a", "c"), "c": ("b",)}.items()
    }
    a.up("b", 0.0)
    assert a.routes(members, 1.0) == a.routes(members, 1.0)
    assert a.routes(members, 1.0)["c"].next_hop == "b"
    members["c"].record = record("c")
    assert set(a.routes(members, 1.0)) == {"b"}
    a.down("b")
    assert a.routes(members, 1.0) == {}
