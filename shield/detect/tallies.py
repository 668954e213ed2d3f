"""Tallies: what each node of a cluster counted of one source for one rule, below the rule's limit.

A tally holds things (users, Call-IDs, single messages) as keyed hashes with their times, so tallies of
different nodes can be put together: the union says how many different things there were in all. What a
node counted itself also knows what the others have not been told yet.

Nothing here outlives its rule's window; every table is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

from shield.detect.window import Window
from shield.sip.event import SipEvent
from shield.sip.recent import RecentMap

__all__ = ["MAX_THINGS", "Aim", "OwnTally", "Part", "Tallies", "Thing", "Told", "hashed", "things"]

MAX_OWN = 8_192
"""Aims that this node tells about: each has the last message in it, 2 kB or so."""
MAX_OF_NODE = 2_048
"""Aims of one other node; a scan of a thousand sources fits, a node gone mad costs some megabytes."""
MAX_THINGS = 64
"""Things of one tally: the limits of rules about behaviour are below that."""
MAX_PARTS = 256
"""Tallies of one aim and node: sources that attack one account, servers that one source asks."""
KEEP_TIME = 43_200.0
"""Seconds that a silent aim is remembered at least; the longest windows are a day."""
MAX_UNTOLD_GONE = 64
"""Things taken back that one tally remembers until they are told."""
REPEAT_SHARE = 0.25
"""The same thing again is told again after this part of the rule's window."""


class Aim(NamedTuple):
    """What is counted together: by one source, or by many sources with one target."""

    rule: str
    target: int
    """Hash of what else the rule counts by; 0 for nothing."""
    client: bytes
    """Packed address of a rule that counts by client, else empty."""


class Part(NamedTuple):
    """Which tally of an aim."""

    client: bytes
    server: int
    """Hash of the server that was asked, of a rule that counts for each by itself; else 0."""


class Thing(NamedTuple):
    """One thing that was counted."""

    key: int
    time: float
    """Event time, seconds since the epoch."""
    proven: bool
    """It proves the address of its source."""


class Told(NamedTuple):
    """What another node tells of one tally, as far as it is new."""

    rule: str
    target: int
    part: Part
    things: list[Thing]
    gone: list[int]
    """Keys of things that turned out well."""


class OwnTally:
    """What this node counted."""

    __slots__ = ("event", "gone", "untold", "window")

    def __init__(self) -> None:
        self.window = Window()
        self.event: SipEvent | None = None
        """The last message counted."""
        self.untold: list[Thing] = []
        self.gone: list[int] = []


def hashed(key: bytes, parts: Iterable[bytes]) -> int:
    """64 bits of a keyed hash over some values; equal on all nodes with the same key."""
    digest = blake2b(digest_size=8, key=key)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return int.from_bytes(digest.digest(), "big", signed=True)


class Tallies:
    """All tallies, of this node and of the others."""

    def __init__(self) -> None:
        self.own: RecentMap[Aim, dict[Part, OwnTally]] = RecentMap(MAX_OWN, KEEP_TIME)
        self.by_client: RecentMap[bytes, set[Aim]] = RecentMap(MAX_OWN, KEEP_TIME)
        """Aims in which a source takes part here."""
        self.others: dict[str, RecentMap[Aim, dict[Part, Window]]] = {}
        self.dirty: dict[tuple[Aim, Part], None] = {}
        """Own tallies with something untold."""

    def count(self, aim: Aim, part: Part, thing: Thing, event: SipEvent, find_time: float) -> None:
        """Count a thing of this node."""
        parts = self.own.get(aim) or {}
        self.own.put(aim, parts)
        tally = parts.get(part)
        if tally is None:
            if len(parts) >= MAX_PARTS:
                return
            tally = parts[part] = OwnTally()
        aims = self.by_client.get(part.client) or set()
        aims.add(aim)
        self.by_client.put(part.client, aims)
        told = _is_told(tally, thing, find_time * REPEAT_SHARE)
        tally.window.add(
            thing.key, thing.time, proven=thing.proven, limit=MAX_THINGS, find_time=find_time
        )
        tally.event = event
        if told:
            return
        tally.untold = [*(t for t in tally.untold if t.key != thing.key), thing][-MAX_THINGS:]
        if len(self.dirty) < MAX_OWN:
            self.dirty[aim, part] = None

    def take_back(self, aim: Aim, part: Part, key: int) -> None:
        """A thing of this node turned out well."""
        tally = (self.own.get(aim) or {}).get(part)
        if tally is None:
            return
        tally.window.forgive(key)
        known = len(tally.untold)
        tally.untold = [thing for thing in tally.untold if thing.key != key]
        if known == len(tally.untold) and len(tally.gone) < MAX_UNTOLD_GONE:
            tally.gone.append(key)
            self.dirty[aim, part] = None

    def tell_again(self) -> None:
        """Let everything be told once more: somebody has come who knows nothing of it."""
        for aims in (self.own.old, self.own.young):
            for aim, parts in aims.items():
                for part, tally in parts.items():
                    tally.untold = list(things(tally.window))
                    if tally.untold:
                        self.dirty[aim, part] = None

    def hear(self, node: str, aim: Aim, told: Told) -> bool:
        """Take what another node counted, and took back; False when there is no room for it."""
        aims = self.others.get(node)
        if aims is None:
            aims = self.others[node] = RecentMap(MAX_OF_NODE, KEEP_TIME)
        parts = aims.get(aim) or {}
        window = parts.get(told.part)
        if window is None:
            if len(parts) >= MAX_PARTS:
                return False
            window = parts[told.part] = Window()
        for key in told.gone:
            window.forgive(key)
        for key, time, proven in told.things:
            window.add(key, time, proven=proven, limit=MAX_THINGS, find_time=KEEP_TIME)
        aims.put(aim, parts)
        return True

    def of(self, aim: Aim) -> Iterator[tuple[str, Part, Window]]:
        """All tallies of an aim with the node that counted, the own ones under the empty name."""
        for part, own in (self.own.get(aim) or {}).items():
            yield "", part, own.window
        for node, aims in self.others.items():
            for part, window in (aims.get(aim) or {}).items():
                yield node, part, window

    def total(self, aim: Aim) -> int:
        """Things of an aim at all nodes, the same ones counted again; 0 when this node has none."""
        own = self.own.get(aim)
        if not own:
            return 0
        count = sum(tally.window.kept for tally in own.values())
        for aims in self.others.values():
            parts = aims.get(aim)
            if parts:
                count += sum(window.kept for window in parts.values())
        return count

    def forget(self, node: str) -> None:
        """Drop what a node told."""
        self.others.pop(node, None)

    def tick(self, time: float) -> None:
        """Let event time pass."""
        self.own.tick(time)
        self.by_client.tick(time)
        for aims in self.others.values():
            aims.tick(time)


def _is_told(tally: OwnTally, thing: Thing, within: float) -> bool:
    """Whether the others know of the same thing, as good as this one, from a moment ago."""
    if any(untold.key == thing.key for untold in tally.untold):
        return False
    return any(
        key == thing.key and proven >= thing.proven and thing.time - time < within
        for key, time, proven in tally.window.entries()
    )


def things(window: Window) -> Iterator[Thing]:
    """What a window holds, the oldest first."""
    return (Thing(*entry) for entry in window.entries())
