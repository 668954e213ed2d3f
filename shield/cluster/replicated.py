"""ReplicatedMap: keys with lifetimes that all nodes hold alike, however messages travel.

For each key the write with the highest (stamp, origin) wins, so merging is commutative, associative and
idempotent. A removal is a write too: a tombstone. Every entry ends by itself after its lifetime.

``now`` is node time, ``wall`` seconds since the epoch. Who may speak for which origin is asked by
``sync.py``; here only this node's own name is protected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from zlib import crc32

from shield.cluster.account import Account
from shield.cluster.clock import MAX_AHEAD, Clock
from shield.cluster.entry import (
    BUCKETS,
    SEAL_LIMIT,
    TOMBSTONE_LIFETIME,
    Applied,
    Entry,
    Limits,
    Record,
    Stored,
    Written,
    bucket_of,
    make_seal,
)
from shield.cluster.store import LEAST_REMAINING, EntryStore

__all__ = ["ReplicatedMap"]


class ReplicatedMap(EntryStore):
    """The entries of one feature, as node ``node`` knows them.

    ``secret`` (at most 64 bytes) seals what this node writes: that is how it knows its own records again
    when it has forgotten them.
    """

    def __init__(
        self,
        name: str,
        node: str,
        secret: bytes,
        limits: Limits | None = None,
        clock: Clock | None = None,
        *,
        journaled: bool = False,
    ) -> None:
        super().__init__(limits, journaled=journaled)
        self.name = name
        self.node = node
        self.clock = clock or Clock()
        self.end_of: Callable[[bytes, bytes], float] = lambda _key, _value: inf
        """Wall time at which a value of a key ends, as its writer meant it; asked of own records that
        come back, because the lifetime that a peer tells of them is not sealed."""
        self._secret = secret
        self._answers: list[bytes] = []
        self._per_bucket = self.limits.per_bucket()

    # What this node writes and sends

    def put(
        self, key: bytes, value: bytes, lifetime: float, now: float, wall: float, *, above: int = 0
    ) -> Entry | None:
        """Write a value that ends after ``lifetime`` seconds; None (counted ``full``) without room.

        ``above``: stamp of something else that it answers. Raises ValueError for a key or value beyond
        the limits: others would refuse it.
        """
        limits = self.limits
        if not 0 < len(key) <= limits.max_key or len(value) > limits.max_value:
            raise ValueError(f"key of {len(key)} bytes, value of {len(value)}: beyond the limits")
        return self._write(key, value, min(lifetime, limits.max_lifetime), now, wall, above=above)

    def copy(
        self, key: bytes, said: Entry, value: bytes | None, now: float, wall: float
    ) -> Applied | None:
        """Write what another map says with the stamp that it has there, if that is newer than here.

        So a write goes through each map once, whatever ways lead from one to the other. ``value``: that
        of ``said``, or one in its place.
        """
        held, stamp = self.get(key), said.stamp
        if not 0 < stamp <= self.clock.horizon(wall) or (held is not None and stamp <= held.stamp):
            return None
        lifetime = min(said.until - now, self.limits.max_lifetime)
        entry = self._write(key, value, lifetime, now, wall, stamp=stamp)
        return None if entry is None else (key, entry, held)

    def remove(self, key: bytes, now: float, wall: float) -> Entry | None:
        """Remove a live value, whoever wrote it; returns the tombstone, None if there is no value."""
        held = self.live(key, now)
        if held is None:
            return None
        return self._write(key, None, max(held.until - now, TOMBSTONE_LIFETIME), now, wall)

    def record(self, key: bytes, now: float) -> Record | None:
        """Return the entry of a key as it travels, None if it is missing or ends too soon."""
        held = self.get(key)
        if held is None or held.until - now < LEAST_REMAINING:
            return None
        return key, held.stamp, round((held.until - now) * 1000), held.value, held.seal

    def sealed_with(self, secret: bytes) -> bool:
        """Whether this is the secret of what this node writes."""
        return self._secret == secret

    def reseal(self, secret: bytes, now: float, wall: float) -> None:
        """Write anew what this node wrote, with another secret: it has got an identity."""
        self._secret = secret
        own = [
            (key, Entry._make(held))
            for bucket in self._buckets
            for key, held in bucket.items()
            if held[1] == self.node and held[2] > now
        ]
        for key, entry in own:
            self._write(key, entry.value, entry.until - now, now, wall)

    # What others wrote

    def merge(self, origin: str, record: Record, now: float, wall: float) -> Applied | None:
        """Take one record of ``origin``; returns the change, or None if nothing changed."""
        applied = self.merge_many(origin, [record], now, wall)
        return applied[0] if applied else None

    def merge_many(
        self, origin: str, records: Iterable[Record], now: float, wall: float
    ) -> list[Applied]:
        """Take records of ``origin`` and return the changes, in order; never raises.

        What is refused is counted by reason: ``bad_record``, ``future_stamp``, ``ended``,
        ``over_limit``, ``forged_origin``, ``forgotten_origin``, ``too_many_origins``.
        """
        if origin == self.node:
            records = self._known_again(records, now, wall)
        account = self._account(origin)
        if account is None:
            return []
        written: list[Written] = []
        try:
            self._take(account, records, now, wall, written)
        except (TypeError, ValueError):  # not five fields; what came before it is taken
            self.counters["bad_record"] += 1
        self._book(account, written)
        make = Entry._make
        return [(key, make(entry), None if held is None else make(held)) for key, entry, held in written]

    def _take(
        self,
        account: Account,
        records: Iterable[Record],
        now: float,
        wall: float,
        written: list[Written],
    ) -> None:
        """Store the records that win. A join waits for this loop: it calls little."""
        buckets, horizon, longest = self._buckets, self.clock.horizon(wall), self._longest
        max_key, max_value, per_bucket = self.limits.max_key, self.limits.max_value, self._per_bucket
        origin, counts, room, top = account.name, account.counts, self._room(account), account.top
        for key, stamp, remaining, value, seal in records:
            if (
                type(key) is not bytes
                or not 0 < len(key) <= max_key
                or type(stamp) is not int
                or type(remaining) is not int
                or type(seal) is not int
                or not 0 <= seal < SEAL_LIMIT
                or (value is not None and (type(value) is not bytes or len(value) > max_value))
            ):
                self.counters["bad_record"] += 1
                continue
            if not 0 < stamp <= horizon or remaining <= 0:
                self.counters["future_stamp" if stamp > horizon else "ended"] += 1
                continue
            number = crc32(key) % BUCKETS
            bucket = buckets[number]
            held = bucket.get(key)
            entry = (stamp, origin, now + min(remaining, longest) * 0.001, value, seal)
            if held is not None and stamp <= held[0] and not _wins(entry, held):
                self._shorten(bucket, key, entry, held)
                continue
            if held is None or held[1] != origin:
                if room <= 0 or counts[number] >= per_bucket:
                    account.refuse(now)
                    self.counters["over_limit"] += 1
                    continue
                room -= 1
            bucket[key] = entry
            counts[number] += 1
            if stamp > top:
                account.top = top = stamp
            written.append((key, entry, held))

    def _shorten(self, bucket: dict[bytes, Stored], key: bytes, entry: Stored, held: Stored) -> None:
        """The same write with less time left: the shortest counts, as every way it travels adds some.

        Of our own writes we know the end ourselves: the seal does not cover what a peer says of it.
        """
        stamp, origin, until, value, seal = held
        same = (entry[0], entry[1], entry[3], entry[4]) == (stamp, origin, value, seal)
        if same and entry[2] < until and origin != self.node:
            bucket[key] = entry
            self._expiry.note([(key, entry, None)])

    def _write(
        self,
        key: bytes,
        value: bytes | None,
        lifetime: float,
        now: float,
        wall: float,
        *,
        above: int = 0,
        stamp: int = 0,
    ) -> Entry | None:
        """Write with a stamp above that of what is replaced and ``above``, or with ``stamp``."""
        number, account = bucket_of(key), self._account(self.node)
        bucket = self._buckets[number]
        held = bucket.get(key)
        if account is None or (held is None and self._room(account) <= 0):
            self.counters["full"] += 1
            return None
        stamp = stamp or self.clock.next(wall, above if held is None else max(above, held[0]))
        entry = (stamp, self.node, now + lifetime, value, self.seal(key, stamp, value))
        bucket[key] = entry
        account.counts[number] += 1
        account.top = max(account.top, stamp)
        self._book(account, [(key, entry, held)])
        return Entry._make(entry)

    # Our own name

    def _known_again(self, records: Iterable[Record], now: float, wall: float) -> list[Record]:
        """Return the records that this node has written indeed, and answer the others."""
        known: list[Record] = []
        try:
            for record in records:
                key, stamp, remaining, value, seal = record
                held = self.get(key)
                left = inf if value is None else self.end_of(key, value) + MAX_AHEAD - wall
                if self.seal(key, stamp, value) == seal and left > 0:
                    most = remaining if left == inf else min(remaining, int(left * 1000))
                    known.append((key, stamp, most, value, seal))
                elif held is None or stamp >= held.stamp:
                    self.counters["forged_origin"] += 1
                    if stamp <= self.clock.horizon(wall):
                        self._answer(key, stamp, now, wall)
        except (TypeError, ValueError, OverflowError, AttributeError):
            self.counters["bad_record"] += 1
        return known

    def _answer(self, key: bytes, stamp: int, now: float, wall: float) -> None:
        """Write what is true of a key with a newer stamp than somebody used in our name."""
        if not 0 < len(key) <= self.limits.max_key:
            return  # nobody takes it
        held = self.live(key, now)
        if held is None:
            self._write(key, None, TOMBSTONE_LIFETIME, now, wall, above=stamp)
        else:
            self._write(key, held.value, held.until - now, now, wall, above=stamp)
        self._answers.append(key)

    def seal(self, key: bytes, stamp: int, value: bytes | None) -> int:
        """Return the seal of this node for a write."""
        return make_seal(self._secret, key, stamp, value)

    def take_answers(self) -> list[bytes]:
        """Return the keys that were written to answer forged records, to be pushed; once."""
        answers, self._answers = self._answers, []
        return answers


def _wins(entry: Stored, held: Stored) -> bool:
    """Whether an entry replaces another; what follows the origin decides its contradictions only."""
    return _rank(*entry) > _rank(*held)


def _rank(
    stamp: int, origin: str, until: float, value: bytes | None, seal: int
) -> tuple[int, str, int, bool, bytes]:
    del until  # the same write ends at slightly different times on two nodes
    return stamp, origin, seal, value is None, value or b""
