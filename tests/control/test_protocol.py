"""The lines of the control socket."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.control import protocol
from shield.control.commands import check
from shield.errors import ConfigError, InputError, RemoteError, ShieldError, SystemFailure


def test_a_request_survives_the_wire() -> None:
    """What a client encodes is what the daemon reads."""
    request = check("ban", {"values": ["192.0.2.1"], "reason": "caf\u00e9\n"})
    line = protocol.encode_request(request)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert protocol.parse_request(line) == request


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\n", "json"),
        (b"GET / HTTP/1.1\r\n", "json"),
        (b"\xff\xfe\n", "json"),
        (b"[1]\n", "json"),
        (b"[" * 100_000 + b"\n", "json"),
        (b"9" * 5000 + b"\n", "json"),
        (b'{"command":"status"}\n', "version"),
        (b'{"v":2,"command":"status"}\n', "version"),
        (b'{"v":1}\n', "request"),
        (b'{"v":1,"command":"status","arguments":[]}\n', "request"),
    ],
)
def test_what_is_no_request_is_refused_by_reason(line: bytes, reason: str) -> None:
    """Bytes that are no request give a RemoteError whose reason can be counted."""
    with pytest.raises(RemoteError) as caught:
        protocol.parse_request(line)
    assert caught.value.reason == reason


@given(st.binary(max_size=200))
def test_noise_never_breaks_the_reader(noise: bytes) -> None:
    """Any bytes give a request or a ShieldError, nothing else."""
    for reader in (protocol.parse_request, protocol.parse_line):
        try:
            reader(noise)
        except ShieldError:
            continue


def test_an_oversized_request_is_refused_before_it_is_sent() -> None:
    """The client learns of the limit without talking to the daemon."""
    request = check("import", {"decisions": [{"value": "x" * 2000}] * 600})
    with pytest.raises(InputError, match="longer than"):
        protocol.encode_request(request)


def test_values_and_lists() -> None:
    """A value is complete in one line; a list goes on while its lines say more."""
    assert protocol.parse_line(protocol.encode_value({"mode": "observe"})) == (
        {"mode": "observe"},
        False,
    )
    assert protocol.parse_line(protocol.encode_list([1, 2], more=True)) == ([1, 2], True)
    assert protocol.parse_line(protocol.encode_list([], more=False)) == ([], False)


@pytest.mark.parametrize(
    "error",
    [InputError("not an address: 'x'"), SystemFailure("disk full"), ConfigError("a.toml: x", "b: y")],
)
def test_an_error_comes_out_as_it_went_in(error: ShieldError) -> None:
    """The client raises the class of error that the daemon had, with the same words."""
    with pytest.raises(type(error)) as caught:
        protocol.parse_line(protocol.encode_error(error))
    assert str(caught.value) == str(error)
    if isinstance(error, ConfigError):
        assert isinstance(caught.value, ConfigError)
        assert caught.value.problems == error.problems


def test_a_bug_shows_no_internals() -> None:
    """An exception that is no ShieldError is reported without its text."""
    line = protocol.encode_error(KeyError("secret"))
    assert json.loads(line)["error"]["code"] == "internal"
    assert b"secret" not in line
    with pytest.raises(ShieldError, match="internal error"):
        protocol.parse_line(line)


def test_an_answer_that_is_none() -> None:
    """A line that is neither data nor error is a protocol error."""
    with pytest.raises(RemoteError):
        protocol.parse_line(b'{"hello":1}\n')


def test_a_protocol_error_keeps_its_reason_as_code() -> None:
    """The code of a broken request is the reason under which the daemon counted it."""
    line = protocol.encode_error(RemoteError("version", "this daemon speaks version 1"))
    assert json.loads(line)["error"]["code"] == "version"
