"""Where the control socket lies."""

from __future__ import annotations

import pytest

from shield.control.settings import ControlSettings


def test_defaults_are_valid() -> None:
    """The defaults have no mistake, and the socket is for root and its group only."""
    assert list(ControlSettings().validate()) == []
    assert ControlSettings().mode_bits == 0o660


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (ControlSettings(socket="shield.sock"), "socket"),
        (ControlSettings(socket="/run/" + "x" * 100), "socket"),
        (ControlSettings(mode="rw"), "mode"),
        (ControlSettings(mode="668"), "mode"),
        (ControlSettings(mode="0666"), "mode"),
    ],
)
def test_mistakes_name_their_field(settings: ControlSettings, field: str) -> None:
    """Each mistake is reported once, under its own field."""
    assert [name for name, _ in settings.validate()] == [field]
