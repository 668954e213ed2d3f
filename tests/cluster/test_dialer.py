"""Dialer: who is dialed, when, and when again."""

from __future__ import annotations

from shield.cluster.dialer import GRACE_SECONDS, MAX_DIALING, SLOW_AFTER, SLOW_SECONDS, Dialer
from shield.cluster.member import ENABLED, Member, MemberState, Record
from shield.cluster.messages import MemberNews
from tests.cluster.fakenet import identity


def member(name: str, state: MemberState = MemberState.ALIVE, *hosts: str) -> Member:
    addresses = tuple((host, 7170) for host in hosts or (name,))
    record = Record(name, 1, 1, b"", addresses, (), 1, ENABLED, "")
    return Member(record, identity("a").own, MemberNews(b"", b""), state, 0.0)


def test_a_seed_is_dialed_until_somebody_answers() -> None:
    """At once, again after a pause, not while under way, and not while who answered is connected."""
    dialer = Dialer("a", [("seed", 7170)])
    (attempt,) = dialer.due({}, (), 0.0)
    assert (attempt.name, attempt.address) == (None, ("seed", 7170))
    assert dialer.due({}, (), 1.0) == []
    dialer.ended(attempt, None, "no answer", 1.0)
    assert dialer.problems() == {"seed:7170": "no answer"}
    assert dialer.due({}, (), 1.1) == []
    (attempt,) = dialer.due({}, (), 1.3)
    dialer.ended(attempt, "b", "", 1.4)
    assert dialer.due({}, ("b",), 9.0) == []
    assert [again.key for again in dialer.due({}, (), 9.0)] == ["seed:7170"]


def test_a_seed_that_is_this_node_is_dialed_no_more() -> None:
    """All nodes may have the same list of seeds."""
    dialer = Dialer("a", [("a", 7170)])
    (attempt,) = dialer.due({}, (), 0.0)
    dialer.ended(attempt, "a", "self", 0.1)
    assert dialer.due({}, (), 100.0) == []


def test_the_first_name_dials_first() -> None:
    """The other end waits a moment, and dials when nothing came."""
    members = {"a": member("a"), "c": member("c")}
    dialer = Dialer("b", [])
    assert [attempt.name for attempt in dialer.due(members, (), 0.0)] == ["c"]
    assert [attempt.name for attempt in dialer.due(members, (), GRACE_SECONDS)] == ["a"]


def test_all_addresses_of_a_member_are_tried() -> None:
    """One after the other, since only one may be right from here; every fourth try has more time."""
    dialer, now, tried = Dialer("a", []), 0.0, []
    for _ in range(4):
        (attempt,) = dialer.due({"b": member("b", MemberState.DEAD, "inside", "outside")}, (), now)
        tried.append((attempt.address[0], attempt.timeout > 1))
        dialer.ended(attempt, None, "no answer", now)
        now += 1
    assert tried == [("inside", False), ("outside", False), ("inside", False), ("outside", True)]


def test_who_left_or_is_unknown_is_not_dialed() -> None:
    """A member that said goodbye comes back by itself; one that was removed is forgotten."""
    dialer = Dialer("a", [])
    assert dialer.due({"b": member("b", MemberState.LEFT)}, (), 0.0) == []
    (attempt,) = dialer.due({"b": member("b")}, (), 0.0)
    dialer.ended(attempt, None, "no answer", 0.0)
    assert dialer.due({}, (), 9.0) == []
    assert dialer.problems() == {}


def test_a_member_long_gone_is_dialed_seldom() -> None:
    """After minutes of failures the pause grows."""
    dialer, now = Dialer("a", []), 0.0
    for _ in range(SLOW_AFTER + 1):
        (attempt,) = dialer.due({"b": member("b")}, (), now)
        dialer.ended(attempt, None, "no answer", now)
        now += 1
    assert dialer.due({"b": member("b")}, (), now) == []
    assert dialer.due({"b": member("b")}, (), now + SLOW_SECONDS)


def test_only_some_are_dialed_at_once_and_everybody_has_a_turn() -> None:
    """Of many that do not answer each is tried before one is tried again; nodes begin with others."""
    dialer = Dialer("n50", [])
    members = {f"n{number:02}": member(f"n{number:02}") for number in range(100) if number != 50}
    first = dialer.due(members, (), 0.0)
    assert [attempt.key for attempt in first] == [f"n{number}" for number in range(51, 51 + MAX_DIALING)]
    assert dialer.due(members, (), 0.5) == []
    tried, now = [attempt.key for attempt in first], 1.0
    under_way = first
    while len(tried) < 99:
        for attempt in under_way:
            dialer.ended(attempt, None, "no answer", now)
        under_way = dialer.due(members, (), now)
        tried += [attempt.key for attempt in under_way]
        now += 1.0
    assert len(set(tried)) >= 99 - MAX_DIALING
