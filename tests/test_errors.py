"""The tree of errors."""

from __future__ import annotations

import pytest

from shield.errors import ConfigError, InputError, RemoteError, ShieldError, SystemFailure


def test_config_error_keeps_every_problem() -> None:
    """All mistakes of a file travel together and print one to a line."""
    error = ConfigError("a.toml: x", "b.toml: y")
    assert error.problems == ("a.toml: x", "b.toml: y")
    assert str(error) == "a.toml: x\nb.toml: y"


def test_remote_error_has_a_reason_to_count() -> None:
    """The reason is a short name for a counter; the detail is for the log."""
    error = RemoteError("too-long", "5000 bytes")
    assert error.reason == "too-long"
    assert str(error) == "too-long: 5000 bytes"
    assert str(RemoteError("json")) == "json"


@pytest.mark.parametrize("kind", [ConfigError, InputError, RemoteError, SystemFailure])
def test_all_are_shield_errors(kind: type[ShieldError]) -> None:
    """A command catches one class and shows one line."""
    assert issubclass(kind, ShieldError)
