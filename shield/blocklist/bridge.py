"""Bridge: carries bans, unbans and allowlist entries between the maps of two clusters (no I/O).

What is written into one map is copied into the other with its stamp, and only where it is newer than
what is there. A write therefore enters each cluster once, whatever bridges there are: two at the same
time write the same, and a ring of clusters ends where it began. A passport tells who decided and which
clusters a record has been in; none goes through more than a few.

Of several nodes that could carry one is active at a time; who decides that is the caller's business. A
bridge that becomes active looks at everything once, so nothing is missed between two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Any

from shield.blocklist.shared_record import (
    ALLOW,
    BAN,
    MAX_VISITED,
    Passport,
    passport_of,
    source_of,
    with_passport,
    without_passport,
)
from shield.cluster.entry import BUCKETS, Applied, Entry
from shield.cluster.replicated import ReplicatedMap
from shield.errors import RemoteError

__all__ = ["Bank", "Bridge", "BridgeStats"]

CARRIED_KINDS = frozenset({BAN, ALLOW})
"""Votes and unproven bans stay where they are: they mean little to who does not know the nodes."""

PORTION = 2_000
"""Keys looked at in one tick, of which there are two a second: some 30 ms when all are new."""


@dataclass(frozen=True)
class Bank:
    """One end of the bridge. ``write`` makes known what was written into ``records``."""

    cluster: str
    records: ReplicatedMap
    write: Callable[[list[Applied], float], None]


@dataclass(slots=True)
class BridgeStats:
    """Counters since the start."""

    carried: int = 0
    """Records written into the other map."""
    known: int = 0
    """Records that the other map had already, or something newer."""
    returned: int = 0
    """Records that were not carried back to where they have been, or further than they may go."""
    refused: int = 0
    """Records without room in the other map, or that make no sense."""


class Bridge:
    """Between two clusters with different names."""

    def __init__(self, left: Bank, right: Bank, wall: Callable[[], float]) -> None:
        self.left, self.right = left, right
        self.active = False
        self.stats = {right.cluster: BridgeStats(), left.cluster: BridgeStats()}
        """By the cluster into which is carried."""
        self._wall = wall
        self._pass: Iterator[bytes] = iter(())
        self._withdrawn: Iterator[tuple[Bank, bytes, str]] = iter(())

    def set_active(self, *, active: bool) -> None:
        """Begin to carry, everything at first, or end."""
        self.active = active
        for bank in (self.left, self.right):
            bank.records.fresh = set() if active else None
        self._pass = iter(())
        if active:
            self.again()

    def again(self) -> None:
        """Look at everything once more: records of somebody who was put out are gone on one side."""
        if self.active:
            self._pass = chain(_keys(self.left.records), _keys(self.right.records))

    def withdraw(self, node: str, cluster: str) -> None:
        """Take back in the other cluster what a node said that was put out of its own."""
        if not self.active:
            return
        origin = f"{node}@{cluster}"
        banks = [bank for bank in (self.left, self.right) if bank.cluster != cluster]
        self._withdrawn = chain(
            self._withdrawn,
            ((bank, key, origin) for bank in banks for key in _keys(bank.records)),
        )

    def tick(self, now: float) -> None:
        """Carry what is new, then some of what there was before."""
        if not self.active:
            return
        keys: list[bytes] = []
        for bank in (self.left, self.right):
            fresh = bank.records.fresh or set()
            keys += [fresh.pop() for _ in range(min(PORTION, len(fresh)))]
        self._carry(chain(keys, islice(self._pass, PORTION)), now)
        for bank, key, origin in islice(self._withdrawn, PORTION):
            self._take_back(bank, key, origin, now)

    def as_json(self) -> dict[str, Any]:
        """State for people."""
        return {
            "clusters": [self.left.cluster, self.right.cluster],
            "active": self.active,
            "into": {cluster: asdict(stats) for cluster, stats in self.stats.items()},
        }

    def _carry(self, keys: Iterable[bytes], now: float) -> None:
        """Make both maps say the same of these keys: what is newer."""
        written = {self.left.cluster: list[Applied](), self.right.cluster: []}
        for key in keys:
            if key[0] not in CARRIED_KINDS:
                continue
            left, right = self.left.records.get(key), self.right.records.get(key)
            ways = [(left, self.left, right, self.right), (right, self.right, left, self.left)]
            said, source, there, target = max(ways, key=lambda way: _rank(key, way[0]))
            if said is None or said.until <= now:
                continue
            if there is not None and there.stamp == said.stamp:
                if _rank(key, there) == _rank(key, said):
                    self.stats[target.cluster].known += 1
                    continue
                # Written in the same millisecond: one of both, with a stamp that wins everywhere.
                said = said._replace(stamp=said.stamp + 1)
            if said.value is not None or (there is not None and there.value is not None):
                applied = self._copy(source, target, key, said, now)
                written[target.cluster] += [applied] if applied is not None else []
        for bank in (self.left, self.right):
            if written[bank.cluster]:
                bank.write(written[bank.cluster], now)

    def _copy(self, source: Bank, target: Bank, key: bytes, said: Entry, now: float) -> Applied | None:
        stats = self.stats[target.cluster]
        try:
            value = _with_way(source, target, key, said)
        except RemoteError:
            stats.refused += 1
            return None
        if value is None and said.value is not None:
            stats.returned += 1
            return None
        applied = target.records.copy(key, said, value, now, self._wall())
        if applied is None:
            stats.refused += 1
        else:
            stats.carried += 1
        return applied

    def _take_back(self, bank: Bank, key: bytes, origin: str, now: float) -> None:
        entry = bank.records.live(key, now)
        if entry is not None and source_of(key, entry) == origin:
            gone = bank.records.remove(key, now, self._wall())
            if gone is not None:
                bank.write([(key, gone, entry)], now)


def _with_way(source: Bank, target: Bank, key: bytes, said: Entry) -> bytes | None:
    """The value with one more cluster in its passport; None when it may not go there."""
    if said.value is None:
        return None
    passport = passport_of(key, said.value)
    if passport is None:
        passport = Passport(f"{said.origin}@{source.cluster}", (source.cluster,))
    elif passport.visited[-1] != source.cluster:
        passport = passport._replace(visited=(*passport.visited, source.cluster))
    if target.cluster in passport.visited or len(passport.visited) > MAX_VISITED:
        return None
    return with_passport(key, said.value, passport)


def _rank(key: bytes, entry: Entry | None) -> tuple[int, bytes]:
    """Orders what two clusters say about a key; ways that it has come do not matter."""
    if entry is None:
        return 0, b""
    try:
        return entry.stamp, b"" if entry.value is None else without_passport(key, entry.value)
    except RemoteError:
        return entry.stamp, b""


def _keys(records: ReplicatedMap) -> Iterator[bytes]:
    for number in range(BUCKETS):
        yield from records.bucket_keys(number)
