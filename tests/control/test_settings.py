"""Where the control socket lies."""

from __future__ import annotations

import pytest

from shield.control.settings import ControlSettings
from shield.errors import ConfigError


def test_the_default_is_for_root_and_its_group_only() -> None:
    """No other user may ban by default."""
    assert ControlSettings().mode_bits == 0o660


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("socket", "shield.sock"),
        ("socket", "/run/" + "x" * 100),
        ("mode", "rw"),
        ("mode", "668"),
        ("mode", "0666"),
        ("ban_time", 0),
        ("ban_time", 1e12),
    ],
)
def test_mistakes_name_their_key(field: str, value: str) -> None:
    """Each mistake is reported once, under its own key."""
    with pytest.raises(ConfigError) as caught:
        ControlSettings(**{field: value})
    (problem,) = caught.value.problems
    assert problem.startswith(f"control.{field}: ")


def test_all_mistakes_at_once() -> None:
    """Two wrong keys are two problems."""
    with pytest.raises(ConfigError) as caught:
        ControlSettings(socket="x", mode="y")
    assert len(caught.value.problems) == 2
