"""What the cluster writes to the node's log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shield.cluster.events import Event
from shield.cluster.settings import ClusterSettings
from shield.clustering import LOG_LINES, Clustering
from tests.sharing_parts import SharingBench


def test_a_member_that_comes_and_goes_does_not_fill_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Some lines in each second, and how many more there were; who follows events gets them all."""
    bench = SharingBench(tmp_path)
    clock = [100.0]
    clustering = Clustering(ClusterSettings(), bench.hub, bench.shared, "", frozenset, lambda: clock[0])
    told: list[Any] = []
    bench.hub.watchers.subscribe(lambda event: told.append(event) or True)  # type: ignore[func-returns-value]
    caplog.set_level("INFO", "shield")
    for _ in range(LOG_LINES + 30):
        clustering._follow(Event(0.0, "link", "mad", "accepted"))
    assert len(caplog.records) == LOG_LINES
    assert len(told) == LOG_LINES + 30
    clock[0] += 1
    clustering._follow(Event(0.0, "warning", "b", "flaps"))
    assert [record.getMessage() for record in caplog.records[LOG_LINES:]] == [
        "cluster: 30 further events",
        "cluster: warning b: flaps",
    ]
    bench.journal.close()
