"""Homes: from where each account has logged in before, in memory that never grows.

A pair of account and address is one bit of a table, found by a checksum, as with ``Neighbours``: two
pairs that share a bit make a strange place look like home, the harmless side to err on. Which pairs are
new is remembered with the time for an hour or two, for rules that ask ``since_login``.
"""

from __future__ import annotations

from zlib import crc32

from shield.detect.prefixes import prefix
from shield.sip.recent import RecentMap

__all__ = ["Homes"]

TABLE_BITS = 23
"""Eight million bits, 1 MB each generation; 400,000 pairs let one strange place in 20 pass."""
_MASK = (1 << TABLE_BITS) - 1
HOME_TIME = 7 * 86_400.0
"""Seconds of one generation: who comes home once a week stays known."""
MAX_FRESH = 65_536
"""New pairs at a time; who is forgotten early counts as long known."""
FRESH_TIME = 3_600.0
"""Seconds that a new pair is remembered at least."""
LEARNING = 3_600.0
"""Phones register each hour (RFC 3261 section 10.2.1.1): before, a strange place may be anybody's."""


class Homes:
    """Places of accounts; ``note`` is called for each success."""

    __slots__ = ("_fresh", "_old", "_since", "_turn", "_young")

    def __init__(self) -> None:
        self._young = bytearray(1 << TABLE_BITS - 3)
        self._old = bytearray(1 << TABLE_BITS - 3)
        self._fresh: RecentMap[tuple[bytes, bytes], float] = RecentMap(MAX_FRESH, FRESH_TIME)
        self._turn = 0.0
        self._since: float | None = None

    def note(self, account: bytes, client: bytes, time: float) -> None:
        """The account was logged in from this address."""
        bit = crc32(client, crc32(account)) & _MASK
        young = self._young
        if young[bit >> 3] >> (bit & 7) & 1:
            return
        young[bit >> 3] |= 1 << (bit & 7)
        if self._since is None:
            self._since = time
        if not self._old[bit >> 3] >> (bit & 7) & 1:
            self._fresh.put((account, client), time)
        near = crc32(prefix(client), crc32(account)) & _MASK
        young[near >> 3] |= 1 << (near & 7)

    def knows(self, account: bytes, client: bytes) -> bool:
        """Whether it has logged in from this address before."""
        return self._set(crc32(client, crc32(account)) & _MASK)

    def near(self, account: bytes, client: bytes) -> bool:
        """Whether it has logged in from the /24 or /64 of this address before."""
        return self._set(crc32(prefix(client), crc32(account)) & _MASK)

    def settled(self, time: float) -> bool:
        """Whether this node has listened for long enough that a strange place means something."""
        return self._since is not None and time - self._since >= LEARNING

    def since_login(self, account: bytes, client: bytes, time: float) -> float | None:
        """Seconds since the first login of this account from this address; None if that is long ago."""
        first = self._fresh.get((account, client))
        return None if first is None else max(0.0, time - first)

    def tick(self, time: float) -> None:
        """Let event time pass."""
        self._fresh.tick(time)
        if time >= self._turn:
            if self._turn:
                self._old, self._young = self._young, bytearray(1 << TABLE_BITS - 3)
            self._turn = time + HOME_TIME

    def _set(self, bit: int) -> bool:
        return bool((self._young[bit >> 3] | self._old[bit >> 3]) >> (bit & 7) & 1)
