"""shield.cdr.merge: one call, whatever comes of it and in whatever order."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.cdr.merge import CallRow, CallState, hang_up, lose, merge
from shield.cdr.report import Kind, Report
from tests.cdr.calls import START, bye, failed, start, stop

Sent = tuple[Report, str]


def merged(*sent: Sent, offset: float = 0.0) -> CallRow:
    """What becomes of these reports, each with its node."""
    row: CallRow | None = None
    for report, node in sent:
        if report.kind is not Kind.BYE:
            row = merge(row, report, node, offset) or row
        elif row is not None:
            row = hang_up(row, report, node, offset) or row
    assert row is not None
    return row


def test_a_call_from_start_to_stop() -> None:
    """Talking, then answered with the seconds between answer and end."""
    talking = merged((start(), "a"))
    assert (talking.state, talking.final, talking.ended, talking.duration) == (
        CallState.TALKING, False, 0.0, 0.0,
    )  # fmt: skip
    over = merged((start(), "a"), (stop(), "a"))
    assert (over.state, over.duration, over.marks) == (CallState.ANSWERED, 60.0, frozenset())
    assert (over.caller, over.called, over.status) == (b"alice", b"1001", 200)


def test_a_call_that_nobody_answered() -> None:
    """Is over with its status, without a duration."""
    row = merged((failed(status=487), "a"))
    assert (row.state, row.duration, row.status, set(row.marks)) == (CallState.FAILED, 0.0, 487, set())


def test_a_stop_before_its_start_is_marked() -> None:
    """It says everything itself; the START adds nothing."""
    row = merged((stop(), "a"), (start(), "a"))
    assert (row.state, row.duration, set(row.marks)) == (CallState.ANSWERED, 60.0, {"stop_first"})


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_call_that_two_nodes_saw_is_one_call(order: tuple[int, ...]) -> None:
    """In whatever order their reports come: answered once, with both names."""
    sent: list[Sent] = [(start(), "a"), (stop(), "a"), (start(), "b"), (stop(), "b")]
    row = merged(*(sent[number] for number in order))
    assert (row.state, row.duration, row.nodes) == (CallState.ANSWERED, 60.0, ("a", "b"))
    assert row.marks <= {"stop_first"}


@given(st.lists(st.sampled_from([start(), stop(), bye()]), min_size=1, max_size=12))
def test_repetitions_change_nothing(reports: list[Report]) -> None:
    """A call that is over stays what it is, whatever is sent again."""
    sent = [(start(), "a"), *((report, "a") for report in reports), (stop(), "a")]
    once, again = merged(*sent), merged(*sent, *sent)
    assert once == again


@pytest.mark.parametrize("callee", [False, True])
def test_the_end_of_a_call_that_moved_is_seen_by_another_node(callee: bool) -> None:
    """Its BYE ends it, whoever sends it; the late STOP of the first node does not count again."""
    row = merged((start(), "a"), (bye(callee=callee), "b"), (stop(incomplete=True), "a"))
    assert (row.state, row.ended, row.duration) == (CallState.ANSWERED, START + 30, 24.0)
    assert (set(row.marks), row.nodes) == ({"moved"}, ("a", "b"))


def test_a_bye_with_other_tags_ends_nothing() -> None:
    """Whoever forges one does not know them."""
    row = merged((start(), "a"))
    assert hang_up(row, bye()._replace(to_tag=b"x"), "b", 0.0) is None
    assert hang_up(merged((start(), "a"), (stop(), "a")), bye(), "b", 0.0) is None


def test_a_call_whose_end_never_came_is_lost_until_it_comes() -> None:
    """The STOP of a node that was away for a day still counts."""
    lost = lose(merged((start(), "a")))
    assert (lost.state, set(lost.marks), lost.final) == (CallState.LOST, {"no_stop"}, True)
    found = merge(lost, stop(), "a", 0.0)
    assert found is not None
    assert (found.state, found.duration, found.marks) == (CallState.ANSWERED, 60.0, frozenset())


def test_a_whole_stop_is_better_than_a_guessed_one() -> None:
    """One node lost sight of the call, another saw it end."""
    guessed = stop(ended=START + 5000, incomplete=True)
    row = merged((start(), "a"), (guessed, "a"), (stop(), "b"), (guessed, "a"))
    assert (row.duration, row.node, row.marks) == (60.0, "b", frozenset())


@pytest.mark.parametrize("offset", [-7200.0, 5.0])
def test_times_of_a_clock_that_is_off_are_put_right_and_marked(offset: float) -> None:
    """The duration is by one clock and needs nothing."""
    row = merged((start(), "a"), (stop(), "a"), offset=offset)
    assert (row.answered, row.ended) == (START + 6 + offset, START + 66 + offset)
    assert (row.duration, set(row.marks)) == (60.0, {"clock"})
    near = merged((stop(), "a"), offset=1.5)
    assert (near.answered, "clock" in near.marks) == (START + 6, False)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_who_the_caller_is_says_the_node_at_which_he_logged_in(order: tuple[int, ...]) -> None:
    """The second server sees a call of the first one, without credentials."""
    passed = {"account": b"", "source": b"\xc0\x00\x02\x01"}
    sent: list[Sent] = [
        (start(), "a"), (stop(), "a"), (start(**passed), "b"), (stop(**passed), "b"),
    ]  # fmt: skip
    row = merged(*(sent[number] for number in order))
    assert (row.account, row.source, row.nodes) == (b"alice", b"\xc0\x00\x02\x09", ("a", "b"))
