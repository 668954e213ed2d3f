"""Facts of conditions: the tests that a rule file puts on one field."""

from __future__ import annotations

import re
from typing import Any

import pytest

from shield.detect.match import MAX_PATTERN, MAX_VALUE, condition
from shield.errors import ConfigError
from shield.sip.event import Kind, SipEvent
from tests.builders import datagram, read_request, request


def holds(table: dict[str, Any], agent: str | None, name: str = "user-agent") -> bool:
    """Whether a condition on User-Agent holds for a message with this one (None: without)."""
    payload = request("OPTIONS", agent=agent or "")
    if agent is None:
        payload = payload.replace(b"User-Agent: \r\n", b"")
    event = SipEvent(Kind.REQUEST, datagram(payload), read_request(payload))
    return condition(name, table, "r").holds(event)


@pytest.mark.parametrize(
    ("table", "agent", "expected"),
    [
        ({"regex": "^scan"}, "scanner", True),
        ({"regex": "^scan"}, "Scanner", False),
        ({"regex": "^scan", "ignore_case": True}, "Scanner", True),
        ({"regex": "ner"}, "scanner", True),
        ({"set": ["a", "b"]}, "b", True),
        ({"set": ["a", "b"]}, "ab", False),
        ({"set": "B", "ignore_case": True}, "b", True),
        ({"set": "B"}, "b", False),
        ({"prefix": ["sip", "nm"]}, "nmap", True),
        ({"prefix": ["sip", "nm"]}, "anmap", False),
        ({"prefix": ["NM"], "ignore_case": True}, "nmap", True),
        ({"contains": "map"}, "nmap/7", True),
        ({"contains": "Map"}, "nmap/7", False),
        ({"contains": ["x", "map"]}, "nmap/7", True),
        ({"contains": ["x", "y"]}, "nmap/7", False),
        ({"contains": ["X", "MAP"], "ignore_case": True}, "nmap/7", True),
        ({"regex": "sca+n", "needs": ["sc", "zz"]}, "scaan", True),
        ({"regex": "sca+n", "needs": "zz"}, "scaan", False),
        ({"regex": "sca+n", "needs": "SC"}, "scaan", False),
        ({"regex": "sca+n", "needs": "SC", "ignore_case": True}, "SCAAN", True),
        ({"regex": "(?i)^SCAN"}, "scan", True),
        ({"absent": True}, None, True),
        ({"absent": True}, "nmap", False),
    ],
)
def test_each_kind_of_test(table: dict[str, Any], agent: str | None, expected: bool) -> None:
    """regex searches, set compares whole values, prefix and contains parts, absent asks for nothing."""
    assert holds(table, agent) is expected


@pytest.mark.parametrize(("agent", "expected"), [("phone", True), ("scanner", False), (None, False)])
def test_not_turns_a_test_round_for_values_that_exist(agent: str | None, expected: bool) -> None:
    """``not`` never fires on a missing field: that is what ``absent`` is for."""
    assert holds({"prefix": "scan", "not": True}, agent) is expected


def test_long_values_are_cut() -> None:
    """No test meets more than MAX_VALUE bytes of what an attacker sent."""
    assert holds({"contains": "end"}, "x" * (MAX_VALUE - 3) + "end")
    assert not holds({"contains": "end"}, "x" * MAX_VALUE + "end")


def test_text_for_people_names_field_and_test() -> None:
    """Evidence shows which sign was seen."""
    assert condition("uri", {"regex": "^a"}, "r").text == "uri matches ^a"
    assert condition("uri", {"set": ["a"]}, "r").text == "uri set ['a']"
    assert condition("uri", {"absent": True}, "r").text == "uri is absent"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "r: expected one of regex, set"),
        ({"regex": "a", "set": ["a"]}, "r: expected one of"),
        ({"regex": "a", "flags": "i"}, "r: expected one of"),
        ({"regex": "a", "needs": []}, r"r\.needs: must be a text or a list"),
        ({"set": "a", "needs": "a"}, "r: expected one of"),
        ({"absent": False}, r"r\.absent: must be true"),
        ({"regex": 1}, r"r\.regex: must be a text"),
        ({"regex": "a" * (MAX_PATTERN + 1)}, r"r\.regex: must be a text of at most"),
        ({"regex": "(a"}, r"r\.regex: missing \)"),
        ({"set": []}, r"r\.set: must be a text or a list of texts"),
        ({"prefix": [1]}, r"r\.prefix: must be"),
        ({"contains": 5}, r"r\.contains: must be"),
    ],
)
def test_every_mistake_is_named(table: dict[str, Any], message: str) -> None:
    """The error names the place in the file."""
    with pytest.raises(ConfigError, match=message):
        condition("user-agent", table, "r")


@pytest.mark.parametrize(
    ("table", "value"),
    [
        ({"regex": "a|b"}, b"xb"),
        ({"set": ["a.", "b"]}, b"a."),
        ({"prefix": "(x"}, b"(xy"),
        ({"contains": "$", "ignore_case": True}, b"a$b"),
        ({"set": "AB", "ignore_case": True}, b"aB"),
    ],
)
def test_the_pattern_is_the_test_once_more(table: dict[str, Any], value: bytes) -> None:
    """Several conditions on one field are merged into one expression, which must say the same."""
    made = condition("uri", table, "r")
    assert made.pattern is not None
    assert made.test is not None
    for text in (value, value + b"?", b"?" + value, value.upper(), b""):
        assert bool(re.search(made.pattern, text)) is bool(made.test(text))


@pytest.mark.parametrize("table", [{"regex": "(a)b"}, {"regex": "(?i)a"}, {"regex": "a", "needs": "a"}])
def test_what_cannot_be_merged_has_no_pattern(table: dict[str, Any]) -> None:
    """Groups would be numbered anew, and flags at the start hold for a whole expression."""
    assert condition("uri", table, "r").pattern is None


@pytest.mark.parametrize(
    ("regex", "anchored"),
    [
        ("^a", True),
        ("^(?:a|b)c", True),
        ("^[|]a", True),
        (r"^\(a|b", False),
        ("^[(]a|b", False),
        ("^a|b", False),
        ("^(a)|b", False),
        ("a^", False),
        ("(?m)^a", False),
        ("^[]|]a", True),
        (r"^[\]|]a", True),
    ],
)
def test_only_what_must_match_at_the_start_is_anchored(regex: str, anchored: bool) -> None:
    """A branch outside of parentheses can match elsewhere; brackets and escapes open nothing."""
    made = condition("uri", {"regex": regex}, "r")
    assert made.anchored is anchored
    assert made.test is not None
    for text in (b"", b"a", b"b", b"xb", b"ac", b"bc", b"(a", b"|a", b"x|a", b"x\na", b"]a", b"x(b"):
        assert bool(made.test(text)) is bool(re.search(regex.encode(), text))


def test_answers_about_repeating_fields_are_remembered() -> None:
    """A User-Agent is looked at once; what was found in it is not kept alive."""
    made = condition("user-agent", {"regex": "^(?:a|b)"}, "r")
    assert made.test is not None
    assert [made.test(text) for text in (b"a1", b"c1", b"a1")] == [True, False, True]
    assert len(made.test.__self__) == 2  # type: ignore[attr-defined]
