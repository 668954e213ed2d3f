"""Section [sharing]: what is not sensible is refused with the key's name."""

from __future__ import annotations

from typing import Any

import pytest

from shield.blocklist.sharing_settings import SharingSettings
from shield.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_lifetime", 0.0),
        ("max_lifetime", 1e12),
        ("min_prefix_v4", 33),
        ("min_prefix_v6", -1),
        ("rate", 0),
        ("burst", -1),
        ("max_bans", -1),
        ("max_networks", -1),
        ("max_allow", -1),
        ("quorum", 0),
        ("quorum", 65),
    ],
)
def test_wrong_values_are_refused(name: str, value: Any) -> None:
    """The message names the key."""
    with pytest.raises(ConfigError, match=rf"sharing\.{name}"):
        SharingSettings(**{name: value})


def test_all_mistakes_are_told_at_once() -> None:
    """One line each."""
    with pytest.raises(ConfigError) as caught:
        SharingSettings(rate=0, quorum=0, burst=-1)
    assert len(caught.value.problems) == 3
