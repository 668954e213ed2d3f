"""shield.detect.tallies: what is kept of each node's counts, and what still has to be told."""

from __future__ import annotations

from shield.detect.tallies import MAX_PARTS, MAX_THINGS, Aim, Part, Tallies, Thing, Told, hashed, things
from shield.net import pack
from tests.detect.test_engine import event

AIM, PART = Aim("rule", 0, pack("192.0.2.9")), Part(pack("192.0.2.9"), 0)


def counted(tallies: Tallies, *found: Thing, find_time: float = 600.0) -> None:
    for thing in found:
        tallies.count(AIM, PART, thing, event(), find_time)


def untold(tallies: Tallies) -> list[int]:
    return [
        thing.key for parts in tallies.own.young.values() for t in parts.values() for thing in t.untold
    ]


def test_values_are_told_apart_by_secret_length_and_order() -> None:
    """Two values are not one longer value."""
    assert hashed(b"k", (b"ab", b"c")) != hashed(b"k", (b"a", b"bc"))
    assert hashed(b"k", (b"ab",)) != hashed(b"l", (b"ab",))
    assert hashed(b"k", (b"ab",)) == hashed(b"k", (b"ab",))
    assert -(1 << 63) <= hashed(b"k", ()) < 1 << 63


def test_a_thing_is_told_once_and_again_when_it_may_be_forgotten() -> None:
    """A phone that repeats the same wrong number each second is told of each quarter of the window."""
    tallies = Tallies()
    counted(tallies, Thing(1, 0.0, proven=False), Thing(1, 1.0, proven=False))
    assert untold(tallies) == [1]
    for tally in tallies.own.young[AIM].values():
        tally.untold = []
    tallies.dirty.clear()
    counted(tallies, Thing(1, 2.0, proven=False))
    assert untold(tallies) == []
    assert not tallies.dirty
    counted(tallies, Thing(1, 3.0, proven=True))
    assert untold(tallies) == [1], "its proof is news"


def test_what_turned_out_well_before_it_was_told_is_not_told() -> None:
    """And what was told is taken back."""
    tallies = Tallies()
    counted(tallies, Thing(1, 0.0, proven=False), Thing(2, 0.0, proven=False))
    tallies.take_back(AIM, PART, 1)
    tally = tallies.own.young[AIM][PART]
    assert (untold(tallies), tally.gone) == ([2], [])
    tally.untold = []
    tallies.take_back(AIM, PART, 2)
    assert tally.gone == [2]
    assert list(things(tally.window)) == []


def test_everything_is_bounded() -> None:
    """Things of a tally, and tallies of an aim."""
    tallies = Tallies()
    counted(tallies, *(Thing(key, float(key), proven=False) for key in range(500)), find_time=9e9)
    assert tallies.own.young[AIM][PART].window.kept == MAX_THINGS
    assert len(untold(tallies)) == MAX_THINGS
    for number in range(MAX_PARTS + 5):
        part = Part(number.to_bytes(4, "big"), 0)
        tallies.count(AIM, part, Thing(1, 0.0, proven=False), event(), 600.0)
        heard = tallies.hear("b", AIM, Told("rule", 0, part, [], []))
        assert heard is (number < MAX_PARTS)
    assert len(tallies.own.young[AIM]) == MAX_PARTS


def test_all_tallies_of_an_aim_are_found_with_their_node() -> None:
    """The own ones under no name."""
    tallies = Tallies()
    counted(tallies, Thing(1, 0.0, proven=False))
    tallies.hear("b", AIM, Told("rule", 0, PART, [Thing(2, 0.0, proven=True)], []))
    assert {node: [t.key for t in things(window)] for node, _, window in tallies.of(AIM)} == {
        "": [1],
        "b": [2],
    }
    tallies.forget("b")
    assert [node for node, _, _ in tallies.of(AIM)] == [""]


def test_silent_aims_are_forgotten() -> None:
    """After a day and a bit at the latest, others' too."""
    tallies = Tallies()
    counted(tallies, Thing(1, 0.0, proven=False))
    tallies.hear("b", AIM, Told("rule", 0, PART, [], []))
    for day in range(1, 4):
        tallies.tick(day * 86_400.0)
    assert len(tallies.own) == 0
    assert len(tallies.others["b"]) == 0
