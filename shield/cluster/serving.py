"""Serving: the answers of a map to a peer that compares its contents with ours and asks for records.

Nothing is kept between two requests but how many there were: where a peer is it says itself, so one
that asks and goes away leaves nothing behind.

    ("ask", tag)                                    -> ("origins", tag, ((origin, digest, records,
                                                        highest stamp), ...))
    ("digests", tag, origin, None or (group, ...))  -> ("digest", tag, (digests, ...))
    ("pull", tag, origin, buckets, bucket, key)     -> ("chunk", tag, records, bucket or None, key)

Any request may be answered by ("busy", tag). ``digests`` of None are those of all groups. A pull gives
the records of ``buckets`` that come after ``key`` in ``bucket``, as many as a chunk takes, and where to
go on.
"""

from __future__ import annotations

from typing import Any

from shield.cluster.account import GROUP_SIZE, GROUPS
from shield.cluster.capability import Outlet
from shield.cluster.chunks import (
    CHUNK_BYTES,
    CHUNK_RECORDS,
    pack_digests,
    pack_records,
    record_size,
    unpack_buckets,
)
from shield.cluster.entry import Record
from shield.cluster.replicated import ReplicatedMap
from shield.errors import RemoteError

__all__ = ["Server"]

REQUESTS_PER_SECOND = 200.0
"""Requests of one peer that are answered: 200,000 records in a second are more than it can merge, and
one that asks for more must not keep this node busy for nothing."""

BURST = 50.0
"""Requests that a peer may make at once."""

MAX_LOOKED_AT = 20_000
"""Entries looked at for one chunk, 2 ms: an origin with few records may hide among a million others."""


class Server:
    """Answers the requests of peers, each within its rate; beyond it they are told to come later."""

    def __init__(self, table: ReplicatedMap, outlet: Outlet) -> None:
        self._table = table
        self._outlet = outlet
        self._tokens: dict[str, tuple[float, float]] = {}

    def answer(self, sender: str, body: tuple[Any, ...], now: float) -> None:
        """Answer a request; raises RemoteError for one that makes no sense."""
        if not self._allowed(sender, now):
            self._table.counters["asked_too_often"] += 1
            if len(body) > 1 and type(body[1]) is int:
                self._outlet.send(sender, ("busy", body[1]), now)
            return
        match body:
            case ("ask", int(tag)):
                self._outlet.send(sender, ("origins", tag, self._origins(now)), now)
            case ("digests", int(tag), str(origin), None | tuple() as groups):
                self._outlet.send(sender, ("digest", tag, self._digests(origin, groups)), now)
            case ("pull", int(tag), str(origin), buckets, int(bucket), bytes(key)):
                records, *cursor = self._chunk(origin, unpack_buckets(buckets), bucket, key, now)
                self._outlet.send(sender, ("chunk", tag, pack_records(records), *cursor), now)
            case _:
                raise RemoteError("garbled_sync", "not a request")

    def forget(self, peers: set[str]) -> None:
        """Forget the rates of all but these peers."""
        self._tokens = {name: held for name, held in self._tokens.items() if name in peers}

    def _allowed(self, sender: str, now: float) -> bool:
        tokens, last = self._tokens.get(sender, (BURST, now))
        tokens = min(BURST, tokens + (now - last) * REQUESTS_PER_SECOND)
        self._tokens[sender] = (tokens - 1 if tokens >= 1 else tokens, now)
        return tokens >= 1

    def _origins(self, now: float) -> tuple[tuple[str, int, int, int], ...]:
        return tuple(
            (account.name, account.digest, account.records, account.top)
            for account in self._table.accounts()
            if not account.over(now)
        )

    def _digests(self, origin: str, groups: tuple[Any, ...] | None) -> tuple[bytes, ...]:
        account = self._table.account(origin)
        if groups is None:
            return (pack_digests(account.group_digests() if account else [0] * GROUPS),)
        if len(groups) > GROUPS or not all(
            type(group) is int and 0 <= group < GROUPS for group in groups
        ):
            raise RemoteError("garbled_sync", "no such group of buckets")
        empty = [0] * GROUP_SIZE
        return tuple(
            pack_digests(account.bucket_digests(group) if account else empty) for group in groups
        )

    def _chunk(
        self, origin: str, buckets: list[int], bucket: int, key: bytes, now: float
    ) -> tuple[list[Record], int | None, bytes]:
        """Return records and where to go on: bucket (None: that was all) and key."""
        table, account = self._table, self._table.account(origin)
        records: list[Record] = []
        size = looked_at = 0
        for number in buckets:
            if number < bucket or account is None or not account.counts[number]:
                continue
            if looked_at >= MAX_LOOKED_AT or len(records) >= CHUNK_RECORDS or size >= CHUNK_BYTES:
                return records, number, b""
            looked_at += table.bucket_length(number)
            for record in table.bucket_records(origin, number, now, key if number == bucket else b""):
                if len(records) >= CHUNK_RECORDS or size >= CHUNK_BYTES:
                    return records, number, records[-1][0]
                records.append(record)
                size += record_size(record)
        return records, None, b""
