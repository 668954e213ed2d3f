"""What a replicated map holds and exchanges: entries, records, seals, limits.

A record is an entry as it travels, without its origin, because records travel grouped by origin:
``(key, stamp, remaining ms, value or None, seal)``. Times that nodes could disagree on do not travel:
the lifetime is what remains of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

__all__ = [
    "BUCKETS",
    "SEAL_LIMIT",
    "TOMBSTONE_LIFETIME",
    "Applied",
    "Entry",
    "Limits",
    "Record",
    "Row",
    "Stored",
    "Written",
    "bucket_of",
    "make_seal",
]

BUCKETS = 4096
"""Parts in which contents are compared: with a million records one holds 250, a quarter of a chunk, and
the digests of all buckets of an origin are 32 kB. Part of the protocol: equal on all nodes."""

SEAL_LIMIT = 1 << 63
"""Seals are below this: 8 bytes, one bit less so that SQLite's signed integers hold them."""

TOMBSTONE_LIFETIME = 24 * 3600.0
"""Least seconds that a removal is remembered. A node that was cut off for longer may bring back what
was removed meanwhile, if that has not ended by itself."""


class Entry(NamedTuple):
    """One key's state: the last write known. ``value`` None is a tombstone: the key was removed."""

    stamp: int
    origin: str
    until: float
    """Node time at which it ends."""
    value: bytes | None
    seal: int


Stored = tuple[int, str, float, bytes | None, int]
"""An entry as a map holds it: a plain tuple, which the garbage collector stops looking at. A million
objects of any other kind make its full passes take 0.4 s."""

Record = tuple[bytes, int, int, bytes | None, int]
"""Key, stamp, remaining milliseconds, value (None: tombstone), seal."""

Row = tuple[bytes, str, int, float, bytes | None, int]
"""What a journal stores: key, origin, stamp, wall time of the end, value, seal."""

Written = tuple[bytes, Stored, Stored | None]
"""``Applied``, as a map holds it."""

Applied = tuple[bytes, Entry, Entry | None]
"""A change of the map: key, entry, and the entry before it (which may have ended, or be a tombstone)."""


@dataclass(frozen=True)
class Limits:
    """How much a map takes from others."""

    per_origin: int = 200_000
    """Records of one origin: a mad node cannot push out those of the others."""

    bytes_per_origin: int = 64 << 20
    """Bytes of keys and values of one origin: 335 for each of 200,000 records."""

    total: int = 1_200_000
    """Records in all: what the blocklist holds, and tombstones; about 400 MB."""

    origins: int = 1024
    """Names that records may come from, as many as members; each takes 40 kB for its digests."""

    max_key: int = 512
    """Bytes of a key: a text of 255 bytes with its prefix, and room."""

    max_value: int = 4096
    """Bytes of a value: a decision with its reason takes some hundreds."""

    max_lifetime: float = 30 * 86400.0
    """Seconds until an entry ends at the latest, whatever its origin says."""

    def per_bucket(self) -> int:
        """Return how many records of one origin a bucket takes.

        Eight times the average of a full origin, which chance never reaches: only keys that were
        chosen to meet in one bucket do, to make listing it slow.
        """
        return min(max(64, 8 * self.per_origin // BUCKETS), 65535)


def bucket_of(key: bytes) -> int:
    """Return the bucket of a key, 0 to BUCKETS - 1, the same on every node."""
    return crc32(key) % BUCKETS


def make_seal(secret: bytes, key: bytes, stamp: int, value: bytes | None) -> int:
    """Return the seal of a write: only who knows its origin's secret (at most 64 bytes) can make it.

    It also stands for the record in digests: it is as good as random, and costs the receiver nothing.
    """
    mac = blake2b(stamp.to_bytes(8, "big"), digest_size=8, key=secret)
    mac.update(len(key).to_bytes(4, "big") + key)
    if value is not None:
        mac.update(b"v" + value)
    return int.from_bytes(mac.digest(), "big") % SEAL_LIMIT
