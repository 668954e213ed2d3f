"""Account: what a map knows about the records of one origin as a whole.

Digests are the XOR of seals, so adding and taking away are the same operation, in any order.
"""

from __future__ import annotations

from array import array

from shield.cluster.entry import BUCKETS, Stored, Written, bucket_of

__all__ = ["GROUPS", "GROUP_SIZE", "Account"]

GROUP_SIZE = 64
"""Buckets in a group: digests are compared in two steps of 512 bytes, first groups, then buckets."""

GROUPS = BUCKETS // GROUP_SIZE
"""As many as buckets in a group, so that both steps have the same form."""

SHRUNK = 0.95
"""Part of its number of records at which an origin that was over its limits is compared again: not at
the limit itself, where it would come and go with every record."""

LEFT_OUT = 600.0
"""Seconds after which it is compared again anyway: there may be room now because others have shrunk."""


class Account:
    """Number, size and digests of the records of one origin."""

    __slots__ = (
        "_over",
        "_over_until",
        "counts",
        "digest",
        "digests",
        "name",
        "records",
        "size",
        "tombstones",
        "top",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.records = 0
        self.tombstones = 0
        self.size = 0
        """Bytes of all keys and values."""
        self.top = 0
        """Highest stamp ever seen, also of records that have ended."""
        self.digest = 0
        self.digests = array("Q", bytes(8 * BUCKETS))
        self.counts = array("H", bytes(2 * BUCKETS))
        self._over = 0.0
        self._over_until = float("-inf")

    def refuse(self, now: float) -> None:
        """Remember that a limit refused a record: contents cannot be equal now."""
        self._over, self._over_until = SHRUNK * self.records, now + LEFT_OUT

    def over(self, now: float) -> bool:
        """Whether records were refused lately and the origin has not shrunk since."""
        return now < self._over_until and self.records >= self._over

    def add(self, written: list[Written]) -> None:
        """Count entries of this origin that were added. Their buckets' counts are kept by the map."""
        digests, digest, size, tombstones = self.digests, self.digest, 0, 0
        for key, (_, _, _, value, seal), _ in written:
            digest ^= seal
            digests[bucket_of(key)] ^= seal
            if value is None:
                tombstones += 1
                size += len(key)
            else:
                size += len(key) + len(value)
        self.digest = digest
        self.size += size
        self.records += len(written)
        self.tombstones += tombstones

    def drop(self, key: bytes, bucket: int, entry: Stored) -> None:
        """Count an entry of this origin that has been removed or overwritten."""
        _, _, _, value, seal = entry
        self.digest ^= seal
        self.digests[bucket] ^= seal
        self.counts[bucket] -= 1
        self.records -= 1
        self.size -= len(key)
        if value is None:
            self.tombstones -= 1
        else:
            self.size -= len(value)

    def group_digests(self) -> list[int]:
        """Return the GROUPS digests of groups of buckets."""
        return [self._xor(group * GROUP_SIZE) for group in range(GROUPS)]

    def bucket_digests(self, group: int) -> list[int]:
        """Return the GROUP_SIZE digests of the buckets of a group."""
        return self.digests[group * GROUP_SIZE : (group + 1) * GROUP_SIZE].tolist()

    def _xor(self, first: int) -> int:
        digest = 0
        for part in self.digests[first : first + GROUP_SIZE]:
            digest ^= part
        return digest
