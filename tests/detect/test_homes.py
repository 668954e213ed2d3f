"""shield.detect.homes: where accounts log in, and since when."""

from __future__ import annotations

from shield.detect.homes import FRESH_TIME, HOME_TIME, LEARNING, Homes
from shield.net import pack

HOME, NEAR, FAR = pack("192.0.2.7"), pack("192.0.2.99"), pack("203.0.113.9")


def test_a_place_is_known_after_a_login() -> None:
    """The address itself, and its /24 as near; another account and another place are not."""
    homes = Homes()
    homes.note(b"alice", HOME, 10.0)
    assert homes.knows(b"alice", HOME)
    assert not homes.knows(b"alice", NEAR)
    assert homes.near(b"alice", NEAR)
    assert not homes.near(b"alice", FAR)
    assert not homes.knows(b"bob", HOME)


def test_a_place_is_forgotten_after_a_week_or_two_without_login() -> None:
    """Who comes back within a generation stays known."""
    homes = Homes()
    homes.tick(0.0)
    for name in (b"alice", b"bob"):
        homes.note(name, HOME, 10.0)
    homes.tick(HOME_TIME + 1)
    homes.note(b"alice", HOME, HOME_TIME + 2)
    homes.tick(2 * HOME_TIME + 2)
    assert homes.knows(b"alice", HOME)
    assert not homes.knows(b"bob", HOME)


def test_the_first_login_is_remembered_for_a_while() -> None:
    """``since_login`` counts from the first success; later ones change nothing; then it is long ago."""
    homes = Homes()
    homes.tick(0.0)
    homes.note(b"alice", HOME, 10.0)
    homes.note(b"alice", HOME, 200.0)
    assert homes.since_login(b"alice", HOME, 250.0) == 240.0
    assert homes.since_login(b"bob", HOME, 250.0) is None
    homes.tick(FRESH_TIME + 1)
    homes.tick(2 * FRESH_TIME + 2)
    assert homes.since_login(b"alice", HOME, 2 * FRESH_TIME + 2) is None


def test_a_node_learns_for_an_hour() -> None:
    """Before that it knows nobody's place."""
    homes = Homes()
    assert not homes.settled(1e9)
    homes.note(b"alice", HOME, 10.0)
    assert not homes.settled(10.0 + LEARNING - 1)
    assert homes.settled(10.0 + LEARNING)
