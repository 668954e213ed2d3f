"""Requests: each question ends once."""

from __future__ import annotations

from shield.cluster.messages import Kind
from shield.cluster.requests import MAX_PENDING, MAX_TIMEOUT, Answers, Requests


def test_the_last_answer_ends_a_question() -> None:
    """Replies and failures are told apart; an answer too many is counted and changes nothing."""
    requests, done = Requests(100), list[Answers]()
    tag = requests.open(["b", "c"], 1.0, 0.0, done.append)
    assert tag == 101
    requests.answer("b", Kind.REPLY, tag, "yes")
    requests.answer("b", Kind.REPLY, tag, "again")
    requests.answer("x", Kind.REPLY, tag, "not asked")
    assert done == []
    requests.answer("c", Kind.FAILURE, tag, "cannot")
    assert done == [Answers({"b": "yes"}, {"c": "cannot"})]
    requests.answer("c", Kind.REPLY, tag, "late")
    assert requests.late == 3
    assert len(requests) == 0


def test_the_deadline_ends_a_question() -> None:
    """Whoever said nothing is named."""
    requests, done = Requests(), list[Answers]()
    tag = requests.open(["b", "c"], 1.0, 0.0, done.append)
    assert tag is not None
    assert requests.deadline() == 1.0
    requests.answer("b", Kind.REPLY, tag, 1)
    requests.expire(0.9)
    assert done == []
    requests.expire(1.0)
    assert done[0].missing == ("c",)
    assert requests.deadline() is None


def test_lost_nodes_are_not_waited_for() -> None:
    """They count as missing."""
    requests, done = Requests(), list[Answers]()
    tag = requests.open(["b", "c"], 9.0, 0.0, done.append)
    assert tag is not None
    requests.lose("c")
    requests.not_sent(tag, "b")
    assert done[0].missing == ("b", "c")


def test_questions_are_bounded() -> None:
    """Too many at a time are refused, and no deadline is for ever; a cancelled one is silent."""
    requests, done = Requests(), list[Answers]()
    tags = [requests.open(["b"], 1e9, 0.0, done.append) for _ in range(MAX_PENDING + 1)]
    assert tags[-1] is None
    assert requests.deadline() == MAX_TIMEOUT
    requests.cancel(tags[0] or 0)
    requests.expire(MAX_TIMEOUT)
    assert len(done) == MAX_PENDING - 1
