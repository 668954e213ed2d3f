"""Sync: keeps a replicated map equal to those of all other nodes, over an outlet.

New records are pushed at once. Every ping carries a digest; when it differs twice in a row something was
missed, and a comparison fetches it. Who wants something asks for it, so nobody is sent what it has not
asked for, and a peer that is slow delays nobody but itself.

Trust: a record is taken from its origin; from another node only while its origin, a member, is out of
reach, and in our own name only with our seal. So a captured node cannot speak in the name of a living
one, nor invent others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from shield.cluster.capability import Outlet, SendResult, SyncState, SyncWord
from shield.cluster.chunks import (
    CHUNK_BYTES,
    CHUNK_RECORDS,
    checked_records,
    read_report,
    record_size,
    report,
)
from shield.cluster.comparison import Comparison, Run
from shield.cluster.entry import Applied, Record
from shield.cluster.partners import SMALL, asks_for_all, own_differs
from shield.cluster.replicated import ReplicatedMap
from shield.cluster.serving import Server
from shield.errors import RemoteError

__all__ = ["OnApplied", "Sync"]

OnApplied = Callable[[str, list[Applied], Any, float, float], None]
"""Called with origin, changes, what the origin sent along (None: nothing), now and wall."""

OUT_OF_REACH = 5.0
"""Seconds that a node must be out of reach before others may speak for it. When this node starts, its
links come up one after the other: the first peer is not yet believed about all others."""

PATIENCE = 5.0
"""Seconds until a peer is compared again that had nothing new for us; doubled each time that is so."""

MOST_PATIENCE = 40.0
"""Seconds at most: a push that was lost while contents change all the time is found after that."""

STEADY = 2
"""Reports in a row with an unchanged difference after which a peer is compared without patience: what
comes from ends and from pushes on their way changes within a second or two."""

POSTPONED_RUNS = 3
"""Runs that leave out buckets in which something ends; the next one takes them too."""

SILENCE = 5.0
"""Seconds without a report after which a peer is told ours in a message: pings go to neighbours only,
and this peer may be reached over others."""

MAX_RUNS = 16
"""Comparisons at once: their chunks on the way take 1 MB each when unpacked. A node that joins asks each
member for its own records; one beyond this number waits for its next report."""


@dataclass(slots=True)
class _Peer:
    digest: int | None = None
    records: int = 0
    own_differs: bool = True
    """What it has written itself differs, or it does not tell."""
    pinged: float = float("-inf")
    """When its last ping came; it hears ours as well then."""
    told: float = float("-inf")
    equal_at: float | None = None
    differs: int = 0
    """Reports in a row that differ."""
    difference: int = 0
    """XOR of both digests at the last report: it stays the same while both change alike."""
    steady: int = 0
    """Reports in a row with the same difference as the one before."""
    settled: int | None = None
    """Difference after which a run found nothing to fetch: contents that stay different, such as
    those of an origin over its limits."""
    fresh: bool = True
    idle: int = 0
    """Runs in a row that fetched nothing."""
    not_before: float = float("-inf")
    comparison: Comparison | None = None


class Sync:
    """The synchronisation of one map. ``applied`` hears of every change that came from others."""

    def __init__(self, table: ReplicatedMap, outlet: Outlet, applied: OnApplied) -> None:
        self.table = table
        self.outlet = outlet
        self._applied = applied
        self._server = Server(table, outlet)
        self._peers: dict[str, _Peer] = {}
        self._claimed: dict[str, str] = {}
        self._reachable_at: dict[str, float] = {}
        self._started: float | None = None
        self._tag = 0
        self._source = ""
        """From whom something was fetched last."""

    # What the feature calls

    def push(self, keys: Iterable[bytes], now: float, extra: Any = None) -> SendResult:
        """Send this node's records of ``keys`` to everybody; ``extra`` (a msgpack value) goes along.

        Records that others wrote are left out. What does not get through is found by comparing.
        """
        result = SendResult.UNREACHABLE
        for part in self._parts(keys, now):
            result = self.outlet.broadcast(("put", part, extra), now)
        return result

    def receive(self, sender: str, body: Any, now: float, wall: float) -> None:
        """Take a message of a peer; raises RemoteError for what makes no sense."""
        match body:
            case ("put", records, extra):
                self._take(sender, checked_records(records), extra, now, wall)
            case ("report", data):
                # Seldom, so one that differs is enough: what was on its way has come.
                self._reported(sender, data, now, reports=2)
            case ("ask" | "digests" | "pull", *_):
                self._server.answer(sender, body, now)
            case ("origins" | "digest" | "chunk" | "busy", int(), *_):
                peer = self._peers.get(sender)
                if peer is None or peer.comparison is None:
                    self.table.counters["late_answer"] += 1
                    return
                peer.comparison.receive(body, now, wall)
                self._finish(sender, peer, now)
            case _:
                raise RemoteError("garbled_sync", "unknown message")

    def report(self, now: float) -> bytes:
        """Return the report for pings: digest of all, number of records, digest of our own."""
        table = self.table
        return report(table.digest(now), len(table), table.digest_of(table.node))

    def agrees(self, data: Any, now: float) -> bool:
        """Whether a report is that of a map with the same contents; raises RemoteError."""
        return read_report(data)[:2] == (self.table.digest(now), len(self.table))

    def reported(self, sender: str, data: Any, now: float) -> None:
        """Take a neighbour's report from a ping; raises RemoteError for what makes no sense."""
        self._reported(sender, data, now)
        if sender in self._peers:
            self._peers[sender].pinged = now

    def _reported(self, sender: str, data: Any, now: float, *, reports: int = 1) -> None:
        digest, records, own = read_report(data)
        if not self.outlet.reachable(sender):
            return
        peer = self._peers.setdefault(sender, _Peer())
        peer.digest, peer.records = digest, records
        peer.own_differs = own_differs(self.table, sender, own, now)
        difference = digest ^ self.table.digest(now)
        if not difference:
            peer.equal_at = now
            peer.differs = peer.idle = peer.steady = 0
            peer.fresh = False
            peer.settled = None
            return
        peer.differs += reports
        peer.steady = peer.steady + 1 if difference == peer.difference else 0
        peer.difference = difference
        if peer.settled != difference:
            self._compare(sender, peer, now)

    def tick(self, now: float) -> None:
        """Do what is due; about twice a second."""
        self._notice(self.outlet.members(), now)
        for name, peer in self._peers.items():
            if peer.comparison:
                peer.comparison.tick(now)
                self._finish(name, peer, now)
            if now - max(peer.pinged, peer.told) >= SILENCE:
                peer.told = now
                self.outlet.send(name, ("report", self.report(now)), now)

    # What comparisons call

    def next_tag(self) -> int:
        """Return a number that no other open request has."""
        self._tag += 1
        return self._tag

    def may_speak(self, peer: str, origin: str, now: float) -> bool:
        """Whether records of an origin are taken from a peer."""
        if origin in (peer, self.table.node):
            return True
        if self._started is None or self.outlet.reachable(origin) or not self.outlet.knows(origin):
            # Names that were never members are free to invent, each with a budget of its own.
            return False
        return now - self._reachable_at.get(origin, self._started) >= OUT_OF_REACH

    def claim(self, peer: str, origin: str) -> bool:
        """Reserve an origin for a peer's comparison; False if another one is at it."""
        return self._claimed.setdefault(origin, peer) == peer

    def release(self, peer: str) -> None:
        """Give back what a peer's comparison has reserved."""
        self._claimed = {origin: name for origin, name in self._claimed.items() if name != peer}

    def take(self, origin: str, records: tuple[Any, ...], now: float, wall: float) -> int:
        """Merge records; returns how many changed something."""
        return self._take(origin, records, None, now, wall)

    # Display

    def state(self, now: float) -> str:
        """Return ``not synced``, ``pending``, ``in progress`` with percents, or ``synced``."""
        return str(self.sync_state(now))

    def sync_state(self, now: float) -> SyncState:
        """Tell how far contents are those of the others, and from whom they come."""
        running = {name: peer.comparison for name, peer in self._peers.items() if peer.comparison}
        fetching = {name: run.progress() for name, run in running.items() if run.wanted}
        if fetching:
            percent = round(100 * sum(fetching.values()) / len(fetching))
            return SyncState(SyncWord.IN_PROGRESS, percent, ", ".join(fetching))
        if not self._peers:
            return SyncState(SyncWord.NOT_SYNCED, 0, self._source)
        if all(self._equal(peer, now) for peer in self._peers.values()):
            return SyncState(SyncWord.SYNCED, 100, self._source)
        return SyncState(SyncWord.PENDING, 0, self._source)

    def status(self, now: float) -> dict[str, Any]:
        """Return what operators want to know; ages in seconds, digests as 16 hexadecimal digits."""
        table = self.table
        return {
            "map": table.name,
            "state": self.state(now),
            "records": len(table),
            "tombstones": sum(account.tombstones for account in table.accounts()),
            "digest": f"{table.digest(now):016x}",
            "origins": {
                account.name: {
                    "records": account.records,
                    "tombstones": account.tombstones,
                    "digest": f"{account.digest:016x}",
                    "left_out": account.over(now),
                }
                for account in table.accounts()
            },
            "peers": {
                name: {
                    "equal": peer.digest == table.digest(now),
                    "equal_age": None if peer.equal_at is None else round(now - peer.equal_at, 1),
                    "records": peer.records,
                }
                for name, peer in self._peers.items()
            },
            "counters": dict(table.counters),
        }

    # Inside

    def _parts(self, keys: Iterable[bytes], now: float) -> Iterator[list[Record]]:
        """Yield this node's records of keys in parts that fit a message."""
        part: list[Record] = []
        size = 0
        for key in keys:
            held = self.table.get(key)
            record = self.table.record(key, now)
            if record is None or held is None or held.origin != self.table.node:
                continue
            part.append(record)
            size += record_size(record)
            if len(part) >= CHUNK_RECORDS or size >= CHUNK_BYTES:
                yield part
                part, size = [], 0
        if part:
            yield part

    def _take(self, origin: str, records: tuple[Any, ...], extra: Any, now: float, wall: float) -> int:
        applied = self.table.merge_many(origin, records, now, wall)
        if applied or extra is not None:
            self._applied(origin, applied, extra, now, wall)
        answers = self.table.take_answers()
        if answers:
            self.push(answers, now)
        return len(applied)

    def _notice(self, members: tuple[str, ...], now: float) -> None:
        """Begin with peers that have come, end with those that have gone."""
        if self._started is None:
            self._started = now
        for name in members:
            self._reachable_at[name] = now
            self._peers.setdefault(name, _Peer())
        for name in set(self._peers).difference(members):
            peer = self._peers.pop(name)
            if peer.comparison:
                peer.comparison.stop("gone")
        if len(self._reachable_at) > 2 * len(members) + self.table.limits.origins:
            self._reachable_at = dict.fromkeys(members, now)
        self._server.forget(set(members))

    def _compare(self, name: str, peer: _Peer, now: float) -> None:
        running = sum(other.comparison is not None for other in self._peers.values())
        steady = peer.steady >= STEADY
        if peer.comparison or running >= MAX_RUNS or (now < peer.not_before and not steady):
            return
        whole = len(self._peers) <= SMALL or not peer.own_differs
        if whole and not asks_for_all(self.table.node, name, len(self._peers), now):
            return
        if peer.fresh or peer.differs > 1:
            thorough = peer.fresh or steady or peer.idle >= POSTPONED_RUNS
            run = Run(peer.idle > 0, thorough, difference=peer.difference)
            peer.comparison = Comparison(self, name, run)
            peer.comparison.start(now, whole=whole)

    def _finish(self, name: str, peer: _Peer, now: float) -> None:
        """Draw the conclusions of a run that has ended: when the next one is worth while."""
        if peer.comparison is None or not peer.comparison.done:
            return
        run, peer.comparison = peer.comparison.run, None
        peer.settled = None
        peer.differs = peer.steady = 0
        if run.failed:
            self.table.counters[f"sync_{run.failed}"] += 1
            peer.not_before = now + PATIENCE
        elif run.applied:
            peer.idle, self._source = 0, name
            peer.fresh = False
        else:
            peer.fresh = False
            peer.not_before = now + min(PATIENCE * 2**peer.idle, MOST_PATIENCE)
            peer.idle += 1
            if not run.postponed:
                peer.settled = run.difference

    def _equal(self, peer: _Peer, now: float) -> bool:
        """Whether a peer's contents are those of this node, or as near as they can be."""
        difference = None if peer.digest is None else peer.digest ^ self.table.digest(now)
        return difference is not None and difference in (0, peer.settled)
