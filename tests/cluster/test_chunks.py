"""Packed parts of sync messages: what goes in comes out, and hostile bytes are refused."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.cluster import chunks
from shield.errors import RemoteError
from shield.wire import pack_value


@given(st.sets(st.integers(0, 4095)), st.lists(st.integers(0, 2**63 - 1), min_size=64, max_size=64))
def test_buckets_and_digests_come_back(buckets: set[int], digests: list[int]) -> None:
    """Sets of buckets and digests have one form of 512 octets."""
    assert chunks.unpack_buckets(chunks.pack_buckets(buckets)) == sorted(buckets)
    assert chunks.unpack_digests(chunks.pack_digests(digests)) == tuple(digests)


def test_records_and_reports_come_back() -> None:
    """As tuples, whatever they were packed from."""
    records = [(b"k", 1, 2, None, 3), (b"l", 1, 2, b"v", 3)]
    assert chunks.unpack_records(chunks.pack_records(records)) == tuple(records)
    assert chunks.read_report(chunks.report(2**63 - 1, 2**40)) == (2**63 - 1, 2**32 - 1, None)
    assert len(chunks.report(1, 2)) == 12
    assert chunks.read_report(chunks.report(1, 2, 3) + b"newer") == (1, 2, 3)
    assert len(chunks.report(1, 2, 3)) == 20


def test_a_chunk_that_unpacks_to_too_much_is_refused() -> None:
    """Ten kilobytes of a peer must not become ten megabytes here."""
    bomb = zlib.compress(pack_value([bytes(10 << 20)]))
    assert len(bomb) < 16_384
    with pytest.raises(RemoteError, match="chunk_too_large"):
        chunks.unpack_records(bomb)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("text", "garbled_sync"),
        (b"not zlib", "garbled_chunk"),
        (chunks.pack_records([])[:-1], "chunk_too_large"),
        (chunks.pack_records([]) + b"x", "chunk_too_large"),
        (zlib.compress(b"\xc1"), "garbage"),
        (zlib.compress(b"\x07"), "garbled_sync"),
        (chunks.pack_records([(b"", 1, 1, b"", 1)] * 2001), "chunk_too_large"),
    ],
)
def test_garbled_chunks_are_refused(data: Any, reason: str) -> None:
    """By the name of what is wrong with them."""
    with pytest.raises(RemoteError) as caught:
        chunks.unpack_records(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize("read", [chunks.unpack_buckets, chunks.unpack_digests])
@pytest.mark.parametrize("data", [None, b"", "x" * 512, b"x" * 511, 7])
def test_whatever_is_not_of_the_right_length_is_refused(read: Any, data: Any) -> None:
    """Lists of digests and buckets have exactly one length."""
    with pytest.raises(RemoteError, match="garbled_sync"):
        read(data)


@pytest.mark.parametrize("data", [None, b"", "x" * 12, b"x" * 11, 7])
def test_what_is_no_report_is_refused(data: Any) -> None:
    """It has its length at least: newer nodes may tell more."""
    with pytest.raises(RemoteError, match="garbled_sync"):
        chunks.read_report(data)
