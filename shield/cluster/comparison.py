"""Comparison: one run of finding out what a peer has that this node has not, and of fetching it.

Who wants something asks; the answers are made by ``serving.py``. First the digests of all origins; for
each that differs, and that the peer may speak for, those of groups of buckets, of buckets, then the
records of the buckets that differ, in two lanes at once. A run that breaks off is simply run again:
what has come is equal by then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from shield.cluster.account import GROUP_SIZE, Account
from shield.cluster.capability import Outlet
from shield.cluster.chunks import pack_buckets, unpack_digests, unpack_records
from shield.cluster.entry import BUCKETS, SEAL_LIMIT
from shield.cluster.replicated import ReplicatedMap
from shield.errors import RemoteError

__all__ = ["Comparison", "Host", "Run"]

TIMEOUT = 5.0
"""Seconds until a request is made again: a chunk takes milliseconds, on a slow line a second or two."""

PAUSE = 0.3
"""Seconds until a peer is asked again that had too many requests at once."""

TRIES = 4
"""Times a request is made before the run is given up."""

LANES = 2
"""Chunks on their way at once: the peer packs one while this node merges the other."""

MAX_CHUNKS = 5000
"""Chunks of one lane: more than one for each bucket come only from a peer that wants to keep us busy."""

MAX_ORIGINS = 2048
"""Origins in a peer's answer; twice as many as a map takes."""

BEHIND = 2
"""A peer with fewer than one record for two of ours of a third origin is itself still fetching them."""


class Host(Protocol):
    """What a comparison needs of the sync that runs it."""

    table: ReplicatedMap
    outlet: Outlet

    def next_tag(self) -> int:
        """Return a number that no other open request has."""
        ...

    def may_speak(self, peer: str, origin: str, now: float) -> bool:
        """Whether records of an origin are taken from a peer."""
        ...

    def claim(self, peer: str, origin: str) -> bool:
        """Reserve an origin: nobody else is asked for it meanwhile; False if somebody is."""
        ...

    def release(self, peer: str) -> None:
        """Give back all that a peer's comparison has reserved."""
        ...

    def take(self, origin: str, records: tuple[Any, ...], now: float, wall: float) -> int:
        """Merge records; returns how many changed something."""
        ...


@dataclass(slots=True)
class Run:
    """Why a comparison is made, and what came of it."""

    steady: bool
    """The last run found nothing: also a peer that seems to be behind is asked."""
    thorough: bool
    """Also what seldom helps: records of our own name, which we lack only after a restart with an old
    journal, and buckets whose difference may come from an end."""
    applied: int = 0
    postponed: bool = False
    """Something could not be compared yet."""
    difference: int = 0
    """XOR of both digests when the peer was asked."""
    failed: str = ""


@dataclass(slots=True)
class _Lane:
    buckets: list[int]
    packed: bytes
    bucket: int = 0
    key: bytes = b""
    chunks: int = 0

    def left(self) -> int:
        return sum(number >= self.bucket for number in self.buckets)


@dataclass(slots=True)
class _Request:
    answer: str
    body: tuple[Any, ...]
    deadline: float
    lane: _Lane | None = None
    groups: list[int] | None = None
    tries: int = 1


@dataclass(slots=True)
class Comparison:
    """The run of one peer; ``done`` when nothing more will come of it."""

    host: Host
    peer: str
    run: Run
    done: bool = False
    origin: str = ""
    wanted: int = 0
    """Buckets of the present origin to fetch."""
    _todo: list[tuple[str, int]] = field(default_factory=list)
    _requests: dict[int, _Request] = field(default_factory=dict)
    _found: list[int] = field(default_factory=list)

    def start(self, now: float, *, whole: bool = True) -> None:
        """Ask for the digests of all origins; without ``whole`` compare the peer's own records only."""
        if whole:
            self._ask("origins", "ask", (), now)
            return
        ours = self.host.table.account(self.peer)
        self._todo.append((self.peer, 0 if ours is None else ours.records))
        self._next_origin(now)

    def progress(self) -> float:
        """Return the part of the present origin's buckets that has been fetched, 0 to 1."""
        lanes = [request.lane for request in self._requests.values() if request.lane]
        return 1 - sum(lane.left() for lane in lanes) / self.wanted if self.wanted else 0.0

    def receive(self, body: tuple[Any, ...], now: float, wall: float) -> None:
        """Take an answer; raises RemoteError, and is done, if it makes no sense.

        One to no open request is counted only: it was repeated, or came after we had asked again.
        """
        request = self._requests.get(body[1])
        if request is None or body[0] not in (request.answer, "busy"):
            self.host.table.counters["late_answer"] += 1
            return
        if body[0] == "busy":
            request.deadline = min(request.deadline, now + PAUSE)
            return
        del self._requests[body[1]]
        try:
            self._answered(request, body, now, wall)
        except RemoteError as error:
            self.stop(error.reason)
            raise

    def tick(self, now: float) -> None:
        """Make requests again that were not answered, or give up."""
        for request in list(self._requests.values()):
            if now >= request.deadline:
                request.tries += 1
                if request.tries > TRIES:
                    self.stop("timeout")
                    return
                self._send(request, now)

    def stop(self, why: str = "") -> None:
        """End the run; ``why`` tells what failed."""
        self.run.failed = why
        self.done = True
        self._requests.clear()
        self.host.release(self.peer)

    def _answered(self, request: _Request, body: tuple[Any, ...], now: float, wall: float) -> None:
        match body:
            case ("origins", _, tuple() as origins):
                self._choose(origins, now)
                self._next_origin(now)
            case ("digest", _, tuple() as digests):
                self._compare(request, digests, now)
            case ("chunk", _, packed, None | int() as bucket, bytes(key)) if request.lane:
                self._fetched(request.lane, packed, (bucket, key), now, wall)
            case _:
                raise RemoteError("garbled_sync", f"not an answer {request.answer}")

    # Origins

    def _choose(self, origins: tuple[Any, ...], now: float) -> None:
        """Note which origins to look at: those that differ and that this peer may speak for."""
        table = self.host.table
        theirs = 0
        if len(origins) > MAX_ORIGINS:
            raise RemoteError("garbled_sync", f"{len(origins)} origins")
        for item in origins:
            match item:
                case (str(origin), int(digest), int(records), int(top)) if 0 <= digest < SEAL_LIMIT:
                    theirs ^= digest
                case _:
                    raise RemoteError("garbled_sync", "not the digest of an origin")
            ours = table.account(origin)
            if (
                digest == table.digest_of(origin)
                or table.is_forgotten(origin)
                or (ours and ours.over(now))
            ):
                continue
            if self._worth(origin, records, top, ours, now):
                self._todo.append((origin, 0 if ours is None else ours.records))
        self.run.difference = theirs ^ table.digest(now)

    def _worth(self, origin: str, records: int, top: int, ours: Account | None, now: float) -> bool:
        """Whether the peer may have something of this origin that we have not."""
        held = 0 if ours is None else ours.records
        if not records:
            return False
        if origin == self.host.table.node:
            return self.run.thorough or ours is None or records > held or top > ours.top
        if not self.host.may_speak(self.peer, origin, now):
            # Perhaps soon: an origin out of reach is asked for itself for a while.
            outlet = self.host.outlet
            self.run.postponed |= outlet.knows(origin) and not outlet.reachable(origin)
            return False
        if origin != self.peer and records * BEHIND < held and not self.run.steady:
            self.run.postponed = True
            return False
        return True

    def _next_origin(self, now: float) -> None:
        self.host.release(self.peer)
        self.wanted = 0
        while self._todo:
            self.origin, held = self._todo.pop()
            if not self.host.claim(self.peer, self.origin):
                self.run.postponed = True
            elif held:
                self._found = []
                self._ask("digest", "digests", (self.origin, None), now)
                return
            else:
                self._fetch(list(range(BUCKETS)), now)
                return
        self.stop()

    # Buckets

    def _compare(self, request: _Request, digests: tuple[Any, ...], now: float) -> None:
        account, groups = self.host.table.account(self.origin), request.groups
        if len(digests) != (1 if groups is None else len(groups)):
            raise RemoteError("garbled_sync", "not as many digests as asked for")
        if account is None:  # forgotten meanwhile
            self._next_origin(now)
        elif groups is None:
            ours = account.group_digests()
            differ = [
                number
                for number, digest in enumerate(unpack_digests(digests[0]))
                if digest != ours[number]
            ]
            self._ask("digest", "digests", (self.origin, tuple(differ)), now, groups=differ)
        else:
            for group, packed in zip(groups, digests, strict=True):
                for number, digest in enumerate(unpack_digests(packed), group * GROUP_SIZE):
                    if digest and digest != account.digests[number]:
                        self._found.append(number)
            self._fetch(self._settled(self._found, now), now)

    def _settled(self, buckets: list[int], now: float) -> list[int]:
        """Leave out buckets that may become equal without us, unless that was done before."""
        if self.run.thorough:
            return buckets
        settled = [
            number for number in buckets if not self.host.table.flickers(self.origin, number, now)
        ]
        self.run.postponed |= len(settled) < len(buckets)
        return settled

    # Records

    def _fetch(self, buckets: list[int], now: float) -> None:
        self.wanted = len(buckets)
        share = -(-len(buckets) // LANES)
        for first in range(0, len(buckets), share or 1):
            part = buckets[first : first + share]
            self._pull(_Lane(part, pack_buckets(part)), now)
        if not buckets:
            self._next_origin(now)

    def _pull(self, lane: _Lane, now: float) -> None:
        self._ask("chunk", "pull", (self.origin, lane.packed, lane.bucket, lane.key), now, lane=lane)

    def _fetched(
        self, lane: _Lane, packed: Any, cursor: tuple[int | None, bytes], now: float, wall: float
    ) -> None:
        lane.chunks += 1
        if not self.host.may_speak(self.peer, self.origin, now):
            self.host.table.counters["not_its_origin"] += 1  # which has come back: it speaks for itself
            self._requests.clear()
            self._next_origin(now)
            return
        records = unpack_records(packed)
        bucket, key = cursor
        if bucket is not None:  # ask for more before merging: the peer packs meanwhile
            if (bucket, key) <= (lane.bucket, lane.key) or bucket >= BUCKETS or lane.chunks > MAX_CHUNKS:
                raise RemoteError("garbled_sync", "a chunk that leads nowhere")
            lane.bucket, lane.key = bucket, key
            self._pull(lane, now)
        self.run.applied += self.host.take(self.origin, records, now, wall)
        if not self._requests:
            self._next_origin(now)

    # Requests

    def _ask(
        self,
        answer: str,
        question: str,
        fields: tuple[Any, ...],
        now: float,
        *,
        lane: _Lane | None = None,
        groups: list[int] | None = None,
    ) -> None:
        tag = self.host.next_tag()
        request = self._requests[tag] = _Request(answer, (question, tag, *fields), now, lane, groups)
        self._send(request, now)

    def _send(self, request: _Request, now: float) -> None:
        request.deadline = now + TIMEOUT
        self.host.outlet.send(self.peer, request.body, now)
