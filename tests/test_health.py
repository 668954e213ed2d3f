"""Status and stats are complete, plain data, and every trouble is a warning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node_parts import ATTACKER, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.journal.close()


def test_status(bench: Bench) -> None:
    """The names that people and scripts read, with the right values, and no warning when all is well."""
    bench.ask("ban", values=[ATTACKER, "198.51.100.128/25"])
    bench.capture.stats.received = 7
    bench.now += 60
    status = bench.health.status(bench.now)
    assert (status["name"], status["mode"], status["uptime"]) == ("node-a", "enforce", 60)
    assert status["interfaces"] == ["eth0"]
    assert status["bans"] == {"total": 2, "limited": 0, "proven": 2, "unproven": 0, "networks": 1}
    assert status["capture"]["received"] == 7
    assert status["journal"]["written"] == 2
    assert status["firewall"]["backend"] == "fake"
    assert status["warnings"] == []


def test_stats_are_json(bench: Bench) -> None:
    """All counters of all parts can be written as JSON, counters by reason as objects."""
    bench.pipeline.decoder.stats.errors["truncated"] += 2
    bench.capture.stats.failures["eth0: gone"] += 1
    stats = json.loads(json.dumps(bench.health.stats(bench.now)))
    assert stats["decoder"]["errors"] == {"truncated": 2}
    assert stats["capture"]["failures"] == {"eth0: gone": 1}
    assert {"pipeline", "detection", "policy", "blocklist", "firewall", "journal", "watch"} <= set(stats)


def test_every_trouble_is_a_warning(bench: Bench) -> None:
    """Lost frames, refusing kernel, no interface, waiting journal, evictions, slow watchers, reload."""
    bench.capture.stats.received, bench.capture.stats.dropped = 1000, 5
    bench.capture.interfaces = ()
    bench.backend.refuse = "no permission"
    bench.ask("ban", values=[ATTACKER])
    bench.journal.stats.pending = 3
    bench.pipeline.blocklist.stats.evicted_proven = 4
    bench.hub.watchers.dropped = 6
    bench.health.problems["reload"] = "rules/x.toml: wrong"
    found = "\n".join(bench.health.warnings())
    for text in (
        "dropped 5 of 1,000",
        "no interface",
        "no permission",
        "3 records",
        "4 proven",
        "6 events",
    ):
        assert text in found
    assert "reload: rules/x.toml: wrong" in found


def test_the_age_of_the_last_error(bench: Bench) -> None:
    """When something failed is told as how long ago, not as a time that only the node knows."""
    bench.backend.refuse = "no permission"
    bench.ask("ban", values=[ATTACKER])
    bench.now += 30
    state = bench.health.firewall(bench.now)
    assert (state["last_error_age"], state["last_repair_age"]) == (30, None)


def test_a_few_drops_are_no_warning(bench: Bench) -> None:
    """One lost frame in a million is shown in the numbers only."""
    bench.capture.stats.received, bench.capture.stats.dropped = 1_000_000, 1
    assert bench.health.warnings() == []


def test_observe_has_no_firewall(tmp_path: Path) -> None:
    """In observe, the default, nothing is wrong and the status says that nothing is blocked."""
    bench = Bench(tmp_path, enforce=False)
    status = bench.health.status(bench.now)
    assert status["firewall"] == {"mode": "observe", "backend": None}
    assert status["warnings"] == []
    bench.journal.close()
