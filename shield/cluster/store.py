"""EntryStore: the entries of a replicated map, and everything that is derived from them.

Entries lie in buckets by a hash of their key, so that contents can be compared in parts and a part can
be listed without looking at the rest.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator

from shield.cluster.account import Account
from shield.cluster.entry import BUCKETS, Entry, Limits, Record, Stored, Written, bucket_of
from shield.cluster.expiry import Expiry

__all__ = ["FLICKER", "LEAST_REMAINING", "EntryStore"]

LEAST_REMAINING = 5.0
"""Seconds that an entry must have left to be sent: it would end before it is of any use."""

FLICKER = 10.0
"""Seconds around an end in which a bucket may differ from another node's because of it: clocks that
run differently, slots of a second, and messages on their way."""

STALE_SLACK = 4096
"""Notes of ends of entries since replaced that are tolerated before all are written anew."""


class EntryStore:
    """Entries by key, the accounts of their origins, and when they end.

    ``counters`` has what was refused, by reason. With ``journaled`` the keys of changes are kept for
    ``persistence.changes``, which must then be called.
    """

    def __init__(self, limits: Limits | None = None, *, journaled: bool = False) -> None:
        self.limits = limits or Limits()
        self.counters: Counter[str] = Counter()
        self.dirty: set[bytes] | None = set() if journaled else None
        self.fresh: set[bytes] | None = None
        """Keys written since a bridge looked last; None while nobody looks."""
        self._buckets: list[dict[bytes, Stored]] = [{} for _ in range(BUCKETS)]
        self._ended = array("d", [float("-inf")]) * BUCKETS
        self._accounts: dict[str, Account] = {}
        self._forgotten: set[str] = set()
        self._expiry = Expiry()
        self._length = 0
        self._longest = int(self.limits.max_lifetime * 1000)

    def __len__(self) -> int:
        """Return the number of entries, tombstones included."""
        return self._length

    def get(self, key: bytes) -> Entry | None:
        """Return the entry of a key: a value or a tombstone, ended or not."""
        held = self._buckets[bucket_of(key)].get(key)
        return None if held is None else Entry._make(held)

    def live(self, key: bytes, now: float) -> Entry | None:
        """Return the entry of a key if it is a value that has not ended."""
        held = self.get(key)
        return held if held is not None and held.value is not None and held.until > now else None

    def entries(self, now: float) -> Iterator[tuple[bytes, Entry]]:
        """Yield keys and entries of the values that have not ended; the map may change meanwhile."""
        for bucket in self._buckets:
            for key, held in list(bucket.items()):
                entry = Entry._make(held)
                if entry.value is not None and entry.until > now:
                    yield key, entry

    # Ends

    def expire(self, now: float, limit: int) -> list[tuple[bytes, Entry]]:
        """Remove what has ended, looking at ``limit`` keys at most; returns what was removed.

        An entry goes up to a second after its end: ends are kept by the second.
        """
        gone: list[tuple[bytes, Entry]] = []
        for key in self._expiry.due(now, limit):
            held = self.get(key)
            if held is not None and held.until <= now:
                self._delete(key, held)
                self._ended[bucket_of(key)] = now
                gone.append((key, held))
        return gone

    def forget(self, origin: str) -> list[tuple[bytes, Entry]]:
        """Remove all entries of an origin, take nothing from it until ``admit``; returns what went.

        Looks at every entry: 0.1 s for a million.
        """
        gone = [
            (key, Entry._make(held))
            for bucket in self._buckets
            for key, held in bucket.items()
            if held[1] == origin
        ]
        for key, entry in gone:
            self._delete(key, entry)
        self._accounts.pop(origin, None)
        self._forgotten.add(origin)
        return gone

    def admit(self, origin: str) -> None:
        """Take records of an origin again that was forgotten."""
        self._forgotten.discard(origin)

    def _delete(self, key: bytes, held: Stored) -> None:
        number = bucket_of(key)
        del self._buckets[number][key]
        self._accounts[held[1]].drop(key, number, held)
        self._length -= 1
        if self.dirty is not None:
            self.dirty.add(key)

    # Comparing

    def accounts(self) -> list[Account]:
        """Return the accounts of all origins, also of those that are left out of comparisons."""
        return list(self._accounts.values())

    def account(self, origin: str) -> Account | None:
        """Return the account of an origin, if anything was ever taken from it."""
        return self._accounts.get(origin)

    def digest_of(self, origin: str) -> int:
        """Return the digest of an origin's records, 0 if there are none."""
        account = self._accounts.get(origin)
        return account.digest if account else 0

    def digest(self, now: float) -> int:
        """Return the digest of all that is compared: without origins that are over their limits."""
        digest = 0
        for account in self._accounts.values():
            if not account.over(now):
                digest ^= account.digest
        return digest

    def is_forgotten(self, origin: str) -> bool:
        """Whether nothing is taken from an origin."""
        return origin in self._forgotten

    def bucket_records(self, origin: str, number: int, now: float, after: bytes = b"") -> list[Record]:
        """Return an origin's records in a bucket, by key, those after key ``after``."""
        soon = now + LEAST_REMAINING
        found = [
            (key, stamp, round((until - now) * 1000), value, seal)
            for key, (stamp, writer, until, value, seal) in self._buckets[number].items()
            if writer == origin and until > soon and key > after
        ]
        found.sort()
        return found

    def bucket_keys(self, number: int) -> list[bytes]:
        """Return the keys in a bucket, tombstones too, whatever their origin."""
        return list(self._buckets[number])

    def bucket_length(self, number: int) -> int:
        """Return how many entries of all origins are in a bucket."""
        return len(self._buckets[number])

    def flickers(self, origin: str, number: int, now: float) -> bool:
        """Whether a bucket may differ from another node's as something has just ended or soon will."""
        if now - self._ended[number] < FLICKER:
            return True
        soon = now + FLICKER
        return any(held[2] < soon and held[1] == origin for held in self._buckets[number].values())

    # Bookkeeping

    def _account(self, origin: str) -> Account | None:
        """Return the account of an origin, or None (counted) if nothing is taken from it."""
        account = self._accounts.get(origin)
        if account is None:
            if origin in self._forgotten:
                self.counters["forgotten_origin"] += 1
            elif len(self._accounts) >= self.limits.origins:
                self.counters["too_many_origins"] += 1
            else:
                account = self._accounts[origin] = Account(origin)
        return account

    def _room(self, account: Account) -> int:
        """Return how many further records this origin may have."""
        limits = self.limits
        if account.size >= limits.bytes_per_origin:
            return 0
        return min(limits.per_origin - account.records, limits.total - self._length)

    def _book(self, account: Account, written: list[Written]) -> None:
        """Bring everything that is derived from the entries up to date."""
        for key, _, held in written:
            if held is None:
                self._length += 1
            else:
                self._accounts[held[1]].drop(key, bucket_of(key), held)
        account.add(written)
        self._expiry.note(written)
        if self._expiry.noted > 2 * self._length + STALE_SLACK:
            self._expiry.clear()
            for bucket in self._buckets:
                self._expiry.note((key, entry, None) for key, entry in bucket.items())
        for changed in (self.dirty, self.fresh):
            if changed is not None:
                changed.update([key for key, _, _ in written])
