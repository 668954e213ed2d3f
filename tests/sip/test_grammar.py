"""shield.sip.grammar: compact names, splitting and unquoting."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.errors import RemoteError
from shield.sip import grammar
from shield.sip.grammar import (
    COMPACT,
    MAX_PARAMS,
    find_param,
    first_value,
    parse_number,
    split_params,
    split_values,
    unquote,
)
from tests.spellings import values


def test_compact_forms_are_those_of_the_registry() -> None:
    """Each letter that IANA lists stands for its header field; no other letter does."""
    assert b"".join(sorted(COMPACT)) == b"abcdefijklmnorstuvxy"
    names = {
        b"v": b"via",
        b"i": b"call-id",
        b"l": b"content-length",
        b"m": b"contact",
        b"x": b"session-expires",
    }
    for letter, name in names.items():
        assert COMPACT[letter] == name
    assert len(set(COMPACT.values())) == len(COMPACT)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a, b,c", [b"a", b"b", b"c"]),
        (b"", []),
        (b" , ,a,, ", [b"a"]),
        (b'"Doe, John" <sip:j@x>, <sip:k@y>', [b'"Doe, John" <sip:j@x>', b"<sip:k@y>"]),
        (b"<sip:a,b@c>;q=1,<sip:d@e>", [b"<sip:a,b@c>;q=1", b"<sip:d@e>"]),
        (b'"a \\", b", c', [b'"a \\", b"', b"c"]),
        (b'"open, <sip:a@b>, c', [b'"open', b"<sip:a@b>", b"c"]),
        (b"<open, a", [b"<open", b"a"]),
        (b"<a<b,c>,d", [b"<a<b,c>", b"d"]),
        (b'x="1,2";y=3, z', [b'x="1,2";y=3', b"z"]),
        (b"a\\,b", [b"a\\", b"b"]),
    ],
)
def test_split_values(value: bytes, expected: list[bytes]) -> None:
    """Commas cut values except inside closed quotes and closed angle brackets."""
    assert split_values(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", {}),
        (b";a=b;c", {b"a": b"b", b"c": None}),
        (b" ; A = b ; C ", {b"a": b"b", b"c": None}),
        (b";a=1;A=2", {b"a": b"1"}),
        (b';a="x;y\\"z";b=', {b"a": b'x;y"z', b"b": b""}),
        (b";=1;;a=b=c", {b"a": b"b=c"}),
        (b';a="open;b=1', {b"a": b"open", b"b": b"1"}),
        (b';a="x"rest', {b"a": b"x"}),
    ],
)
def test_split_params(text: bytes, expected: dict[bytes, bytes | None]) -> None:
    """Names fold their case, quotes protect, the first of equal names counts."""
    assert split_params(text) == expected


def test_too_many_params_are_refused_but_one_can_be_found() -> None:
    """Padding with parameters makes the value an error, yet does not hide a single parameter."""
    padding = b"".join(b";p%d" % number for number in range(MAX_PARAMS))
    assert len(split_params(padding)) == MAX_PARAMS
    with pytest.raises(RemoteError) as error:
        split_params(padding + b";tag=1")
    assert error.value.reason == "too_many_params"
    assert find_param(padding + b";tag=1", b"tag") == b"1"
    assert find_param(padding, b"tag") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'"a"', b"a"),
        (b"a", b"a"),
        (b'"a\\\\b\\"c"', b'a\\b"c'),
        (b'"', b""),
        (b'"open', b"open"),
        (b'""x', b""),
        (b"", b""),
    ],
)
def test_unquote(text: bytes, expected: bytes) -> None:
    """Quotes and quoted pairs go, other text stays."""
    assert unquote(text) == expected


def test_parse_number_knows_its_limits() -> None:
    """Only ASCII digits up to the maximum are a number, whatever their length."""
    assert parse_number(b"0", 5) == 0
    assert parse_number(b"0" * 5000 + b"5", 5) == 5
    assert [
        parse_number(text, 5) for text in (b"6", b"", b"-1", b"+1", b" 1", b"1_0", b"\xb2", b"9" * 9999)
    ] == [None] * 8


def test_expressions_match_what_their_rule_names() -> None:
    """Tokens, hosts and IPv6 references: what is in and what is out."""
    assert re.fullmatch(grammar.TOKEN, b"a-.!%*_+`'~9")
    for bad in (b"", b"a b", b"a@b", b"\xe4"):
        assert not re.fullmatch(grammar.TOKEN, bad)
    for good in (b"192.0.2.1", b"a_b.example", b"[2001:db8::1]", b"[fe80::1%eth0]", b"m\xc3\xbcller"):
        assert re.fullmatch(grammar.HOST, good)
    for bad in (b"", b"a b", b"[]", b"[xyz]", b"a:1", b"a@b", b"a;b"):
        assert not re.fullmatch(grammar.HOST, bad)
    for good in (b"::1", b"2001:db8::1", b"::ffff:192.0.2.1"):
        assert re.fullmatch(grammar.BARE_IPV6, good)
    assert not re.fullmatch(grammar.BARE_IPV6, b"1:2")


@given(st.one_of(values, st.binary()))
def test_splitting_loses_nothing(value: bytes) -> None:
    """For any bytes, the pieces joined again are the text, and the first piece is the first value."""
    for delimiter in (b",", b";"):
        assert delimiter.join(grammar.split_at(delimiter, value)) == value
    pieces = split_values(value)
    assert all(piece == piece.strip() and piece for piece in pieces)
    assert value.startswith(first_value(value))
    first = first_value(value).strip()
    assert not first or pieces[0] == first


@given(values)
def test_one_parameter_equals_all_parameters(text: bytes) -> None:
    """find_param gives what split_params gives, for any bytes."""
    params = split_params(text)
    for name in (*params, b"tag", b"branch"):
        assert find_param(text, name) == params.get(name)


@pytest.mark.parametrize(
    "evil", [b'"\\', b'"\\"', b"<", b'<a"', b'"', b"\\", b",;", b'<"\\>', b"<>", b'" ']
)
def test_long_hostile_text_does_not_hang(evil: bytes) -> None:
    """A megabyte of unclosed quotes and brackets is cut in one pass (else: timeout)."""
    text = evil * (1_000_000 // len(evil)) + b'"'
    assert b",".join(grammar.split_at(b",", text)) == text
    assert isinstance(split_values(text), list)
    assert find_param(text, b"tag") is None
    assert grammar.DISPLAY.match(text)
