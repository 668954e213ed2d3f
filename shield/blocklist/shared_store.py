"""SharedStore: the replicated map to and from the journal, in portions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shield.blocklist.aside import Aside, Why
from shield.blocklist.journal_shared import SharedRow
from shield.blocklist.shared_record import UNPROVEN
from shield.cluster.persistence import restore
from shield.cluster.replicated import ReplicatedMap

__all__ = ["SharedStore"]


class SharedStore:
    """Follows which records changed since they were saved; the map must be made ``journaled``."""

    def __init__(self, records: ReplicatedMap, aside: Aside) -> None:
        self._records = records
        self._aside = aside
        self._urgent: dict[bytes, None] = {}

    @property
    def urgent(self) -> int:
        """Return how many records that this node wrote the journal has not got yet."""
        return len(self._urgent)

    @property
    def waiting(self) -> int:
        """Return how many records the journal has not got yet."""
        return len(self._records.dirty or ())

    def wrote(self, keys: Iterable[bytes]) -> None:
        """Save these before all others: an unban that an operator was told of must outlive a kill -9."""
        self._urgent.update(dict.fromkeys(keys))

    def take(self, limit: int, now: float, wall: float) -> tuple[list[SharedRow], list[bytes]]:
        """Give at most ``limit`` changed records, and keys of records that are gone."""
        rows: list[SharedRow] = []
        gone: list[bytes] = []
        dirty, urgent = self._records.dirty or set(), self._urgent
        records, aside, shift = self._records, self._aside, wall - now
        for _ in range(min(limit, len(dirty) + len(urgent))):
            if urgent:
                key = next(iter(urgent))
                del urgent[key]
                dirty.discard(key)
            elif dirty:
                key = dirty.pop()
            else:
                break
            entry = records.get(key)
            if entry is None:
                gone.append(key)
                continue
            stamp, origin, until, value, seal = entry
            mark = aside.get(key)
            # Why an unproven ban is refused is known from traffic, which a restart forgets.
            held = mark is not None and (mark.why is Why.HELD or key[0] == UNPROVEN)
            rows.append(SharedRow((key, origin, stamp, until + shift, value, seal), held))
        return rows, gone

    def mark(self, key: bytes) -> None:
        """Save a record again: what this node does with it has changed."""
        if self._records.dirty is not None:
            self._records.dirty.add(key)

    def restore(self, rows: Sequence[SharedRow], now: float, wall: float) -> list[bytes]:
        """Fill the map, and set aside what was held; returns the keys to look at."""
        restore(self._records, [row for row, _ in rows], now, wall)
        keys = []
        for (key, origin, *_), held in rows:
            entry = self._records.get(key)
            if entry is None or entry.origin != origin:
                continue
            if held and entry.value is not None:
                why = Why.REFUSED_BEFORE if key[0] == UNPROVEN else Why.HELD
                self._aside.put(key, origin, why)
            else:
                keys.append(key)
        return keys
