"""shield.detect.crowd: who takes part in what many do to one target."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.detect import crowd as crowd_module
from shield.detect.crowd import MAX_THINGS, Crowd, Crowds, Member


def put(
    crowd: Crowd, client: str, thing: int, time: float = 0.0, *, proven: bool = False, each: int = 2
) -> Member | None:
    """Count in a crowd of 100 s."""
    return crowd.add(client.encode(), thing, time, int(proven), proven, each=each, find_time=100.0)


def test_a_source_takes_part_with_enough_things_of_its_own() -> None:
    """The same thing twice is one thing."""
    crowd = Crowd()
    for client, thing in (("a", 1), ("a", 1), ("b", 2), ("b", 3)):
        put(crowd, client, thing)
    assert (len(crowd), crowd.ready, len(crowd.members)) == (3, 1, 2)


def test_a_thing_belongs_to_the_source_that_showed_it_first() -> None:
    """A phone that moves shows its Call-ID everywhere: it is one source."""
    crowd = Crowd()
    assert put(crowd, "home", 1) is not None
    assert [put(crowd, f"road{number}", 1) for number in range(20)] == [None] * 20
    assert (len(crowd), len(crowd.members)) == (1, 1)


def test_things_leave_after_find_time() -> None:
    """And with its last thing a source."""
    crowd = Crowd()
    put(crowd, "a", 1, 0.0)
    put(crowd, "a", 2, 50.0)
    assert crowd.ready == 1
    put(crowd, "b", 3, 101.0)
    assert (crowd.ready, len(crowd.members)) == (0, 2)
    put(crowd, "b", 4, 200.0)
    assert list(crowd.members) == [b"b"]


def test_proof_is_counted_for_each_source() -> None:
    """A thing that proves its source later is proven from then on."""
    crowd = Crowd()
    put(crowd, "a", 1, proven=True)
    put(crowd, "a", 2)
    assert (crowd.proven, crowd.proven_ready) == (1, 0)
    put(crowd, "a", 2, proven=True)
    put(crowd, "a", 2)
    assert (crowd.proven, crowd.proven_ready) == (2, 1)


def test_success_takes_out_what_its_source_did() -> None:
    """All of it, or the one user; others stay."""
    crowd = Crowd()
    for client, thing in (("a", 1), ("a", 2), ("b", 3)):
        put(crowd, client, thing)
    crowd.forgive(b"a", 1, 2)
    assert (len(crowd), crowd.ready) == (2, 0)
    crowd.forgive(b"a", 3, 2)
    crowd.forgive(b"a", None, 2)
    assert list(crowd.members) == [b"b"]


STEPS = st.tuples(
    st.sampled_from("abc"), st.integers(0, 6), st.floats(0, 60), st.booleans(), st.booleans()
)


@given(st.lists(STEPS, max_size=60))
def test_the_sums_are_those_of_the_things(steps: list[tuple[str, int, float, bool, bool]]) -> None:
    """Whatever comes, goes and is forgiven, the running numbers are what counting anew would give."""
    crowd, now = Crowd(), 0.0
    for client, thing, gap, proven, forgiven in steps:
        now += gap
        put(crowd, client, thing, now, proven=proven)
        if forgiven:
            crowd.forgive(client.encode(), None, 2)
        held = list(crowd._things.values())
        things = {name: sum(one[0] == name for one in held) for name in crowd.members}
        certain = {name: sum(one[0] == name and one[2] for one in held) for name in crowd.members}
        assert {one[0] for one in held} == set(things)
        assert {name: member.things for name, member in crowd.members.items()} == things
        assert crowd.ready == sum(number >= 2 for number in things.values())
        assert crowd.proven == sum(certain.values())
        assert crowd.proven_ready == sum(number >= 2 for number in certain.values())


def test_one_crowd_remembers_so_many_things() -> None:
    """Of a botnet the latest."""
    crowd = Crowd()
    for number in range(3 * MAX_THINGS):
        put(crowd, f"c{number}", number)
    assert len(crowd) == len(crowd.members) == MAX_THINGS


# All crowds


def add(crowds: Crowds, key: int, client: str, thing: int, *, alone: bool = False) -> object:
    return crowds.add(
        key, client.encode(), thing, 1.0, proofs=0, proven=False, each=1, find_time=100.0, alone=alone
    )


def test_one_source_alone_needs_no_crowd() -> None:
    """Forged packets make targets by the million. Of the first source the latest thing is known."""
    crowds = Crowds()
    assert add(crowds, 1, "a", 1) is None
    assert add(crowds, 1, "a", 1) is None
    assert add(crowds, 1, "a", 3) is None
    found = add(crowds, 1, "b", 2)
    assert isinstance(found, tuple)
    assert {name: member.things for name, member in found[0].members.items()} == {b"a": 1, b"b": 1}
    assert add(crowds, 2, "a", 1, alone=True) is not None


def test_a_single_thing_is_forgiven_too() -> None:
    """By its own source, and as the thing it was."""
    crowds = Crowds()
    for client, thing, left in (("b", None, 1), ("a", 2, 1), ("a", 1, 0)):
        add(crowds, 1, "a", 1)
        crowds.forgive(1, client.encode(), thing, 1)
        assert len(crowds) == left
    add(crowds, 1, "a", 1)
    add(crowds, 1, "b", 2)
    crowds.forgive(1, b"a", None, 1)
    found = add(crowds, 1, "b", 3)
    assert isinstance(found, tuple)
    assert set(found[0].members) == {b"b"}


def test_crowds_are_bounded_in_all_things_and_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of forged addresses pushes out old crowds; silent ones go after a day or two."""
    monkeypatch.setattr(crowd_module, "MAX_ALL_THINGS", 100)
    crowds = Crowds()
    for number in range(1_000):
        add(crowds, number, f"c{number}", number)
    assert len(crowds) <= 202
    for time in (1.0, 1e5, 2e5, 3e5):
        crowds.tick(time)
    assert len(crowds) == 0
