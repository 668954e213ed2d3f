"""Pool: judges what all nodes of a cluster counted together.

Somebody who stays below the limit of a rule at each node is found by the sum, and so is a crowd whose
sources ask different nodes. The sum is judged as the engine judges its own counters, with three
differences:

- Who is accused has shown something here. Each node accuses its own clients, on its own evidence.
- Another node adds at most half of what a limit asks for. This costs nothing: the node that saw most
  sees the others add up; and one node that lies finds nobody guilty who did not do the other half.
- Whoever is trusted at any node is left to the limits of each.

Sans-IO; times are event times, seconds since the epoch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count as numbers

from shield.detect.alert import Alert
from shield.detect.evidence import EvidenceStore
from shield.detect.report import QUIET_TIME, crowd_details, make_alert
from shield.detect.rule import Rule
from shield.detect.sources import SourceRecord, Sources
from shield.detect.tallies import Aim, Part, Tallies, Thing, Told, hashed
from shield.sip.event import SipEvent
from shield.sip.recent import RecentMap

__all__ = ["Pool"]

MAX_ACCUSED = 16_384
"""Accused sources of which is remembered when, so that one is not accused again with each message."""
MAX_VOUCHED = 65_536
"""Sources for which other nodes vouch."""
VOUCHED_TIME = 3_600.0
"""Seconds for which another node's word counts that a source is good."""
NETWORK_EACH = 2
"""In a network somebody good may live, known to another node only: one failed try is anybody's."""


class Pool:
    """See the module's docstring. ``salt``: octets that no other node has."""

    def __init__(self, sources: Sources, evidence: EvidenceStore, salt: bytes) -> None:
        self.key = b""
        """The secret of the cluster under which things are hashed."""
        self.tallies = Tallies()
        self.alerts: Counter[str] = Counter()
        """Alerts by rule."""
        self.trust_time = 0.0
        self.on_good: Callable[[bytes], None] = lambda _client: None
        """Called with a source that others may suspect and that is trusted here."""
        self._sources, self._evidence = sources, evidence
        self._rules: dict[str, Rule] = {}
        self._told: RecentMap[tuple[str, int, bytes], tuple[float, bool]] = RecentMap(
            MAX_ACCUSED, QUIET_TIME
        )
        self._vouched: RecentMap[bytes, str] = RecentMap(MAX_VOUCHED, VOUCHED_TIME)
        self._salt, self._numbers = salt, numbers()

    def use(self, rules: Sequence[Rule]) -> None:
        """Judge by these rules from now on."""
        self._rules = {rule.name: rule for rule in rules if is_pooled(rule)}

    def rekey(self, key: bytes) -> None:
        """Hash under another secret; everything counted so far is worth nothing then."""
        self.key, self.tallies = key, Tallies()

    def rule(self, name: str) -> Rule | None:
        """The rule of this name, if it is pooled here."""
        return self._rules.get(name)

    def tick(self, time: float) -> None:
        """Let event time pass."""
        self.tallies.tick(time)
        self._told.tick(time)
        self._vouched.tick(time)

    # --- what this node sees ----------------------------------------------------------------

    def count(
        self, rule: Rule, event: SipEvent, value: bytes | None, *, proven: bool
    ) -> Sequence[Alert]:
        """Count what the engine counted for a rule, in a source that is not trusted.

        ``value``: what the rule distinguishes; None where each message is a thing of its own. Gives the
        alerts that the sum of all nodes completes with it.
        """
        if rule.name not in self._rules:
            return ()
        found = self._place(rule, event)
        if found is None:
            return ()
        aim, part = found
        parts = (value,) if value is not None else (self._salt, b"%d" % next(self._numbers))
        thing = Thing(hashed(self.key, (rule.name.encode(), *parts)), event.time, proven)
        self.tallies.count(aim, part, thing, event, rule.find_time)
        return self.judge(aim, event.time)

    def succeeded(self, event: SipEvent, *, trusted: bool) -> None:
        """A source logged in, or had a call answered: what it asked for was no guess."""
        aims = self.tallies.by_client.get(event.client)
        if not aims:
            return
        user = event.user
        for aim in aims:
            rule = self._rules.get(aim.rule)
            if rule is None or not rule.forgive or rule.distinct_name != "user":
                continue
            found = self._place(rule, event)
            if found is not None:
                self.tallies.take_back(*found, hashed(self.key, (rule.name.encode(), user)))
        if trusted:
            self.on_good(event.client)

    def _place(self, rule: Rule, event: SipEvent) -> tuple[Aim, Part] | None:
        """Where an event counts; None when a part of ``group_by`` is missing.

        What a rule counts for each server by itself is one tally for each here: of every node the
        fullest one counts, since no two nodes have the same servers.
        """
        target: list[bytes] = []
        server = 0
        for name, read in zip((n for n in rule.group if n != "client"), rule.key_fields, strict=True):
            value = read(event)
            if not isinstance(value, bytes):
                return None
            if name == "target":
                server = hashed(self.key, (value,))
            else:
                target.append(value)
        client = event.client if rule.by_client else b""
        return Aim(rule.name, hashed(self.key, target) if target else 0, client), Part(
            event.client, server
        )

    # --- what other nodes tell --------------------------------------------------------------

    def hear(self, node: str, told: Told, time: float) -> Sequence[Alert] | None:
        """Take the tally of another node; gives the alerts it completes, None when there is no room."""
        rule = self._rules.get(told.rule)
        if rule is None:
            return ()
        client = told.part.client
        aim = Aim(told.rule, told.target, client if rule.by_client else b"")
        record = self._sources.get(client)
        if record is not None and record.trusted(time, self.trust_time):
            self.on_good(client)
        return self.judge(aim, time) if self.tallies.hear(node, aim, told) else None

    def vouch(self, client: bytes, node: str) -> None:
        """Hear that a source is trusted at another node."""
        self._vouched.put(client, node)

    # --- judging ----------------------------------------------------------------------------

    def judge(self, aim: Aim, time: float) -> Sequence[Alert]:
        """Alerts about own clients that the sum of all nodes asks for now."""
        rule = self._rules[aim.rule]
        if self.tallies.total(aim) < rule.max_retry:
            return ()
        return self._judge_client(rule, aim, time) if aim.client else self._judge_crowd(rule, aim, time)

    def _judge_client(self, rule: Rule, aim: Aim, time: float) -> Sequence[Alert]:
        record = self._accusable(aim.client, time)
        if record is None:
            return ()
        for limit, find_time in ((rule.max_retry, rule.find_time), *rule.tiers):
            if find_time > rule.find_time and record.credit_time:
                continue  # what came before a success is no sign of a slow attack
            shares = self._shares(aim, limit, time - find_time)
            union: dict[int, bool] = {}
            for found in shares.values():
                for thing in found:
                    union[thing.key] = union.get(thing.key, False) or thing.proven
            if len(union) < limit or len(shares) < 2 or "" not in shares:
                continue
            proven = sum(union.values()) >= limit
            if not self._due(rule, aim, aim.client, time, proven=proven):
                return ()
            event = self._event(aim, aim.client)
            if event is None:
                return ()
            alert = make_alert(
                rule, event, record, self._evidence.of(aim.client), count=len(union), limit=limit,
                marks=(), proven=proven, find_time=find_time,
            )  # fmt: skip
            return (self._made(alert, shares),)
        return ()

    def _shares(self, aim: Aim, limit: int, since: float) -> dict[str, list[Thing]]:
        """What each node has of an aim within the window, at most half of the limit from another one."""
        best: dict[str, list[Thing]] = {}
        for node, _, window in self.tallies.of(aim):
            found = [Thing(*entry) for entry in window.entries() if entry[1] >= since]
            if node:
                found = found[-(limit // 2 or 1) :]
            if found and len(found) > len(best.get(node, ())):
                best[node] = found
        return best

    def _judge_crowd(self, rule: Rule, aim: Aim, time: float) -> Sequence[Alert]:
        owners = self._owners(rule, aim, time - rule.find_time)
        if len(owners) < rule.max_retry or len({node for node, _, _ in owners.values()}) < 2:
            return ()
        each = max(rule.each, NETWORK_EACH) if "network" in rule.group else rule.each
        things, proofs = Counter[bytes](), Counter[bytes]()
        for _, client, proven in owners.values():
            things[client] += 1
            proofs[client] += proven
        ready = [client for client, n in things.items() if n >= rule.each]
        if len(ready) < rule.sources:
            return ()
        solid = (
            sum(proofs[client] >= rule.each for client in ready) * 2 > rule.sources
            and proofs.total() * 2 > rule.max_retry
        )
        alerts = []
        shares = Counter(node for node, _, _ in owners.values())
        for client in {part.client for part in self.tallies.own.get(aim) or ()}:
            record = self._accusable(client, time)
            if record is None or things[client] < each:
                continue
            proven = solid and proofs[client] >= rule.each
            event = self._event(aim, client)
            if event is None or not self._due(rule, aim, client, time, proven=proven):
                continue
            base = make_alert(
                rule, event, record, self._evidence.of(client), count=len(owners), limit=rule.max_retry,
                marks=(), proven=proven,
            )  # fmt: skip
            details = crowd_details(rule, event, base.details, len(ready), b"")
            base = replace(base, length=None, sources=len(ready), details=details)
            alerts.append(self._made(base, shares))
        return alerts

    def _owners(self, rule: Rule, aim: Aim, since: float) -> dict[int, tuple[str, bytes, bool]]:
        """Whose each thing is: that of the source that showed it first, on whichever node."""
        first: dict[int, tuple[float, str, bytes, bool]] = {}
        by_node = Counter[str]()
        for node, part, window in self.tallies.of(aim):
            for key, time, proven in window.entries():
                if time < since or (node and by_node[node] >= (rule.max_retry // 2 or 1)):
                    continue
                by_node[node] += 1
                known = first.get(key)
                if known is None or time < known[0]:
                    first[key] = time, node, part.client, proven
        return {key: (node, client, proven) for key, (_, node, client, proven) in first.items()}

    def _accusable(self, client: bytes, time: float) -> SourceRecord | None:
        record = self._sources.get(client)
        if record is None or time < record.accused or self._vouched.get(client) is not None:
            return None
        return None if record.trusted(time, self.trust_time) else record

    def _due(self, rule: Rule, aim: Aim, client: bytes, time: float, *, proven: bool) -> bool:
        """Whether to speak (again): not about the same within a minute, unless the proof got better."""
        key = (rule.name, aim.target, client)
        until, was_proven = self._told.get(key) or (0.0, False)
        if time < until and (was_proven or not proven):
            return False
        self._told.put(key, (time + QUIET_TIME, proven))
        return True

    def _event(self, aim: Aim, client: bytes) -> SipEvent | None:
        """The last message of a source that counted here."""
        events = [
            own.event
            for part, own in (self.tallies.own.get(aim) or {}).items()
            if part.client == client and own.event is not None
        ]
        return max(events, key=lambda event: event.time, default=None)

    def _made(self, alert: Alert, shares: dict[str, list[Thing]] | Counter[str]) -> Alert:
        self.alerts[alert.scenario] += 1
        by_node = {name: n if isinstance(n, int) else len(n) for name, n in shares.items()}
        text = ", ".join(f"{name or 'here'} {n}" for name, n in sorted(by_node.items()))
        return replace(alert, details=(*alert.details, ("counted_by", text)))


def is_pooled(rule: Rule) -> bool:
    """Whether the counts of several nodes are put together for a rule.

    Not for what one message shows, since one node is enough; and not for rates, which do no harm where
    they are low.
    """
    return rule.max_retry > 1 and not rule.rate and rule.algorithm == "window"
