"""shield.detect.settings: what is taken when the operator says nothing."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from shield.detect.settings import DetectSettings


def test_the_defaults_judge_everybody_and_remember_a_bounded_number() -> None:
    """No rule is off, no server and no domain is assumed, servers are learned."""
    settings = DetectSettings()
    assert (settings.disabled, settings.servers, settings.domains) == ((), (), ())
    assert settings.learn_servers
    assert 0 < settings.max_sources <= 1_000_000
    assert settings.trust_time > 0


def test_settings_do_not_change() -> None:
    """A reload makes new settings; whoever holds the old ones is not surprised."""
    with pytest.raises(FrozenInstanceError):
        DetectSettings().max_sources = 1  # type: ignore[misc]
