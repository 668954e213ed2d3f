"""Engine: runs every rule over every event and raises alerts.

It keeps one small record for each client address, counts in it, and asks the policy nothing: an
alert says what was seen and whether the address is proven; what to do about it is decided elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from shield.detect.alert import Alert, Proof
from shield.detect.evidence import EvidenceStore
from shield.detect.fields import FIELDS
from shield.detect.plan import Plan, make_plan
from shield.detect.rule import Mark, Rule
from shield.detect.scores import measure, scored
from shield.detect.settings import DetectSettings
from shield.detect.sources import SourceRecord, Sources
from shield.detect.window import Bucket, Window
from shield.net import Network, unpack
from shield.sip.event import Kind, SipEvent, proof_names
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
REPEATED = 3
"""A fingerprint seen this often in one source is reported once more: it is no stray packet."""
PROGRESS_TIME = 60.0
"""While a call of the source rings, weak evidence against it waits: it may be a carrier's address
that somebody else puts on his packets, and the call is about to be answered."""
NOTHING: tuple[Alert, ...] = ()

_GOOD = (Kind.ACCEPTED, Kind.COMPLETED)


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
        self.use_settings(settings)
        self._shared: RecentMap[Hashable, Window | Bucket] = RecentMap(MAX_SHARED, 3_600.0)
        self.use(rules)

    def use(self, rules: Sequence[Rule]) -> None:
        """Work with these rules from now on; counters of rules that stay are kept."""
        self.rules = tuple(rules)
        self._rate_rules = tuple(rule for rule in rules if rule.rate)
        self._least_rate = min((rule.rate for rule in self._rate_rules), default=1 << 60)
        # All other methods share one plan, so a flood of invented ones makes no plans.
        self._methods = METHODS.union(*(rule.methods for rule in rules))
        self._plans: tuple[dict[bytes, Plan], ...] = tuple({} for _ in Kind)

    def use_settings(self, settings: DetectSettings) -> None:
        """Work with these settings from now on; nothing that is remembered is lost."""
        self.sources.limit(settings.max_sources)
        self.trust_time = settings.trust_time
        self._domains = frozenset(domain.lower().encode() for domain in settings.domains)

    def observe(self, event: SipEvent) -> Sequence[Alert]:
        """Count one event; gives the alerts that it completes."""
        client = event.client
        if client in self.servers.known:
            return NOTHING
        kind, time = event.kind, event.time
        record = self.sources.touch(client, time)
        rules: tuple[Rule, ...] = ()
        if kind <= Kind.RETRANSMISSION:
            rate = record.count(time)
            if rate >= self._least_rate:
                rules = tuple(
                    rule
                    for rule in self._rate_rules
                    if rate >= rule.rate
                    and kind in rule.events
                    and (not rule.methods or event.method in rule.methods)
                )
        elif kind is Kind.REFUSED:
            record.refused += not event.repeat
        elif kind in _GOOD:
            record.succeeded(time, self.trust_time)
            self._forgive(event, record)
        elif kind is Kind.PROGRESS:
            record.progress_time = time
            self._forgive(event, record)
        elif kind is Kind.ANSWER and 200 <= event.status < 300:
            self._forgive(event, record)
        plan = self._plans[kind].get(event.method) or self._plan(kind, event.method)
        rules += plan.rules(event)
        if not rules:
            return NOTHING
        return [alert for rule in rules if (alert := self._judge(rule, event, record)) is not None]

    def _plan(self, kind: Kind, method: bytes) -> Plan:
        if method not in self._methods:
            method = b""
        plans = self._plans[kind]
        if method not in plans:
            plans[method] = make_plan(self.rules, kind, method)
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

    def _judge(self, rule: Rule, event: SipEvent, record: SourceRecord) -> Alert | None:  # noqa: PLR0911
        trusted = record.trusted(event.time, self.trust_time)
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
        distinct: Hashable = None
        if rule.distinct is not None:
            value = rule.distinct(event)
            if value is None:
                return None
            distinct = hash(value)
        counter = self._counter(rule, event, record)
        if counter is None:
            return None
        if distinct is None:
            distinct = counter.total
        limit = rule.max_retry * (rule.trusted_factor if trusted else 1)
        count, proofs = counter.add(
            distinct, event.time, proven=proven, limit=limit, find_time=rule.find_time
        )
        self.evidence.add(event, _note(rule, event, marks))
        reached = proofs >= limit
        if count < limit or not _due(rule, counter, event.time, proven=reached):
            return None
        counter.quiet_until = event.time + QUIET_TIME
        counter.proven_alert = reached
        return self._alert(rule, event, record, count=count, limit=limit, marks=marks, proven=reached)

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
        return all(condition.holds(event) for condition in rule.conditions)

    def _counter(self, rule: Rule, event: SipEvent, record: SourceRecord) -> Window | Bucket | None:
        key = _key(rule, event)
        if key is None:
            return None
        if "client" not in rule.group:
            counter = self._shared.get(key)
            if counter is None:
                counter = Bucket() if rule.bucket else Window()
                self._shared.put(key, counter)
            return counter
        if record.counters is None:
            record.counters = {}
        found: Window | Bucket | None = record.counters.get(key)
        if found is None:
            if len(record.counters) >= MAX_COUNTERS:
                self.stats.counters_full += 1
                return None
            found = record.counters[key] = Bucket() if rule.bucket else Window()
        return found

    def _forgive(self, event: SipEvent, record: SourceRecord) -> None:
        """What succeeded for a user was no guess at that user."""
        if record.counters is None:
            return
        user = hash(event.user)
        for rule in self.rules:
            if rule.forgive and rule.distinct_name == "user":
                counter = record.counters.get(_key(rule, event))
                if counter is not None:
                    counter.forgive(user)

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

    def _alert(
        self,
        rule: Rule,
        event: SipEvent,
        record: SourceRecord,
        *,
        count: int,
        limit: int,
        marks: Sequence[Mark],
        proven: bool,
    ) -> Alert:
        self.stats.alerts += 1
        self.stats.by_rule[rule.name] += 1
        length = None
        if rule.network is not None:
            length = rule.network[0] if len(event.client) == 4 else rule.network[1]
        score, needed = scored(rule, record, event.time, count=count, limit=limit, marks=marks)
        return Alert(
            time=event.time,
            source=event.client,
            scenario=rule.name,
            kind=rule.kind,
            proof=Proof.PROVEN if proven else Proof.UNPROVEN,
            proofs=proof_names(event.proofs),
            severity=rule.severity,
            confidence=rule.confidence,
            count=count,
            score=score,
            limit=needed,
            measure=measure(rule),
            messages=record.messages,
            first_seen=record.first_seen,
            ban_time=rule.ban_time,
            fingerprint=rule.fingerprint,
            repeated=(not rule.fingerprint or record.messages >= REPEATED)
            and event.time - record.progress_time > PROGRESS_TIME,
            marks=tuple((mark.condition.text, mark.weight) for mark in marks),
            length=length,
            details=_details(rule, event),
            evidence=self.evidence.of(event.client),
        )


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


def _key(rule: Rule, event: SipEvent) -> Hashable:
    """Which counter of the rule an event belongs to; None when a part of ``by`` is missing."""
    others = tuple(_group(name, event) for name in rule.group if name != "client")
    if None in others:
        return None
    return (rule.name, *others) if others else rule.name


def _group(name: str, event: SipEvent) -> Hashable:
    if name == "network":
        return Network.around(event.client, 24 if len(event.client) == 4 else 64)
    return FIELDS[name](event)


def _note(rule: Rule, event: SipEvent, marks: Sequence[Mark]) -> str:
    parts = [rule.name]
    if event.status:
        parts.append(f"{event.kind.name.lower()} {event.status}")
    parts += [mark.condition.text for mark in marks]
    return "; ".join(parts)


def _details(rule: Rule, event: SipEvent) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = [("rule", rule.description)]
    if event.request is not None:
        for name, value in (
            ("method", event.request.method),
            ("user_agent", event.request.get(b"User-Agent")),
            ("user", event.user),
            ("account", event.auth[0] if event.auth is not None else None),
        ):
            if value:
                found.append((name, value[:80].decode("utf-8", "backslashreplace")))
    found.append(("source_port", str(event.client_port)))
    found.append(("target", f"{unpack(event.server)}:{event.server_port}"))
    return tuple(found)
