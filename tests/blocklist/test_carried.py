"""What a node makes of records that a bridge has carried from another cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from shield.blocklist import admission
from shield.blocklist.aside import Why
from shield.blocklist.decision import Decision
from shield.blocklist.shared_record import (
    Passport,
    allow_key,
    allow_value,
    ban_key,
    ban_value,
    with_passport,
)
from shield.blocklist.sharing_settings import SharingSettings
from shield.cluster.capability import Incoming
from shield.cluster.messages import Kind
from shield.detect.alert import Proof
from shield.net import Network
from tests.node_parts import WALL
from tests.sharing_parts import OTHER, SharingBench


def carry(bench: SharingBench, value: str, source: str) -> bytes:
    """The other node, a bridge, tells what ``source`` decided in its cluster."""
    network = Network.parse(value)
    made = Decision(network, "scan", "m1", Proof.PROVEN, WALL, 700.0, 600.0, "m1-1", "seen there")
    key = ban_key(network)
    town = source.partition("@")[2]
    put(bench, key, with_passport(key, ban_value(made), Passport(source, (town,))))
    return key


def put(bench: SharingBench, key: bytes, value: bytes) -> None:
    bench.other.put(key, value, 600.0, bench.now, WALL + bench.now)
    body = ("put", (bench.other.record(key, bench.now),), None)
    bench.shared.receive(Incoming(OTHER, Kind.MESSAGE, 0, body), bench.now)


def origin(bench: SharingBench, value: str) -> str | None:
    decision = bench.pipeline.blocklist.get(Network.parse(value), bench.now)
    return None if decision is None else decision.origin


def test_a_carried_ban_names_who_decided(tmp_path: Path) -> None:
    """Node and cluster; the bridge may take it back."""
    bench = SharingBench(tmp_path)
    key = carry(bench, "198.18.0.1", "m1@west")
    assert origin(bench, "198.18.0.1") == "m1@west"
    assert bench.shared.owners.hosts["m1@west"] == 1
    bench.other.remove(key, bench.now, WALL + bench.now)
    body = ("put", (bench.other.record(key, bench.now),), None)
    bench.shared.receive(Incoming(OTHER, Kind.MESSAGE, 0, body), bench.now)
    assert origin(bench, "198.18.0.1") is None


def test_each_source_has_a_budget_and_the_bridge_one_for_all(tmp_path: Path) -> None:
    """One source beyond its own is held; so is everything beyond that of the bridge."""
    bench = SharingBench(tmp_path, SharingSettings(max_bans=3, burst=3, rate=1))
    for number in range(1, 5):
        carry(bench, f"198.18.0.{number}", "m1@west")
    assert origin(bench, "198.18.0.3") == "m1@west"
    assert origin(bench, "198.18.0.4") is None
    held = bench.shared.aside.keys(Why.HELD, OTHER)
    assert len(held) == 1, "as records of the bridge, so that an operator can release them"
    carry(bench, "198.18.0.9", "m2@west")
    assert origin(bench, "198.18.0.9") is None, "another name does not help"


def test_a_bridge_that_invents_sources_comes_to_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only so many can decide by way of it."""
    monkeypatch.setattr(admission, "MAX_SOURCES", 2)
    bench = SharingBench(tmp_path)
    for number in range(1, 5):
        carry(bench, f"198.18.0.{number}", f"m{number}@west")
    assert [origin(bench, f"198.18.0.{number}") for number in range(1, 5)] == [
        "m1@west", "m2@west", None, None,
    ]  # fmt: skip


def test_a_bridge_that_is_put_out_takes_along_what_it_carried(tmp_path: Path) -> None:
    """Its records are gone; the next bridge carries them again."""
    bench = SharingBench(tmp_path)
    carry(bench, "198.18.0.1", "m1@west")
    bench.hear("198.18.0.2")
    bench.shared.forget(OTHER, bench.now)
    assert origin(bench, "198.18.0.1") is None
    assert origin(bench, "198.18.0.2") is None


def test_carried_allowlist_entries_are_bounded_by_source(tmp_path: Path) -> None:
    """And show it."""
    bench = SharingBench(tmp_path, SharingSettings(max_allow=1))
    for number in (1, 2):
        key = allow_key(f"198.18.0.{number}")
        value = allow_value("theirs", WALL, endless=True)
        put(bench, key, with_passport(key, value, Passport("m1@west", ("west",))))
    entry = bench.pipeline.allowlist.get("198.18.0.1")
    assert entry is not None
    assert entry.origin == "m1@west"
    assert bench.pipeline.allowlist.get("198.18.0.2") is None


def test_what_this_node_carries_itself_is_checked_as_well(tmp_path: Path) -> None:
    """The bridge is the origin of the record, and not of the decision."""
    bench = SharingBench(tmp_path, SharingSettings(min_prefix_v4=24))
    network = Network.parse("198.18.0.0/16")
    made = Decision(network, "scan", "m1", Proof.PROVEN, WALL, 700.0, 600.0, "m1-1", "wide")
    key = ban_key(network)
    value = with_passport(key, ban_value(made), Passport("m1@west", ("west",)))
    entry = bench.shared.records.put(key, value, 600.0, bench.now, WALL + bench.now)
    assert entry is not None
    bench.shared.follow([(key, entry, None)], bench.now)
    assert origin(bench, "198.18.0.0/16") is None
    assert bench.shared.aside.get(key) is not None
