"""Neighbours: a connection that flaps is held back; which ways they open: test_routing, test_core."""

from __future__ import annotations

from shield.cluster.peer_neighbours import Neighbours


def test_two_connections_at_once_are_no_flapping() -> None:
    """After a start both sides dial and one of two stays: four restarts in a minute hold nobody back."""
    a = Neighbours("a")
    for restart in range(4):
        for moment in (0.0, 0.1, 0.3):
            a.up("b", 10.0 * restart + moment)
    assert a.held("b", 31.0) == 0
    a.up("b", 40.0)
    assert a.held("b", 41.0) > 0
