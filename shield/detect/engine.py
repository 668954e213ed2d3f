"""Engine: runs every rule over every event and raises alerts.

It keeps one small record for each client address, counts in it, and asks the policy nothing: an
alert says what was seen and whether the address is proven; what to do about it is decided elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from shield.detect.alert import Alert
from shield.detect.campaigns import Campaigns
from shield.detect.compromises import Compromises
from shield.detect.counters import MAX_COUNTERS, forgive, opened, real
from shield.detect.counting import COUNTERS, counted_alone, full_tier, is_due, is_quiet
from shield.detect.evidence import EvidenceStore
from shield.detect.fits import fits, key_of
from shield.detect.mark import Mark
from shield.detect.plan import Plan, make_plan
from shield.detect.pool import Pool
from shield.detect.prefixes import Neighbours
from shield.detect.report import PROGRESS_TIME, QUIET_TIME, REPEATED, make_alert, note, told
from shield.detect.rule import Rule
from shield.detect.settings import DetectSettings
from shield.detect.sources import ENOUGH, SourceRecord, Sources
from shield.detect.suspects import Suspects
from shield.detect.together import Together
from shield.detect.window import Counter as Counting
from shield.sip.dialogs import Dialogs
from shield.sip.event import Kind, SipEvent
from shield.sip.message import METHODS
from shield.sip.servers import Servers

__all__ = ["MAX_COUNTERS", "Engine", "EngineStats"]

GOOD_TIME = 8
"""A network is taken as good for so many times ``trust_time`` after a success in it: then the trust of
the most trusted source has faded too (MAX_CREDIT is some seven half-lives)."""
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

    def __init__(
        self, rules: Sequence[Rule], settings: DetectSettings, servers: Servers,
        dialogs: Dialogs | None = None,
    ) -> None:  # fmt: skip
        self.servers = servers
        self.sources = Sources(settings.max_sources)
        self.evidence = EvidenceStore()
        self.stats = EngineStats()
        self.neighbours = Neighbours()
        self.campaigns = Campaigns()
        self.suspects = Suspects(self.evidence)
        self.together = Together(self.sources, self.evidence, self.neighbours, servers)
        self.compromises = Compromises(Dialogs() if dialogs is None else dialogs)
        self.pool: Pool | None = None
        """What the nodes of a cluster count together; None while this node is alone."""
        self.rules: tuple[Rule, ...] = tuple(rules)
        self.use_settings(settings)

    def use_settings(self, settings: DetectSettings) -> None:
        """Work with these settings from now on; nothing that is remembered is lost."""
        self.sources.limit(settings.max_sources)
        self.trust_time = self.together.trust_time = settings.trust_time
        if self.pool is not None:
            self.pool.trust_time = settings.trust_time
        self._domains = frozenset(domain.lower().encode() for domain in settings.domains)
        self.use(self.rules)  # which of them are active depends on the domains

    def use(self, rules: Sequence[Rule]) -> None:
        """Work with these rules from now on; counters of rules that stay are kept."""
        self.rules = tuple(rules)
        # Without domains of our own no domain is foreign.
        self._active = tuple(rule for rule in rules if self._domains or not rule.foreign)
        forgiving = [rule for rule in rules if rule.forgive]
        self._forgiving = tuple(r for r in forgiving if r.by_client and r.distinct_name == "user")
        # Where trusted sources are exempt a success is enough: it makes its source trusted.
        self._forgiving_together = tuple(
            rule for rule in forgiving if not rule.by_client and not rule.exempt_trusted
        )
        self._rate_rules = tuple(rule for rule in rules if rule.rate)
        self._least_rate = min((rule.rate for rule in self._rate_rules), default=1 << 60)
        # All other methods share one plan, so a flood of invented ones makes no plans.
        self._methods = METHODS.union(*(rule.methods for rule in rules))
        self._plans: tuple[dict[bytes, Plan], ...] = tuple({} for _ in Kind)
        if self.pool is not None:
            self.pool.use(self._active)

    def join(self, pool: Pool | None) -> None:
        """Count together with other nodes from now on; None: alone again."""
        self.pool = pool
        if pool is not None:
            pool.trust_time = self.trust_time
            pool.use(self._active)

    def accuse(self, alerts: Sequence[Alert]) -> Sequence[Alert]:
        """Take alerts that the counts of other nodes completed; gives them as they are to be told."""
        for alert in alerts:
            record = self.sources.get(alert.source)
            if record is not None:
                record.accused = alert.time + QUIET_TIME
        return self._told(alerts)

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
        alerts: Sequence[Alert] = NOTHING
        # Who was accused a moment ago needs no crowd and no small marks; and an attacker sends much.
        accused = time < record.accused
        for rule in rules:
            if accused and (not rule.by_client or (rule.weighs and record.messages > REPEATED)):
                continue
            found = self._judge(rule, event, record)
            if found:
                record.accused = time + QUIET_TIME
                alerts = (*alerts, *self._told(found))
        return alerts

    def _told(self, alerts: Sequence[Alert]) -> Sequence[Alert]:
        """Count alerts; note who else runs the same program, and which port it is behind a NAT."""
        found = []
        for alert in alerts:
            self.stats.alerts += 1
            self.stats.by_rule[alert.scenario] += 1
            self.compromises.accused(alert)
            linked = None
            if alert.campaign:
                linked = self.campaigns.accused(alert.campaign.encode(), alert.source)
            ports, accounts = self.evidence.ports(alert), self.evidence.accounts(alert.source)
            found.append(told(alert, ports, accounts, linked))
        return found

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
            if not event.repeat and event.auth is not None:
                record.guessed_at(hash(event.auth[0]))
                self.compromises.refused(event)
        elif kind in _GOOD:
            account = None
            if event.auth is not None:
                account = hash(event.auth[0])
                self.compromises.accepted(event, record, self.trust_time)
            if record.succeeded(event.time, self.trust_time, account):
                self.evidence.culprits.good(event)
            self.neighbours.good(event.client)
            self._forgive(event, record)
        elif kind is Kind.PROGRESS:
            record.progress_time = event.time
            self.neighbours.good(event.client)
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
        return self.credit(source, time) >= ENOUGH

    def credit(self, source: bytes, time: float) -> float:
        """What is left of the credit that a source has earned."""
        record = self.sources.get(source)
        return 0.0 if record is None else record.trust(time, self.trust_time)

    def ringing(self, source: bytes, time: float) -> bool:
        """Whether a call of a source has lately reached its callee; weak evidence waits then."""
        record = self.sources.get(source)
        return record is not None and time - record.progress_time <= PROGRESS_TIME

    def tick(self, time: float) -> None:
        """Let event time pass."""
        self.evidence.tick(time)
        self.together.crowds.tick(time)
        self.campaigns.tick(time)
        self.compromises.tick(time)
        self.suspects.tick(time)
        self.neighbours.tick(time, GOOD_TIME * self.trust_time)
        if self.pool is not None:
            self.pool.tick(time)

    def _judge(  # noqa: PLR0911
        self, rule: Rule, event: SipEvent, record: SourceRecord
    ) -> Sequence[Alert]:
        trusted = record.credit > 0.0 and record.trusted(event.time, self.trust_time)
        if not fits(rule, event, self._domains, trusted=trusted):
            return NOTHING
        if rule.weighs:
            return self.suspects.judge(
                rule, event, record, proven=bool(event.proofs & (rule.proof or 7))
            )
        marks: list[Mark] = []
        if rule.marks:
            weight, marks = rule.scores(event)
            if weight < rule.score:
                return NOTHING
        proven = bool(event.proofs & (rule.proof or 7))
        if rule.proof and not proven:
            return NOTHING
        value: bytes | None = None
        distinct: int | None = None
        if rule.distinct is not None:
            value = rule.distinct(event)
            if value is None:
                return NOTHING
            distinct = hash(value)
        key = key_of(rule, event)
        if key is None:
            return NOTHING
        if not rule.by_client:
            self.evidence.add(event, note(rule, event, marks))
            found = self.together.judge(
                rule, event, record, key=key, distinct=distinct, marks=marks, proven=proven
            )
        else:
            limit = rule.max_retry * (rule.trusted_factor if trusted else 1)
            found = self._count(
                rule, event, record, key=key, distinct=distinct, limit=limit, marks=marks, proven=proven
            )
        if found or self.pool is None or trusted or event.time < record.accused:
            return found
        return self.pool.count(rule, event, value, proven=proven)

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
    ) -> Sequence[Alert]:
        """Count what fits a rule; gives the alert that it completes."""
        held = record.counters
        counter = held.get(key) if isinstance(held, dict) else None
        if counter is None or isinstance(counter, bytes):
            if limit > 1 and not proven and counted_alone(rule, record, key, distinct, event.time):
                self.evidence.add(event, note(rule, event, marks))
                return NOTHING
            counter = self._counter(rule, key, record)
            if counter is None:
                return NOTHING
        elif is_quiet(rule, counter, event.time, proven=proven):
            counter.total += 1
            return NOTHING
        count, proofs = counter.add(
            counter.total if distinct is None else distinct,
            event.time,
            proven=proven,
            limit=limit,
            find_time=rule.find_time,
            keep=rule.keep,
        )
        self.evidence.add(event, note(rule, event, marks), rule.name if proven else "")
        find_time = rule.find_time
        if count < limit:
            tier = full_tier(rule, counter, event.time, record)
            if tier is None:
                return NOTHING
            count, proofs, limit, find_time = tier
        reached = proofs >= limit
        if not is_due(rule, counter, event.time, proven=reached):
            return NOTHING
        counter.quiet_until = event.time + QUIET_TIME
        counter.proven_alert = reached
        return (
            make_alert(
                rule, event, record, self.evidence.of(event.client), count=count, limit=limit,
                marks=marks, proven=reached, find_time=find_time,
            ),
        )  # fmt: skip

    def _counter(self, rule: Rule, key: int, record: SourceRecord) -> Counting | None:
        record.counters = counters = opened(record.counters)
        held = counters.get(key)
        if held is None and len(counters) >= MAX_COUNTERS:
            self.stats.counters_full += 1
            return None
        counters[key] = found = COUNTERS[rule.algorithm]() if held is None else real(held)
        return found

    def _forgive(self, event: SipEvent, record: SourceRecord) -> None:
        """What succeeded for a user was no guess at that user."""
        if self.pool is not None:
            self.pool.succeeded(event, trusted=record.trusted(event.time, self.trust_time))
        if record.crowded:
            for rule in self._forgiving_together:
                key = key_of(rule, event)
                if key is not None:
                    self.together.forgive(rule, event, key)
        counters = record.counters
        if counters is None:
            return
        user = hash(event.user)
        for rule in self._forgiving:
            key = key_of(rule, event)
            if key is not None and counters is not None:
                counters = forgive(counters, key, user)
        record.counters = counters
