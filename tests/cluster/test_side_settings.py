"""Further clusters of a node: their settings."""

from __future__ import annotations

import pytest

from shield.cluster.settings import ClusterSettings
from shield.cluster.side_settings import SideSettings
from shield.errors import ConfigError


def test_what_is_not_said_is_as_in_the_main_cluster() -> None:
    """Timers of the main one, places and tags of its own; always by connections."""
    main = ClusterSettings(ping_interval=0.5, tags=("cdr",), listen="192.0.2.1:1")
    own = SideSettings("b", "/b", listen="192.0.2.1:2", tags=("vip",)).settings(main)
    assert (own.ping_interval, own.tags, own.listen, own.directory) == (
        0.5,
        ("vip",),
        "192.0.2.1:2",
        "/b",
    )
    assert own.carrier == "peer"


def test_every_mistake_is_told_with_its_table() -> None:
    """All at once."""
    with pytest.raises(ConfigError) as caught:
        SideSettings("b", "relative", bridge=("tags",), bridge_takeover=0, bridge_priority=-1)
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "clusters.b.directory", "clusters.b.bridge", "clusters.b.bridge_takeover",
        "clusters.b.bridge_priority",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"clusters\.b\.seeds\[0\]"):
        SideSettings("b", "/b", seeds=("no host!",))
