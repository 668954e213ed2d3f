"""shield.detect.mark: how the marks of a rule file are read, and what shows one."""

from __future__ import annotations

import tomllib

import pytest

from shield.detect.mark import Mark, parse_marks
from shield.detect.oddities import oddity_bit
from shield.detect.table import Table
from shield.sip.event import Kind, SipEvent
from tests.builders import datagram, read_request, request


def marks(text: str) -> tuple[Mark, ...]:
    problems: list[str] = []
    found = parse_marks(Table(tomllib.loads(text), "r", problems))
    assert problems == []
    return found


def test_three_kinds_of_marks_are_read() -> None:
    """A test on a field, an oddity, a habit; each says in words what it is."""
    found = marks(
        "[[mark]]\nfield = 'user-agent'\nprefix = 'x'\nweight = 4\n"
        "[[mark]]\noddity = 'no-cookie'\nweight = 2\n"
        "[[mark]]\nhabit = 'ports'\nleast = 4\n"
    )
    assert [(mark.text, mark.weight) for mark in found] == [
        ("user-agent prefix x", 4),
        ("oddity no-cookie", 2),
        ("habit ports, 4 or more", 1),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("oddity = 'no-cokie'", ".mark[1].oddity: 'no-cokie' is not one of no-cookie"),
        ("oddity = 5", ".mark[1].oddity: wrong type (int)"),
        ("oddity = 'no-cookie'\nprefix = 'x'", ".mark[1].prefix: unknown key"),
        ("habit = 'smoking'", ".mark[1].habit: 'smoking' is not one of ports"),
        ("habit = 'ports'\nleast = 9", ".mark[1].least: must be 2 to 8"),
        ("habit = 'ports'\nleast = 1", ".mark[1].least: must be 2 to 8"),
        ("habit = 'ports'\nfield = 'uri'", ".mark[1].field: unknown key"),
        ("oddity = 'no-cookie'\nweight = 0", ".mark[1].weight: must be 1 to 100"),
        ("oddity = 'no-cookie'\nhabit = 'ports'", ".mark[1]: oddity or habit, not both"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, problem: str) -> None:
    """File, number of the mark, key."""
    problems: list[str] = []
    parse_marks(Table(tomllib.loads(f"[[mark]]\n{text}"), "r", problems))
    assert any(problem in one for one in problems), problems


def test_what_shows_a_mark() -> None:
    """A field is that of the message at hand, an oddity may be remembered, a habit needs requests."""
    payload = request(agent="x-scan")
    event = SipEvent(Kind.REQUEST, datagram(payload), read_request(payload))
    tested, oddity, habit = marks(
        "[[mark]]\nfield = 'user-agent'\nprefix = 'x'\n"
        "[[mark]]\noddity = 'no-cookie'\n[[mark]]\nhabit = 'ports'\n"
    )
    assert tested.shown(event, 0)
    assert not tested.shown(None, 0)
    assert oddity.shown(None, oddity_bit("no-cookie"))
    assert not oddity.shown(event, oddity_bit("no-branch"))
    assert not habit.shown(event, 0)
