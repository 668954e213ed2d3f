"""A capture given to a running node does what its packets would have done."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shield.errors import InputError
from shield.lab import replay_into
from tests.node_parts import Bench

CAPTURES = Path(__file__).parent / "captures"


def test_an_attack_is_banned_and_skipped_the_second_time(tmp_path: Path) -> None:
    """Alerts, ban, and the rest of his packets unread; again: all of them unread."""
    bench = Bench(tmp_path)
    file = str(CAPTURES / "svcrack038_success.pcap")
    first = asyncio.run(replay_into(bench.hub, file))
    assert (first["bans"], first["problem"]) == (1, None)
    assert 0 < first["skipped"] < first["frames"]
    (row,) = bench.ask("list")
    assert row["proof"] == "proven"
    again = asyncio.run(replay_into(bench.hub, file))
    assert again["bans"] == again["alerts"] == 0
    assert again["skipped"] > first["skipped"]
    bench.journal.close()


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    """Missing, or no capture."""
    bench = Bench(tmp_path)
    (tmp_path / "text").write_text("hello world")
    for name, why in (("missing", "No such file"), ("text", "no pcap")):
        with pytest.raises(InputError, match=why):
            asyncio.run(replay_into(bench.hub, str(tmp_path / name)))
    bench.journal.close()
