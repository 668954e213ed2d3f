"""Firewall settings are checked when they are made."""

from __future__ import annotations

from typing import Any

import pytest

from shield.errors import ConfigError
from shield.firewall.dryrun import DryRunBackend
from shield.firewall.registry import BACKENDS, make_backend
from shield.firewall.settings import FirewallSettings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("table", "x; flush ruleset"),
        ("table", "averyveryverylongname"),
        ("reconcile", 5.0),
        ("reconcile", 0.0),
        ("batch_elements", 0),
        ("batch_seconds", -1.0),
        ("network_seconds", 2.0),
        ("priority", 5000),
        ("ports", (0,)),
        ("ports", tuple(range(1, 18))),
        ("retry_first", 0.0),
        ("command_timeout", 0.0),
    ],
)
def test_wrong_value_names_its_key(key: str, value: Any) -> None:
    """A wrong value is a ConfigError that names the key."""
    with pytest.raises(ConfigError, match=f"firewall\\.{key}"):
        FirewallSettings(**{key: value})


def test_all_problems_at_once() -> None:
    """Every mistake is told, not only the first."""
    with pytest.raises(ConfigError) as caught:
        FirewallSettings(table="", priority=9999, ports=(70000,))
    assert len(caught.value.problems) == 3


def test_registry() -> None:
    """Each backend answers to its name; an unknown one is told with the known ones."""
    assert all(make_backend(FirewallSettings(backend=name)).name == name for name in BACKENDS)
    assert isinstance(make_backend(FirewallSettings(backend="dryrun")), DryRunBackend)
    with pytest.raises(ConfigError, match=r"firewall\.backend.*nftables"):
        make_backend(FirewallSettings(backend="pf"))
