"""Membership: the table of states is the whole truth, and records are believed only with reason."""

from __future__ import annotations

from typing import Any

import pytest

from shield.cluster.member import TRANSITIONS, Happening, MemberState, Record
from shield.cluster.membership import GATHER_FROM, Membership
from shield.cluster.messages import MemberNews
from shield.cluster.peer_neighbours import Neighbours
from shield.errors import RemoteError
from shield.wire import pack_value, unpack_value
from tests.cluster.fakenet import WALL, identity


def membership(name: str = "a", incarnation: int = 1) -> Membership:
    return Membership(
        identity(name), Neighbours(name), incarnation=incarnation, addresses=[(name, 7170)],
        relay_cost=1, software="test", dead_after=1.0,
    )  # fmt: skip


def neighbours(one: Membership) -> Neighbours:
    assert isinstance(one.reach, Neighbours)
    return one.reach


def told(one: Membership, other: Membership, now: float = 0.0) -> list[tuple[str, str]]:
    changes = one.accept(other.news, WALL, {}, now) or []
    return [(change.member.name, change.member.state.value) for change in changes]


def test_the_table_has_no_dead_ends() -> None:
    """From every state a member can come back, and goodbye is no death."""
    for state in MemberState:
        if state is not MemberState.ALIVE:
            assert TRANSITIONS[state, Happening.REACHED] is MemberState.ALIVE
    assert (MemberState.LEFT, Happening.LOST) not in TRANSITIONS
    assert (MemberState.ALIVE, Happening.TIMED_OUT) not in TRANSITIONS


def test_a_neighbour_lives_dies_and_lives() -> None:
    """Known and connected: alive. Lost: suspect. Lost for dead_after: dead. Back: alive."""
    a, b = membership("a"), membership("b")
    neighbours(a).up("b", 0.0)
    assert told(a, b) == [("b", "alive")]
    neighbours(a).down("b")
    assert [change.member.state for change in a.recompute(1.0)] == ["suspect"]
    assert a.tick(1.5) == []
    assert [change.member.state for change in a.tick(2.0)] == ["dead"]
    neighbours(a).up("b", 3.0)
    assert [change.member.state for change in a.recompute(3.0)] == ["alive"]


def test_a_stranger_that_cannot_be_reached_is_told_once() -> None:
    """Its record alone makes it known, as dead."""
    a, b = membership("a"), membership("b")
    assert told(a, b) == [("b", "dead")]
    assert a.accept(b.news, WALL, {}, 0.0) is None
    assert not a.reachable("b")


def test_an_older_record_is_no_news() -> None:
    """Whichever way it took, the latest counts; a new start counts more than any sequence."""
    a, b = membership("a"), membership("b")
    old = b.news
    b.enabled = False
    assert b.advertise(0.0) is not None
    assert b.advertise(0.0) is None
    told(a, b)
    assert a.accept(old, WALL, {}, 0.0) is None
    assert not a.members["b"].record.enabled
    told(a, membership("b", incarnation=2))
    assert a.members["b"].record.enabled


def test_a_record_of_ourselves_from_an_earlier_start_is_outdone() -> None:
    """After a restart with a clock that went back, others must still believe the new start."""
    a = membership("a", incarnation=5)
    assert a.accept(membership("a", incarnation=9).news, WALL, {}, 0.0) is None
    assert a.incarnation == 10
    news = a.advertise(0.0)
    assert news is not None
    assert unpack_value(news.body)[1] == 10


@pytest.mark.parametrize(
    "change",
    [
        {"name": "c"}, {"incarnation": -1}, {"certificate": b"x" * 5000}, {"addresses": (("h", 0),)},
        {"links": (("b", 0),)}, {"links": (("b", 1),) * 300}, {"software": "x" * 300}, {"name": ""},
    ],
)  # fmt: skip
def test_a_bad_record_is_refused(change: dict[str, Any]) -> None:
    """Another name than the certificate's, wrong shapes, too much of anything."""
    a, b = membership("a"), membership("b")
    bad = b.record._replace(**change).sign(identity("b"))
    with pytest.raises(RemoteError):
        a.accept(bad, WALL, {}, 0.0)
    assert a.members == {}


def test_a_record_must_be_signed_by_its_owner_whose_certificate_counts() -> None:
    """Changed on the way, cut, expired or revoked: not believed."""
    a, b = membership("a"), membership("b")
    for news in (
        MemberNews(pack_value(b.record._replace(relay_cost=0)), b.news.signature),
        MemberNews(b.news.body, b""),
        MemberNews(pack_value(b.record[:5]), b.news.signature),
        MemberNews(b"\xc1", b""),
    ):
        with pytest.raises(RemoteError):
            a.accept(news, WALL, {}, 0.0)
    with pytest.raises(RemoteError, match="expired"):
        a.accept(b.news, WALL + 10 * 365 * 86400, {}, 0.0)
    with pytest.raises(RemoteError, match="revoked"):
        a.accept(b.news, WALL, {"b": WALL + 1}, 0.0)
    assert isinstance(Record.read(b.news, identity("a").authority)[0], Record)


def test_what_is_known_already_costs_no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flooded record comes once from each neighbour; only the first is looked at closely."""
    a, b = membership("a"), membership("b")
    assert a.accept(b.news, WALL, {}, 0.0)
    monkeypatch.setattr(Record, "proven", None)
    assert a.accept(b.news, WALL, {}, 0.0) is None
    assert a.accept(MemberNews(b.news.body, b"forged"), WALL, {}, 0.0) is None


def test_a_member_that_talks_and_talks_is_not_heard_for_a_while() -> None:
    """Its records would keep the whole cluster busy; others, and its own later ones, are heard."""
    a, b, c = membership("a"), membership("b"), membership("c")
    assert a.accept(b.news, WALL, {}, 0.0)
    heard, refused = 0, set()
    for number in range(400):
        b.addresses = ((f"h{number}", 1),)
        news = b.advertise(0.0)
        assert news is not None
        try:
            heard += a.accept(news, WALL, {}, 0.0) is not None
        except RemoteError as error:
            refused.add(error.reason)
    assert (heard, refused) == (300, {"too_much_news"})
    assert a.accept(c.news, WALL, {}, 0.0)
    assert a.accept(news, WALL, {}, 1.0) is not None
    assert a.members["b"].record.addresses == (("h399", 1),)


def test_connections_that_come_up_one_after_the_other_are_told_together() -> None:
    """The first ones at once, more of them half a second later in one record; a lost one at once."""
    a = membership("a")
    others = [f"n{number}" for number in range(GATHER_FROM + 2)]
    for other in others:
        told(a, membership(other))
    for other in others[:-2]:
        neighbours(a).up(other, 1.0)
        assert a.advertise(1.0) is not None
    for other in others[-2:]:
        neighbours(a).up(other, 1.1)
        assert a.advertise(1.1) is None
    assert a.advertise(1.5) is not None
    assert [name for name, _ in a.record.links] == sorted(others)
    neighbours(a).down(others[0])
    assert a.advertise(1.6) is not None
