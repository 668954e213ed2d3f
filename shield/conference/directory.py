"""ConferenceDirectory: which node hosts which conference, in one replica that all nodes hold.

The first node at which a call to a conference's number is answered claims it. Its claim lasts a minute
and is renewed while calls are on, so that it ends by itself when the node dies; while the node cannot
be reached it does not count. Where two nodes began at the same moment, or in two halves of a cluster,
the claim that began first counts (then the name that comes first); the other node hears of it and gives
way. Calls that it answered meanwhile stay with it, *apart*; if the host ends while they are on, it
claims again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shield.cluster.entry import Entry, Limits
from shield.cluster.replica import Replica
from shield.conference.claim import Claim, Word, pack_claim, read_claim
from shield.conference.settings import MAX_NUMBER, ConferenceSettings
from shield.errors import RemoteError
from shield.net import unpack
from shield.sip.calls import Call

__all__ = ["CAPABILITY", "Conference", "ConferenceDirectory", "conference_limits"]

CAPABILITY = "conference"

CLAIM_TIME = 60.0
"""Seconds that a claim lasts when nobody renews it."""
RENEW_TIME = 20.0
"""So often it is renewed: two may be lost."""
OVER_TIME = 2 * CLAIM_TIME
"""Seconds that an end is remembered: longer than any claim that it ends."""
MAX_CLAIMS = 1_000
"""Conferences that one node hosts at once."""

Key = tuple[bytes, bytes]


class Conference(NamedTuple):
    """One conference that is on."""

    number: bytes
    node: str
    """Its host."""
    claim: Claim
    apart: int
    """Calls to it that this node carries although another one is the host."""

    def as_json(self) -> dict[str, Any]:
        """The one shape in which a conference is shown everywhere."""
        return {
            "number": self.number.decode("utf-8", "backslashreplace"),
            "node": self.node,
            "server": self.claim.server,
            "transport": self.claim.transport,
            "since": round(self.claim.since, 3),
            "calls": self.claim.calls,
            "apart": self.apart,
        }


@dataclass(slots=True)
class ConferenceStats:
    """What the directory did."""

    claimed: int = 0
    ended: int = 0
    lost: int = 0
    """Claims that gave way to the one of another node."""
    released: int = 0
    passed: int = 0
    """Calls that were answered here while another node was the host: passed on to it."""
    full: int = 0
    """Conferences for which there was no room."""
    unreadable: int = 0
    """Records of other nodes that could not be read."""


@dataclass(slots=True)
class _Own:
    """A conference with calls at this node."""

    server: str
    transport: str
    since: float
    renew: float = 0.0
    """Node time of the next renewal."""
    calls: set[Key] = field(default_factory=set)


def conference_limits() -> Limits:
    """What one node, and all of them, may have in the replica: claims, and ends that are remembered."""
    return Limits(
        per_origin=4 * MAX_CLAIMS,
        bytes_per_origin=4 * MAX_CLAIMS * 500,
        total=64 * MAX_CLAIMS,
        max_key=MAX_NUMBER,
        max_value=512,
        max_lifetime=OVER_TIME,
    )


class ConferenceDirectory:
    """See the module's docstring. ``advertise``: where others reach our server, unless settings say."""

    def __init__(
        self, settings: ConferenceSettings, replica: Replica, node: str, *, advertise: str = ""
    ) -> None:
        self.settings = settings
        self.replica = replica
        self.node = node
        self.stats = ConferenceStats()
        self.on_event: Callable[[str, str], None] = lambda _kind, _text: None
        """Called with ``conference`` or ``warning`` and a text."""
        self._advertise = settings.advertise or advertise
        self._own: dict[bytes, _Own] = {}
        replica.on_change = self._changed

    # --- what this node sees ----------------------------------------------------------------

    def changed(self, call: Call, now: float) -> None:
        """Follow calls: one rings, is answered or is over. Unanswered ones count nothing."""
        if not call.answered:
            return
        number = call.called
        if call.ended:
            self._over(number, (call.call_id, call.tag), now)
        elif self.settings.matches(number):
            self._answered(number, call, now)

    def _answered(self, number: bytes, call: Call, now: float) -> None:
        host = self.find(number, now)
        if host is not None and host.node != self.node:
            self.stats.passed += 1
            return
        own = self._own.get(number)
        if own is None:
            if len(self._own) >= MAX_CLAIMS:
                self.stats.full += 1
                return
            transport = call.transport.name.lower()
            own = self._own[number] = _Own(self._server(call), transport, call.answered)
        own.calls.add((call.call_id, call.tag))
        if host is None:
            self._claim(number, own, now)
        else:
            self._write(number, own, now)

    def _over(self, number: bytes, key: Key, now: float) -> None:
        own = self._own.get(number)
        if own is None or key not in own.calls:
            return
        own.calls.discard(key)
        host = self.find(number, now)
        ours = host is not None and host.node == self.node
        if own.calls:
            if ours:
                self._write(number, own, now)
            return
        del self._own[number]
        if ours:
            self.stats.ended += 1
            self._put(number, Claim(Word.ENDED), OVER_TIME, now)
            self._tell(number, "is over")

    def _server(self, call: Call) -> str:
        host = unpack(call.server)
        if self._advertise:
            return self._advertise
        return f"[{host}]:{call.server_port}" if ":" in host else f"{host}:{call.server_port}"

    # --- claims -----------------------------------------------------------------------------

    def _claim(self, number: bytes, own: _Own, now: float) -> None:
        """Become the host, and say so at once."""
        if self._write(number, own, now):
            self.stats.claimed += 1
            self.replica.flush(now)
            self._tell(number, f"runs at {own.server}")

    def _write(self, number: bytes, own: _Own, now: float) -> bool:
        own.renew = now + RENEW_TIME
        claim = Claim(Word.HELD, own.server, own.transport, own.since, len(own.calls))
        return self._put(number, claim, CLAIM_TIME, now)

    def _put(self, number: bytes, claim: Claim, lifetime: float, now: float) -> bool:
        if self.replica.put(number, pack_claim(claim), lifetime, now) is None:
            self.stats.full += 1
            return False
        return True

    def tick(self, now: float) -> None:
        """Let time pass: renew claims; take over where calls are on and no host is left."""
        for number, own in list(self._own.items()):
            host = self.find(number, now)
            if host is None:
                self._claim(number, own, now)
            elif host.node == self.node and now >= own.renew:
                self._write(number, own, now)

    def release(self, number: bytes, now: float) -> Conference | None:
        """Take a conference away from its host; the next answered call claims it anew. None: not on."""
        found = self.find(number, now)
        if found is None:
            return None
        self._own.pop(number, None)
        self._put(number, Claim(Word.RELEASED), OVER_TIME, now)
        self.replica.flush(now)
        self.stats.released += 1
        self._tell(number, f"was taken from {found.node} by an operator")
        return found

    def _changed(self, number: bytes, entry: Entry, before: Entry | None, now: float) -> None:
        """Another node has written: our own claim may have to give way, or come again."""
        own = self._own.get(number)
        claim = self._read(entry)
        if own is None or claim is None or entry.origin == self.node:
            return
        if claim.word is Word.RELEASED:
            del self._own[number]
        elif claim.word is Word.HELD and before is not None and before.origin == self.node:
            if (own.since, self.node) < (claim.since, entry.origin):
                self._write(number, own, now)
                self.replica.flush(now)
                return
            self.stats.lost += 1
            text = f"conference {_shown(number)} began at {entry.origin} too and stays there; "
            self.on_event("warning", text + f"calls apart from it here: {len(own.calls)}")

    # --- questions --------------------------------------------------------------------------

    def find(self, number: bytes, now: float) -> Conference | None:
        """The conference with this number, if it is on at a node that can be reached."""
        entry = self.replica.records.live(number, now)
        claim = None if entry is None else self._read(entry)
        if entry is None or claim is None or claim.word is not Word.HELD:
            return None
        own = self._own.get(number)
        if entry.origin == self.node:
            return Conference(number, self.node, claim, 0)
        outlet = self.replica.outlet
        if outlet is None or not outlet.reachable(entry.origin):
            return None
        return Conference(number, entry.origin, claim, 0 if own is None else len(own.calls))

    def conferences(self, now: float) -> Iterator[Conference]:
        """All that are on."""
        for number, _ in list(self.replica.records.entries(now)):
            found = self.find(number, now)
            if found is not None:
                yield found

    def apart(self, now: float) -> list[Conference]:
        """Conferences at other nodes of which calls are here."""
        found = (self.find(number, now) for number in list(self._own))
        return [one for one in found if one is not None and one.apart]

    def as_json(self, now: float) -> dict[str, Any]:
        """Totals and counters."""
        stats = self.stats
        return {
            "on": sum(1 for _ in self.conferences(now)),
            "claimed": stats.claimed,
            "ended": stats.ended,
            "lost": stats.lost,
            "released": stats.released,
            "passed": stats.passed,
            "full": stats.full,
            "unreadable": stats.unreadable,
        }

    def _read(self, entry: Entry) -> Claim | None:
        if entry.value is None:
            return None
        try:
            return read_claim(entry.value)
        except RemoteError:
            self.stats.unreadable += 1
            return None

    def _tell(self, number: bytes, text: str) -> None:
        self.on_event("conference", f"conference {_shown(number)} {text}")


def _shown(number: bytes) -> str:
    return number.decode("utf-8", "backslashreplace")
