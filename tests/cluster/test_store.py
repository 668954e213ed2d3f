"""EntryStore: expiry, forgetting, listing of buckets, and books that agree with the entries."""

from __future__ import annotations

import pytest

from shield.cluster import store as module
from shield.cluster.entry import BUCKETS, Limits, bucket_of
from shield.cluster.replicated import ReplicatedMap

WALL = 1_700_000_000.0
STAMP = int(WALL * 1000) << 16


def new(**options: object) -> ReplicatedMap:
    return ReplicatedMap("test", "me", b"secret", Limits(**options))  # type: ignore[arg-type]


def audit(table: ReplicatedMap) -> None:
    """Recount everything that is derived from the entries."""
    digests: dict[str, dict[int, int]] = {}
    size = dict.fromkeys((account.name for account in table.accounts()), 0)
    records, tombstones, total = dict(size), dict(size), 0
    for number in range(BUCKETS):
        for key, (_, origin, _, value, seal) in table._buckets[number].items():
            assert bucket_of(key) == number
            buckets = digests.setdefault(origin, {})
            buckets[number] = buckets.get(number, 0) ^ seal
            records[origin] += 1
            tombstones[origin] += value is None
            size[origin] += len(key) + len(value or b"")
            total += 1
    assert total == len(table)
    for account in table.accounts():
        name = account.name
        assert (account.records, account.tombstones, account.size) == (
            records[name], tombstones[name], size[name],
        )  # fmt: skip
        found = {number: digest for number, digest in enumerate(account.digests) if digest}
        assert found == {number: digest for number, digest in digests.get(name, {}).items() if digest}
        assert sum(account.counts) == account.records


def test_expiry_takes_what_has_ended_in_portions() -> None:
    """A value that was extended meanwhile stays; one that has ended is no longer shown even before."""
    table = new()
    for number in range(10):
        table.put(bytes([number]), b"v", 10, 0, WALL)
    table.put(b"\0", b"longer", 100, 1, WALL)
    assert table.live(b"\1", 10) is None
    assert table.get(b"\1") is not None
    assert [key for key, _ in table.entries(10)] == [b"\0"]
    assert table.expire(10.5, 100) == []
    gone = table.expire(11, 4) + table.expire(11, 100)
    assert sorted(key for key, _ in gone) == [bytes([number]) for number in range(1, 10)]
    assert len(table) == 1
    audit(table)


def test_an_origin_is_forgotten_until_it_is_admitted() -> None:
    """A revoked node's records go, and come back neither over others nor before it joins again."""
    table = new()
    table.merge("x", (b"a", STAMP, 60_000, b"v", 1), 0, WALL)
    table.merge("y", (b"b", STAMP, 60_000, b"v", 2), 0, WALL)
    assert [(key, entry.origin) for key, entry in table.forget("x")] == [(b"a", "x")]
    assert table.merge("x", (b"a", STAMP, 60_000, b"v", 1), 0, WALL) is None
    assert table.counters == {"forgotten_origin": 1}
    assert table.is_forgotten("x")
    assert table.digest_of("x") == 0
    assert table.digest(0) == table.digest_of("y") == 2
    audit(table)
    table.admit("x")
    assert table.merge("x", (b"a", STAMP, 60_000, b"v", 1), 0, WALL) is not None


def test_a_bucket_is_listed_by_key_from_any_key_on() -> None:
    """Of one origin, without what ends too soon to be of use."""
    table = new()
    keys = [key for key in (n.to_bytes(3, "big") for n in range(30_000)) if bucket_of(key) == 7]
    for number, key in enumerate(keys):
        table.merge(
            "x" if number % 2 else "y", (key, STAMP, 4_000 if number == 1 else 60_000, b"", 1), 0, WALL
        )
    listed = [record[0] for record in table.bucket_records("x", 7, 0)]
    assert listed == keys[3::2]
    assert [record[0] for record in table.bucket_records("x", 7, 0, after=keys[3])] == keys[5::2]
    assert table.bucket_records("x", 8, 0) == []


def test_a_bucket_flickers_around_an_end() -> None:
    """There a difference between two nodes heals by itself."""
    table = new()
    table.merge("x", (b"k", STAMP, 60_000, b"", 1), 0, WALL)
    number = bucket_of(b"k")
    assert [table.flickers("x", number, now) for now in (0, 49, 51)] == [False, False, True]
    assert not table.flickers("y", number, 51)
    table.expire(61, 10)
    assert [table.flickers("x", number, now) for now in (61, 70, 72)] == [True, True, False]


def test_writing_the_same_key_for_ever_leaves_no_growing_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes of ends that no longer count are dropped when there are too many."""
    monkeypatch.setattr(module, "STALE_SLACK", 8)
    table = new()
    for number in range(1000):
        table.put(b"k", b"", 100 + number, 0, WALL)
    assert table._expiry.noted < 12
    assert table.expire(1100, 100) != []


def test_limits_hold_and_leave_an_origin_out_of_comparisons() -> None:
    """Of one origin by number and bytes, of all together, and of names."""
    table = new(per_origin=4, total=6, origins=3, bytes_per_origin=1000)
    records = [(bytes([number]), STAMP + number, 60_000, b"v" * 100, number) for number in range(1, 9)]
    assert len(table.merge_many("x", records, 0, WALL)) == 4
    assert table.account("x").over(0)  # type: ignore[union-attr]
    assert table.digest(0) == 0
    assert len(table.merge_many("x", [(b"\1", STAMP + 99, 60_000, b"", 1)], 0, WALL)) == 1
    assert len(table.merge_many("y", [(b"y" + r[0], *r[1:]) for r in records], 0, WALL)) == 2
    assert table.put(b"mine", b"", 60, 0, WALL) is None
    assert table.merge("z", (b"z", STAMP, 60_000, b"", 1), 0, WALL) is None
    assert table.counters == {"over_limit": 4 + 6, "full": 1, "too_many_origins": 1}
    audit(table)


def test_bytes_of_an_origin_are_limited_too() -> None:
    """Few huge records fill memory as many small ones do."""
    table = new(bytes_per_origin=1000)
    for number in range(100):
        table.merge("x", (bytes([number]), STAMP + number, 60_000, b"v" * 100, number), 0, WALL)
    assert len(table) == 10
    assert table.counters == {"over_limit": 90}


def test_keys_chosen_to_meet_in_one_bucket_are_refused() -> None:
    """Listing a bucket stays cheap."""
    table = new(per_origin=1000)
    keys = [key for key in (n.to_bytes(3, "big") for n in range(500_000)) if bucket_of(key) == 7]
    table.merge_many("x", [(key, STAMP, 60_000, b"", 1) for key in keys[:80]], 0, WALL)
    assert len(table) == 64
    assert table.counters == {"over_limit": 16}
