"""Pooling: the evidence of all nodes as a capability of the cluster.

Three kinds of messages, told to everybody:

- ``("key", stamp, secret)``: the secret under which users and numbers are hashed. The oldest one
  wins, so all nodes come to agree; it lives as long as one node of the cluster runs.
- ``("seen", mark, rules)``: what was counted since it was last told; ``mark`` tells by which secret it
  is hashed. ``rules`` is an array of (rule, tallies), a tally is (target, client, server, things, gone).
- ``("good", clients)``: sources that earned trust at the sender.

A node tells at most ``evidence.rate`` octets a second, the most suspicious sources first; a node that
tells more is not listened to. What is lost on the way is not told again: evidence is worth something for
minutes only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shield.cluster.capability import Incoming, Outlet
from shield.cluster.member import Member, MemberState
from shield.detect.alert import Alert
from shield.detect.pool import Pool
from shield.detect.pooling_messages import (
    MAX_TALLIES,
    key_mark,
    octets,
    pack_tally,
    read_clients,
    read_rules,
)
from shield.detect.settings import EvidenceSettings
from shield.detect.tallies import Aim, OwnTally, Part
from shield.errors import RemoteError
from shield.sip.recent import RecentMap

__all__ = ["Pooling", "PoolingStats"]

TICK = 0.5
"""Seconds between two calls of ``tick``."""
BURST = 4.0
"""Seconds of ``rate`` that may be told at once after silence."""
TOLERANCE = 2.0
"""A node may tell this many times our own ``rate``: its clock and its settings are not ours."""
MESSAGE_OCTETS = 65_536
"""Of one message; others must have their turn."""
MAX_WAITING_GOOD = 10_000
GOOD_AT_ONCE = 1_000
"""Sources in one message."""
GOOD_SECONDS = 600.0
"""Once in this time the others are told that a source is good."""
MAX_GOOD_TOLD = 65_536
KEY_OCTETS = 16
CLIENT_OCTETS = 8
"""An address in a message costs this much, about."""


@dataclass(slots=True)
class PoolingStats:
    """What was told and heard."""

    tallies_told: int = 0
    octets_told: int = 0
    tallies_heard: int = 0
    things_heard: int = 0
    good_told: int = 0
    good_heard: int = 0
    alerts: int = 0
    other_key: int = 0
    """Messages hashed under another secret, while the nodes agree on one."""
    over_budget: Counter[str] = field(default_factory=Counter)
    """Tallies that were not taken, by the node that told too many."""
    full: Counter[str] = field(default_factory=Counter)
    """Tallies for which there was no room, by node."""

    def as_json(self) -> dict[str, Any]:
        """All counters."""
        return {
            "tallies_told": self.tallies_told,
            "octets_told": self.octets_told,
            "tallies_heard": self.tallies_heard,
            "things_heard": self.things_heard,
            "good_told": self.good_told,
            "good_heard": self.good_heard,
            "alerts": self.alerts,
            "other_key": self.other_key,
            "over_budget": dict(self.over_budget),
            "full": dict(self.full),
        }


class _Tokens:
    """Octets that may be told, or heard; they come back with time."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate, self.left, self._at = rate, rate * BURST, now

    def grow(self, now: float) -> float:
        self.left = min(self.rate * BURST, self.left + max(0.0, now - self._at) * self.rate)
        self._at = now
        return self.left


class Pooling:
    """See the module's docstring. ``wall`` gives event time; ``secret`` makes a new key."""

    name = "evidence"

    def __init__(
        self,
        settings: EvidenceSettings,
        pool: Pool,
        *,
        wall: Callable[[], float],
        secret: Callable[[int], bytes],
    ) -> None:
        self.settings = settings
        self.pool = pool
        self.stats = PoolingStats()
        self.on_alerts: Callable[[Sequence[Alert], float], None] = lambda _alerts, _now: None
        """Called with alerts that the counts of another node completed, and node time."""
        self._wall = wall
        self._stamp = int(wall() * 1000)
        pool.rekey(secret(KEY_OCTETS))
        pool.on_good = self._good
        self._outlet: Outlet | None = None
        self._tokens: _Tokens | None = None
        self._heard: dict[str, _Tokens] = {}
        self._good_waiting: dict[bytes, None] = {}
        self._good_told: RecentMap[bytes, float] = RecentMap(MAX_GOOD_TOLD, GOOD_SECONDS)
        self._fresh = True
        """Somebody has come who does not know the key yet."""

    @property
    def outlet(self) -> Outlet | None:
        """The way into the cluster."""
        return self._outlet

    def connect(self, outlet: Outlet, now: float) -> None:
        """Take part in a cluster."""
        self._outlet, self._tokens, self._fresh = outlet, _Tokens(self.settings.rate, now), True

    def disconnect(self) -> None:
        """Take part no more; what the others counted is dropped."""
        self._outlet = self._tokens = None
        for node in list(self.pool.tallies.others):
            self.pool.tallies.forget(node)

    def as_json(self) -> dict[str, Any]:
        """Counters, and how much is remembered."""
        tallies = self.pool.tallies
        return {
            "key": key_mark(self.pool.key).hex(),
            "own": len(tallies.own),
            "others": {node: len(aims) for node, aims in sorted(tallies.others.items())},
            "waiting": len(tallies.dirty),
            **self.stats.as_json(),
        }

    # --- telling ----------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Tell what is new, as far as the budget goes."""
        outlet, tokens = self._outlet, self._tokens
        if outlet is None or tokens is None:
            return
        if not outlet.members():
            return
        if self._fresh:
            self._fresh = False
            outlet.broadcast(("key", self._stamp, self.pool.key), now)
        tokens.grow(now)
        self._good_told.tick(now)
        if tokens.left > 0:
            self._tell_good(outlet, tokens, now)
        if tokens.left > 0 and self.pool.tallies.dirty:
            self._tell_seen(outlet, tokens, now)

    def _tell_good(self, outlet: Outlet, tokens: _Tokens, now: float) -> None:
        clients = tuple(self._good_waiting)[:GOOD_AT_ONCE]
        if not clients:
            return
        outlet.broadcast(("good", clients), now)
        for client in clients:
            del self._good_waiting[client]
            self._good_told.put(client, now)
        self.stats.good_told += len(clients)
        tokens.left -= CLIENT_OCTETS * len(clients)

    def _tell_seen(self, outlet: Outlet, tokens: _Tokens, now: float) -> None:
        wall, dirty, budget = self._wall(), self.pool.tallies.dirty, min(tokens.left, MESSAGE_OCTETS)
        rules: dict[str, list[tuple[Any, ...]]] = {}
        size = told = 0
        for aim, part, tally in self._most_suspicious()[:MAX_TALLIES]:
            size += octets(len(tally.untold), len(tally.gone))
            if told and size > budget:
                break
            told += 1
            rules.setdefault(aim.rule, []).append(pack_tally(aim, part, tally, wall))
            tally.untold, tally.gone = [], []
            del dirty[aim, part]
        if told:
            packed = tuple((name, tuple(tallies)) for name, tallies in rules.items())
            outlet.broadcast(("seen", key_mark(self.pool.key), packed), now)
            tokens.left -= size
            self.stats.tallies_told += told
            self.stats.octets_told += size

    def _most_suspicious(self) -> list[tuple[Aim, Part, OwnTally]]:
        """What waits to be told, by how much of the rule's limit it has; forgotten ones are dropped."""
        found = []
        tallies, dirty = self.pool.tallies, self.pool.tallies.dirty
        for aim, part in list(dirty):
            tally, rule = (tallies.own.get(aim) or {}).get(part), self.pool.rule(aim.rule)
            if tally is None or rule is None:
                del dirty[aim, part]
                continue
            found.append((tally.window.kept / rule.max_retry, aim, part, tally))
        found.sort(key=lambda item: -item[0])
        return [(aim, part, tally) for _, aim, part, tally in found]

    def _good(self, client: bytes) -> None:
        if self._good_told.get(client) is None and len(self._good_waiting) < MAX_WAITING_GOOD:
            self._good_waiting[client] = None

    # --- hearing ----------------------------------------------------------------------------

    def receive(self, incoming: Incoming, now: float) -> None:
        """Take a message; raises RemoteError for one that cannot be read."""
        body, sender = incoming.body, incoming.sender
        if type(body) is not tuple or len(body) < 2:
            raise RemoteError("body", "no array")
        if body[0] == "key" and len(body) >= 3:
            self._key(body[1], body[2])
        elif body[0] == "good":
            self._vouched(sender, read_clients(body[1]), now)
        elif body[0] == "seen" and len(body) >= 3:
            if body[1] == key_mark(self.pool.key):
                self._seen(sender, body[2], now)
            else:
                self.stats.other_key += 1
                self._fresh = True
        else:
            raise RemoteError("body", "neither key, seen nor good")

    def _key(self, stamp: Any, key: Any) -> None:
        if type(stamp) is not int or type(key) is not bytes or len(key) != KEY_OCTETS:
            raise RemoteError("body", "key")
        if (stamp, key) < (self._stamp, self.pool.key):
            self._stamp = stamp
            self.pool.rekey(key)
        elif (stamp, key) != (self._stamp, self.pool.key):
            self._fresh = True  # the other one does not know ours

    def _vouched(self, sender: str, clients: Sequence[bytes], now: float) -> None:
        tokens = self._tokens_of(sender, now)
        for client in clients:
            if tokens.left <= 0:
                self.stats.over_budget[sender] += 1
                continue
            tokens.left -= CLIENT_OCTETS
            self.stats.good_heard += 1
            self.pool.vouch(client, sender)

    def _seen(self, sender: str, rules: Any, now: float) -> None:
        wall, tokens, alerts = self._wall(), self._tokens_of(sender, now), list[Alert]()
        try:
            for told in read_rules(rules, wall):
                if tokens.left <= 0:
                    self.stats.over_budget[sender] += 1
                    continue
                tokens.left -= octets(len(told.things), len(told.gone))
                found = self.pool.hear(sender, told, wall)
                if found is None:
                    self.stats.full[sender] += 1
                    continue
                self.stats.tallies_heard += 1
                self.stats.things_heard += len(told.things)
                alerts += found
        finally:
            if alerts:  # also when what follows in the message cannot be read
                self.stats.alerts += len(alerts)
                self.on_alerts(alerts, now)

    def _tokens_of(self, node: str, now: float) -> _Tokens:
        tokens = self._heard.get(node)
        if tokens is None:
            tokens = self._heard[node] = _Tokens(self.settings.rate * TOLERANCE, now)
        tokens.grow(now)
        return tokens

    # --- as a capability --------------------------------------------------------------------

    def member_changed(self, member: Member, now: float) -> None:
        """Tell somebody who has come everything; forget who is gone."""
        if member.state is MemberState.ALIVE:
            self._fresh = True
            self.pool.tallies.tell_again()
        elif member.state in (MemberState.DEAD, MemberState.LEFT):
            self.pool.tallies.forget(member.name)
            self._heard.pop(member.name, None)
        del now

    def report(self, now: float) -> bytes:  # noqa: ARG002
        """Nothing to report."""
        return b""

    def reported(self, sender: str, report: bytes, now: float) -> None:
        """Nothing is reported."""
