"""The measurements of ``scripts/bench cluster`` work; what they find is told by nobody here."""

from __future__ import annotations

import pytest

from tests.bench.bulk import bulk
from tests.bench.cluster import main
from tests.bench.cluster_text import as_text
from tests.bench.joining import join
from tests.bench.latency import latency
from tests.requires import need


def test_a_decision_is_followed_to_each_receiver() -> None:
    """Times of shield and of bare TLS come out of one run, all above zero."""
    found = latency("asyncio", 1, 1, 3, kernel=False)
    for what in ("blocklist", "bare"):
        assert found[what]["each"]["samples"] == 3
        assert found[what]["last"]["p50_ms"] > 0
    assert "kernel" not in found


def test_a_decision_is_followed_over_nats() -> None:
    """The same measurement, with a server between the nodes."""
    need("nats-server", root=False)
    found = latency("asyncio", 1, 1, 3, kernel=False, carrier="nats")
    assert found["blocklist"]["each"]["samples"] == 3
    found = join("asyncio", 1000, "nats")
    assert found["banned"] == 1000
    assert found["bytes_each"] > 0


def test_results_are_a_table() -> None:
    """A line for each result, with goal and ratio."""
    found = {"bulk": [bulk("asyncio", 1000, 1)], "join": [join("asyncio", 1000)]}
    assert found["join"][0]["banned"] == 1000
    head = {"python": "3", "cores": 1, "load_before": 0.0, "load_after": 0.0}
    text = as_text({**head, "loops": {"asyncio": {**found, "kernel": [{"skipped": "needs root"}]}}})
    assert "30,000" in text
    assert "join, 1,000 of 10 nodes" in text
    assert "skipped: needs root" in text


def test_an_unknown_part_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The message lists those that exist."""
    with pytest.raises(SystemExit):
        main(["nonsense"])
    assert "latency" in capsys.readouterr().err
