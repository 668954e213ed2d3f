"""Tags of the configuration."""

from __future__ import annotations

import pytest

from shield.cluster.settings import ClusterSettings
from shield.cluster.tag_plan import TagPlan, check_tag, is_tag, read_plans
from shield.errors import ConfigError, InputError


def test_names_with_and_without_a_state() -> None:
    """A name alone is backup; grace time and priority are those of the node."""
    plans = read_plans(["vip", "cdr=active", "x=backup"], 5.0, 10)
    assert plans == {
        "vip": TagPlan(takeover=5.0, priority=10),
        "cdr": TagPlan(active=True, takeover=5.0, priority=10),
        "x": TagPlan(takeover=5.0, priority=10),
    }


@pytest.mark.parametrize("text", ["", "=active", "a b", "x=passive", "x=", "bridge:x", "x" * 64])
def test_what_is_no_tag_is_named(text: str) -> None:
    """In the configuration it is an error that names key and value."""
    with pytest.raises(InputError):
        read_plans([text], 0.0, 100)
    with pytest.raises(ConfigError, match=r"cluster\.tags: "):
        ClusterSettings(tags=(text,))


def test_twice_the_same_is_an_error() -> None:
    """Two states of one tag cannot both be meant."""
    with pytest.raises(InputError, match="twice"):
        read_plans(["cdr", "cdr=active"], 0.0, 100)


def test_a_colon_is_for_tags_that_shield_makes() -> None:
    """They travel like others, but no operator makes one."""
    assert is_tag("bridge:voice")
    with pytest.raises(InputError):
        check_tag("bridge:voice")


@pytest.mark.parametrize(
    ("key", "value"), [("tag_takeover", 0.5), ("tag_takeover", 1e6), ("tag_priority", -1)]
)
def test_settings_have_bounds(key: str, value: float) -> None:
    """A grace time below a second would take over at every lost packet."""
    with pytest.raises(ConfigError, match=f"cluster.{key}"):
        ClusterSettings(**{key: value})  # type: ignore[arg-type]
