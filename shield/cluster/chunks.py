"""What sync messages carry packed: records, sets of buckets, digests.

Everything here that reads is given bytes of a peer: sizes are limited before anything is unpacked, and
what makes no sense raises RemoteError.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from shield.cluster.account import GROUP_SIZE
from shield.cluster.entry import BUCKETS, Record
from shield.errors import RemoteError
from shield.wire import pack_value, unpack_value

__all__ = [
    "CHUNK_BYTES",
    "CHUNK_RECORDS",
    "Report",
    "checked_records",
    "pack_buckets",
    "pack_digests",
    "pack_records",
    "read_report",
    "record_size",
    "report",
    "unpack_buckets",
    "unpack_digests",
    "unpack_records",
]

CHUNK_RECORDS = 1000
"""Records of a chunk: 5 ms to merge, so that a join holds up nothing else for longer."""

CHUNK_BYTES = 256 * 1024
"""Octets of the records of a chunk before compression; a single record is smaller than its rest."""

MAX_INFLATED = 2 * CHUNK_BYTES
"""Octets a chunk may have when unpacked: a peer's kilobyte must not become a gigabyte here."""

MAX_RECORDS = 2 * CHUNK_RECORDS
"""Records that are taken from one chunk or push."""

RECORD_OVERHEAD = 32
"""Octets of a packed record besides key and value."""

COMPRESSION = 1
"""Of zlib: better ones save a tenth more and take three times as long."""

_DIGESTS = struct.Struct(f">{GROUP_SIZE}Q")
_REPORT = struct.Struct(">QI")
_OWN = struct.Struct(">Q")


class Report(NamedTuple):
    """What a ping says of a map."""

    digest: int
    records: int
    own: int | None
    """Digest of what the sender itself has written; None from a node that does not tell it."""


def record_size(record: Record) -> int:
    """Return about how many octets a record takes."""
    value = record[3]
    return RECORD_OVERHEAD + len(record[0]) + (0 if value is None else len(value))


def pack_records(records: Sequence[Record]) -> bytes:
    """Pack and compress the records of a chunk."""
    return zlib.compress(pack_value(records), COMPRESSION)


def unpack_records(data: Any) -> tuple[Any, ...]:
    """Return what ``pack_records`` was given; the records themselves are checked by who merges them."""
    if type(data) is not bytes:
        raise RemoteError("garbled_sync", "a chunk is not bytes")
    inflate = zlib.decompressobj()
    try:
        packed = inflate.decompress(data, MAX_INFLATED)
    except zlib.error as error:
        raise RemoteError("garbled_chunk", str(error)) from None
    if not inflate.eof or inflate.unused_data:
        raise RemoteError(
            "chunk_too_large", f"{len(data)} bytes are cut or unpack to more than {MAX_INFLATED}"
        )
    return checked_records(unpack_value(packed))


def checked_records(records: Any) -> tuple[Any, ...]:
    """Return a tuple of records, whose number is limited; raises RemoteError for anything else."""
    if type(records) is not tuple:
        raise RemoteError("garbled_sync", "records are not an array")
    if len(records) > MAX_RECORDS:
        raise RemoteError("chunk_too_large", f"{len(records)} records")
    return records


def pack_buckets(numbers: Iterable[int]) -> bytes:
    """Pack a set of buckets: 512 octets, a bit for each bucket."""
    bits = bytearray(BUCKETS // 8)
    for number in numbers:
        bits[number >> 3] |= 1 << (number & 7)
    return bytes(bits)


def unpack_buckets(bits: Any) -> list[int]:
    """Return the buckets of a set in order."""
    if type(bits) is not bytes or len(bits) != BUCKETS // 8:
        raise RemoteError("garbled_sync", "not a set of buckets")
    return [number for number in range(BUCKETS) if bits[number >> 3] >> (number & 7) & 1]


def pack_digests(digests: Sequence[int]) -> bytes:
    """Pack GROUP_SIZE digests: of all groups, or of the buckets of one group."""
    return _DIGESTS.pack(*digests)


def unpack_digests(data: Any) -> tuple[int, ...]:
    """Return GROUP_SIZE digests."""
    if type(data) is not bytes or len(data) != _DIGESTS.size:
        raise RemoteError("garbled_sync", "not the digests of a group")
    return _DIGESTS.unpack(data)


def report(digest: int, records: int, own: int | None = None) -> bytes:
    """Return the report that travels in a ping: digest, number of records, digest of the sender's."""
    data = _REPORT.pack(digest, min(records, 0xFFFFFFFF))
    return data if own is None else data + _OWN.pack(own)


def read_report(data: Any) -> Report:
    """Return what a report says; octets after what is known are left out."""
    if type(data) is not bytes or len(data) < _REPORT.size:
        raise RemoteError("garbled_sync", "not a report")
    digest, records = _REPORT.unpack_from(data)
    whole = len(data) >= _REPORT.size + _OWN.size
    return Report(digest, records, _OWN.unpack_from(data, _REPORT.size)[0] if whole else None)
