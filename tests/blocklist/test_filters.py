"""The filter grammar: which records each term picks, and how mistakes are named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.blocklist.filters import FIELDS, MAX_FILTER_LENGTH, MAX_TERMS, parse_filter
from shield.errors import InputError

NOW = 1_800_000_000.0
RECORD = {
    "id": "node-a-1-17",
    "value": "203.0.113.5",
    "scope": "ip",
    "type": "ban",
    "scenario": "sip-scan",
    "origin": "node-a",
    "proof": "proven",
    "time": NOW - 1800,
    "duration": 3600.0,
    "remaining": 540.0,
    "repeats": 2,
    "reason": "Friendly scanner, two words",
}
V6 = {**RECORD, "value": "2001:db8:1::/48", "scope": "range"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("scenario=sip*", True),
        ("scenario=SIP-SCAN", True),
        ("scenario=sip", False),
        ("scenario!=sip*", False),
        ("scenario=enum*,sip-s?an", True),
        ("scenario!=enum,flood", True),
        ("scenario~scan", True),
        ("reason~'two words'", True),
        ('reason~"two wolves"', False),
        ("proof=proven origin=node-a", True),
        ("proof=proven origin=node-b", False),
        ("value=203.0.113.0/24", True),
        ("value=203.0.113.5", True),
        ("value=203.0.113.4/31", True),
        ("value=203.0.113.6/31", False),
        ("value!=203.0.113.0/24", False),
        ("value=203.0.*", True),
        ("value~113", True),
        ("203.0.113.0/24", True),
        ("198.51.100.0/24", False),
        ("2001:db8::/32", False),
        ("0.0.0.0/0", True),
        ("covers=203.0.113.5", True),
        ("covers=203.0.113.6", False),
        ("remaining<10m", True),
        ("remaining>=9m", True),
        ("remaining>9m", False),
        ("remaining=1m..10m", True),
        ("remaining=10m..", False),
        ("remaining=..8m", False),
        ("remaining=9m", True),
        ("duration=1h", True),
        ("duration!=1h", False),
        ("time<1h", True),
        ("time>1h", False),
        ("time=20m..40m", True),
        ("repeats>1", True),
        ("repeats=2", True),
        ("repeats=3", False),
        ("id=node-a-*", True),
        ("scope=range", False),
        ("type=ban", True),
        ("severity>1", False),
        ("kind=scan", False),
        ("scenario=sip* proof=proven value=203.0.113.0/24 origin=node-a remaining<10m", True),
        ("  scenario=sip*\t proof=proven \n", True),
    ],
)
def test_picks(text: str, holds: bool) -> None:
    """Each operator and kind of field picks what the grammar says."""
    assert parse_filter(text).matches(RECORD, NOW) is holds


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("2001:db8::/32", True),
        ("value=2001:db8:1::/48", True),
        ("value=2001:db8:1::1", False),
        ("covers=2001:db8:1::1", True),
        ("covers=2001:db8:2::1", False),
        ("203.0.113.0/24", False),
    ],
)
def test_ipv6_networks(text: str, holds: bool) -> None:
    """A network lies inside a wider one and covers its addresses, never across versions."""
    assert parse_filter(text).matches(V6, NOW) is holds


def test_ipv4_network_record() -> None:
    """A banned network is inside a wider one and not inside one of its own addresses."""
    record = {**RECORD, "value": "203.0.113.0/24"}
    assert parse_filter("203.0.0.0/16").matches(record, NOW)
    assert not parse_filter("203.0.113.5").matches(record, NOW)
    assert parse_filter("covers=203.0.113.5").matches(record, NOW)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("scenari=x", ["'scenari'", "did you mean 'scenario'", "character 1"]),
        ("scen=x", ["'scen'", "did you mean 'scenario'"]),
        ("proof=proven zzz=1", ["'zzz'", "character 14", "fields:"]),
        ("scenario", ["needs an operator", "scenario=..."]),
        ("hello", ["neither FIELD=VALUE nor an address"]),
        ("scenario=", ["value is missing"]),
        ("scenario=a,,b", ["value is missing"]),
        ("remaining<soon", ["not a duration", "'soon'"]),
        ("repeats=two", ["not a whole number", "'two'"]),
        ("scenario<b", ["compares one number or duration"]),
        ("remaining=..", ["at least one end"]),
        ("value=203.0.113.5/24", ["203.0.113.5/24"]),
        ("covers=x", ["not an address"]),
        ("reason~'open", ["quote opened at character 8"]),
        ("remaining<1m,2m", ["one number or duration"]),
    ],
)
def test_mistakes_are_named(text: str, parts: list[str]) -> None:
    """An error says which term is wrong, where, and what was probably meant."""
    with pytest.raises(InputError) as caught:
        parse_filter(text)
    for part in parts:
        assert part in str(caught.value)


def test_limits() -> None:
    """Length, terms and values of a filter are bounded: the daemon evaluates it for every record."""
    with pytest.raises(InputError, match="longer than"):
        parse_filter("x" * (MAX_FILTER_LENGTH + 1))
    with pytest.raises(InputError, match="terms"):
        parse_filter("type=ban " * (MAX_TERMS + 1))
    with pytest.raises(InputError, match="values"):
        parse_filter("type=" + ",".join(["ban"] * 65))


def test_missing_and_odd_values_match_nothing() -> None:
    """A record without the field, or with rubbish in it, is not picked and raises nothing."""
    for text in (
        "203.0.113.0/24",
        "covers=203.0.113.5",
        "remaining<1h",
        "2001:db8::/32",
        "scenario=sip",
    ):
        assert not parse_filter(text).matches({"value": "not:an.address"}, NOW)


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_an_input_error(text: str) -> None:
    """Whatever is typed gives a filter that can be asked, or an InputError."""
    try:
        compiled = parse_filter(text)
    except InputError:
        return
    assert compiled.matches(RECORD, NOW) in {True, False}


@given(
    st.sampled_from(sorted(FIELDS)), st.sampled_from(["=", "!=", "~", "<", ">="]), st.text(max_size=20)
)
def test_any_value_is_a_filter_or_an_input_error(field: str, operator: str, value: str) -> None:
    """The same holds for any value of any field."""
    try:
        compiled = parse_filter(field + operator + value)
    except InputError:
        return
    assert compiled.matches(RECORD, NOW) in {True, False}
