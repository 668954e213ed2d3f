"""Settings of the cluster, and addresses as text."""

from __future__ import annotations

import pytest

from shield.cluster.settings import ClusterSettings, parse_address
from shield.errors import ConfigError, InputError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("edge1.example.com", ("edge1.example.com", 7170)),
        ("192.0.2.1:7000", ("192.0.2.1", 7000)),
        ("2001:db8::1", ("2001:db8::1", 7170)),
        ("[2001:db8::1]:99", ("2001:db8::1", 99)),
        ("[::]", ("::", 7170)),
    ],
)
def test_addresses_are_read(text: str, address: tuple[str, int]) -> None:
    """Host, host and port, IPv6 with and without brackets."""
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", ":7170", "a b", "host:0", "host:70000", "host:x", "[::1", "[::1]x", "a/b"]
)
def test_bad_addresses_are_named(text: str) -> None:
    """The error holds what was written."""
    with pytest.raises(InputError, match=r"not a"):
        parse_address(text)


def test_every_mistake_is_told_at_once() -> None:
    """Each with its key."""
    with pytest.raises(ConfigError) as caught:
        ClusterSettings(
            directory="x", listen="", advertise="a b", seeds=("ok", "bad port:x"), ping_interval=0,
            link_timeout=700, dead_after=-1, relay_cost=-1, send_budget=1,
        )  # fmt: skip
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        f"cluster.{key}"
        for key in (
            *("listen", "advertise", "seeds[1]", "directory", "ping_interval"),
            *("link_timeout", "dead_after", "relay_cost", "send_budget"),
        )
    ]
