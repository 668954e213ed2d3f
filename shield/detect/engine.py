"""Engine: runs every rule over every event and raises alerts.

It keeps one small record for each client address, counts in it, and asks the policy nothing: an
alert says what was seen and whether the address is proven; what to do about it is decided elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from shield.detect.alert import Alert
from shield.detect.counters import KEY_BITS, forgive, opened, single
from shield.detect.evidence import EvidenceStore
from shield.detect.plan import Plan, make_plan
from shield.detect.report import PROGRESS_TIME, REPEATED, make_alert, note
from shield.detect.rule import Mark, Rule
from shield.detect.settings import DetectSettings
from shield.detect.sources import SourceRecord, Sources
from shield.detect.window import Bucket, Window
from shield.net import unpack
from shield.sip.event import Kind, SipEvent
from shield.sip.message import METHODS
from shield.sip.recent import RecentMap
from shield.sip.servers import Servers
from shield.sip.uri import fast_host, fast_user

__all__ = ["Engine", "EngineStats"]

MAX_COUNTERS = 64
"""Counters of one source; a source that needs more has long been found."""
MAX_SHARED = 65_536
"""Counters by network, user, domain or number."""
QUIET_TIME = 60.0
"""A rule repeats its alert about a source at most this often (seconds), unless its proof got better."""
NOTHING: tuple[Alert, ...] = ()

_GOOD = (Kind.ACCEPTED, Kind.COMPLETED)
_RETRANSMISSION = Kind.RETRANSMISSION


@dataclass(slots=True)
class EngineStats:
    """What the engine did."""

    alerts: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    """Alerts of each rule."""
    counters_full: int = 0
    """Things not counted because a source had MAX_COUNTERS counters."""


class Engine:
    """Detection for one node; see the module's docstring."""

    def __init__(self, rules: Sequence[Rule], settings: DetectSettings, servers: Servers) -> None:
        self.servers = servers
        self.sources = Sources(settings.max_sources)
        self.evidence = EvidenceStore()
        self.stats = EngineStats()
        self._shared: RecentMap[int, Window | Bucket] = RecentMap(MAX_SHARED, 3_600.0)
        self.rules: tuple[Rule, ...] = tuple(rules)
        self.use_settings(settings)

    def use_settings(self, settings: DetectSettings) -> None:
        """Work with these settings from now on; nothing that is remembered is lost."""
        self.sources.limit(settings.max_sources)
        self.trust_time = settings.trust_time
        self._domains = frozenset(domain.lower().encode() for domain in settings.domains)
        self.use(self.rules)  # which of them are active depends on the domains

    def use(self, rules: Sequence[Rule]) -> None:
        """Work with these rules from now on; counters of rules that stay are kept."""
        self.rules = tuple(rules)
        # Without domains of our own no domain is foreign.
        self._active = tuple(rule for rule in rules if self._domains or not rule.foreign)
        self._forgiving = tuple(rule for rule in rules if rule.forgive and rule.distinct_name == "user")
        self._rate_rules = tuple(rule for rule in rules if rule.rate)
        self._least_rate = min((rule.rate for rule in self._rate_rules), default=1 << 60)
        # All other methods share one plan, so a flood of invented ones makes no plans.
        self._methods = METHODS.union(*(rule.methods for rule in rules))
        self._plans: tuple[dict[bytes, Plan], ...] = tuple({} for _ in Kind)

    def observe(self, event: SipEvent) -> Sequence[Alert]:
        """Count one event; gives the alerts that it completes."""
        client = event.client
        if client in self.servers.known:
            return NOTHING
        kind, time, method = event.kind, event.time, event.method
        sources = self.sources
        record = sources.young.get(client) or sources.touch(client, time)
        plan = self._plans[kind].get(method) or self._plan(kind, method)
        rules = plan.rules(event)
        if kind <= _RETRANSMISSION:
            rate = record.count(time)
            if rate >= self._least_rate:
                rules = self._loud(rate, kind, method) + rules
        else:
            self._note_outcome(event, record)
        if not rules:
            return NOTHING
        return [alert for rule in rules if (alert := self._judge(rule, event, record)) is not None]

    def _loud(self, rate: int, kind: Kind, method: bytes) -> tuple[Rule, ...]:
        """Rules about sources of that many requests a minute."""
        return tuple(
            rule
            for rule in self._rate_rules
            if rate >= rule.rate and kind in rule.events and (not rule.methods or method in rule.methods)
        )

    def _note_outcome(self, event: SipEvent, record: SourceRecord) -> None:
        """Remember what speaks for a source, and refused passwords."""
        kind = event.kind
        if kind is Kind.REFUSED:
            record.refused += not event.repeat
        elif kind in _GOOD:
            record.succeeded(event.time, self.trust_time)
            self._forgive(event, record)
        elif kind is Kind.PROGRESS:
            record.progress_time = event.time
            self._forgive(event, record)
        elif kind is Kind.ANSWER and 200 <= event.status < 300:
            self._forgive(event, record)

    def _plan(self, kind: Kind, method: bytes) -> Plan:
        if method not in self._methods:
            method = b""
        plans = self._plans[kind]
        if method not in plans:
            plans[method] = make_plan(self._active, kind, method)
        return plans[method]

    def trusted(self, source: bytes, time: float) -> bool:
        """Whether a source has lately logged in or completed a call."""
        record = self.sources.get(source)
        return record is not None and record.trusted(time, self.trust_time)

    def ringing(self, source: bytes, time: float) -> bool:
        """Whether a call of a source has lately reached its callee; weak evidence waits then."""
        record = self.sources.get(source)
        return record is not None and time - record.progress_time <= PROGRESS_TIME

    def tick(self, time: float) -> None:
        """Let event time pass."""
        self.evidence.tick(time)
        self._shared.tick(time)

    def _judge(self, rule: Rule, event: SipEvent, record: SourceRecord) -> Alert | None:
        trusted = record.credit > 0.0 and record.trusted(event.time, self.trust_time)
        if not self._fits(rule, event, trusted=trusted):
            return None
        marks: list[Mark] = []
        if rule.marks:
            weight, marks = rule.scores(event)
            if weight < rule.score:
                return None
        proven = bool(event.proofs & (rule.proof or 7))
        if rule.proof and not proven:
            return None
        distinct: int | None = None
        if rule.distinct is not None:
            value = rule.distinct(event)
            if value is None:
                return None
            distinct = hash(value)
        key = _key(rule, event)
        if key is None:
            return None
        limit = rule.max_retry * (rule.trusted_factor if trusted else 1)
        return self._count(
            rule, event, record, key=key, distinct=distinct, limit=limit, marks=marks, proven=proven
        )

    def _count(
        self,
        rule: Rule,
        event: SipEvent,
        record: SourceRecord,
        *,
        key: int,
        distinct: int | None,
        limit: int,
        marks: Sequence[Mark],
        proven: bool,
    ) -> Alert | None:
        """Count what fits a rule; gives the alert that it completes."""
        held = record.counters
        counter = held.get(key) if rule.by_client and isinstance(held, dict) else None
        if counter is None:
            if limit > 1 and not proven and _counted_alone(rule, record, key, distinct, event.time):
                self.evidence.add(event, note(rule, event, marks))
                return None
            counter = self._counter(rule, key, record)
            if counter is None:
                return None
        count, proofs = counter.add(
            counter.total if distinct is None else distinct,
            event.time,
            proven=proven,
            limit=limit,
            find_time=rule.find_time,
        )
        self.evidence.add(event, note(rule, event, marks))
        reached = proofs >= limit
        if count < limit or not _due(rule, counter, event.time, proven=reached):
            return None
        counter.quiet_until = event.time + QUIET_TIME
        counter.proven_alert = reached
        self.stats.alerts += 1
        self.stats.by_rule[rule.name] += 1
        evidence = self.evidence.of(event.client)
        return make_alert(
            rule, event, record, evidence, count=count, limit=limit, marks=marks, proven=reached
        )

    def _fits(self, rule: Rule, event: SipEvent, *, trusted: bool) -> bool:  # noqa: PLR0911
        if rule.statuses and event.status not in rule.statuses:
            return False
        if rule.credentials is not None and rule.credentials is not (event.auth is not None):
            return False
        if rule.repeat is not None and rule.repeat is not event.repeat:
            return False
        if rule.trusted is not None and rule.trusted is not trusted:
            return False
        if rule.mismatch and not _mismatch(event):
            return False
        if rule.foreign and not self._foreign(event):
            return False
        for condition in rule.conditions:  # noqa: SIM110 - all() costs twice as much on so few
            if not condition.holds(event):
                return False
        return True

    def _counter(self, rule: Rule, key: int, record: SourceRecord) -> Window | Bucket | None:
        if not rule.by_client:
            counter = self._shared.get(key)
            if counter is None:
                counter = Bucket() if rule.bucket else Window()
                self._shared.put(key, counter)
            return counter
        record.counters = counters = opened(record.counters)
        found = counters.get(key)
        if found is None:
            if len(counters) >= MAX_COUNTERS:
                self.stats.counters_full += 1
                return None
            found = counters[key] = Bucket() if rule.bucket else Window()
        return found

    def _forgive(self, event: SipEvent, record: SourceRecord) -> None:
        """What succeeded for a user was no guess at that user."""
        counters = record.counters
        if counters is None:
            return
        user = hash(event.user)
        for rule in self._forgiving:
            key = _key(rule, event)
            if key is not None and counters is not None:
                counters = forgive(counters, key, user)
        record.counters = counters

    def _foreign(self, event: SipEvent) -> bool:
        """Neither From nor Request-URI names one of our domains or servers."""
        if not self._domains or event.request is None:
            return False
        for value in (event.request.from_, event.request.uri):
            host = fast_host(value)
            if not host or host in self._domains or any(host.endswith(b"." + d) for d in self._domains):
                return False
            if host == unpack(event.server).encode():
                return False
        return True


def _counted_alone(rule: Rule, record: SourceRecord, key: int, thing: int | None, time: float) -> bool:
    """Count an unproven thing in little memory, if it is the only one of its source; one is no alert."""
    held = record.counters
    if isinstance(held, dict) or not rule.by_client or rule.bucket:
        return False
    counters = single(held, key, thing, time)
    if counters is None:
        return False
    record.counters = counters
    return True


def _due(rule: Rule, counter: Window | Bucket, time: float, *, proven: bool) -> bool:
    if time >= counter.quiet_until or (proven and not counter.proven_alert):
        return True
    return rule.fingerprint and counter.total == REPEATED


def _mismatch(event: SipEvent) -> bool:
    """The digest user differs from the user in From and in To (RFC 3261 section 22.1)."""
    if event.auth is None or event.request is None:
        return False
    name = event.auth[0].partition(b"@")[0]
    return bool(name) and name not in (fast_user(event.request.from_), fast_user(event.request.to))


def _key(rule: Rule, event: SipEvent) -> int | None:
    """Which counter of the rule an event belongs to; None when a part of ``by`` is missing."""
    if not rule.key_fields:
        return rule.key
    others = [read(event) for read in rule.key_fields]
    return None if None in others else rule.key | hash(tuple(others)) & KEY_BITS
