"""Entries: buckets and seals are the same on every node, seals differ with everything they cover."""

from __future__ import annotations

from shield.cluster.entry import BUCKETS, SEAL_LIMIT, Limits, bucket_of, make_seal


def test_buckets_and_seals_are_part_of_the_protocol() -> None:
    """Nodes of different versions compare contents by them: these numbers never change."""
    assert BUCKETS == 4096
    assert bucket_of(b"b\x20\xc0\x00\x02\x01") == 3300
    assert make_seal(b"secret", b"key", 1, b"value") == 18724221796915573
    assert make_seal(b"secret", b"key", 1, None) == 6856759525236903084


def test_a_seal_covers_key_stamp_and_value() -> None:
    """Whatever a forger moves from one field to another, the seal is another."""
    seals = {
        make_seal(secret, key, stamp, value)
        for secret in (b"a", b"b")
        for key, value in ((b"k", b"v"), (b"kv", b""), (b"kv", None), (b"k", None), (b"", b"kv"))
        for stamp in (1, 2)
    }
    assert len(seals) == 20
    assert all(0 <= seal < SEAL_LIMIT for seal in seals)


def test_the_limit_of_a_bucket_follows_that_of_an_origin() -> None:
    """Small maps leave room for chance, huge ones fit their counters."""
    assert Limits().per_bucket() == 390
    assert Limits(per_origin=10).per_bucket() == 64
    assert Limits(per_origin=10**9).per_bucket() == 65535
