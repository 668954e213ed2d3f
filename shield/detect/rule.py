"""Rule: one behaviour to detect, read from one TOML document.

The document has the tables ``match`` (which events count), ``exempt`` (which do not), ``mark`` (weighted
signs of a tool), ``count`` (how many, of what, in which time), ``require`` (proof of the address, how
many sources) and ``decision``. ``shield.detect.keys`` explains each key. Every mistake is reported with
file and key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from shield.detect.counters import rule_key
from shield.detect.fields import FIELDS, Field, field
from shield.detect.mark import Mark, parse_marks
from shield.detect.match import Condition, condition
from shield.detect.prefixes import PREFIX_BITS, prefix
from shield.detect.table import Table
from shield.durations import parse_duration
from shield.errors import ConfigError, InputError
from shield.net import Network
from shield.sip.event import NONCE, TCP, TO_TAG, Kind, SipEvent

__all__ = ["KINDS", "Rule", "parse_rule"]

KINDS = ("scan", "enum", "bruteforce", "flood", "tollfraud", "fuzz", "relay", "identity")
"""Classes of behaviour."""
EVENTS = {kind.name.lower(): kind for kind in Kind}
PROOFS = {"nonce": NONCE, "totag": TO_TAG, "tcp": TCP}
GROUPS = ("client", "network", "user", "domain", "called", "tail", "target", "campaign", "account")
ALGORITHMS = ("window", "bucket", "score")
KeyField = Callable[[SipEvent], Hashable]
KEY_FIELDS: dict[str, KeyField] = {
    "network": lambda event: prefix(event.client),
    **{name: FIELDS[name] for name in GROUPS[2:]},
}
STATUS = re.compile(r"([1-6][0-9]{2})(?:-([1-6][0-9]{2}))?")
MAX_RETRY = 10_000
MAX_FIND_TIME = 86_400.0
MAX_BAN_TIME = 30 * 86_400.0
MAX_TIERS = 4
"""Windows of one counter: minute, hour, day and one more."""
MAX_TIER_RETRY = 64
"""A tier remembers so many things of each suspect at most; 16 bytes each."""
MAX_SOURCES = 256
"""Sources that a rule may ask for: half of the things that a crowd remembers."""
MAX_EACH = 16
"""Who has done more than that alone is found by a rule that counts by client."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A checked rule; field meanings as in docs/rules.md."""

    name: str
    path: str
    description: str
    kind: str
    severity: int
    confidence: int
    events: tuple[Kind, ...]
    methods: frozenset[bytes]
    """Empty: every method."""
    statuses: frozenset[int]
    credentials: bool | None
    trusted: bool | None
    repeat: bool | None
    mismatch: bool
    foreign: bool
    rate: int
    """Requests of the source in the last minute that it takes; 0 for any."""
    conditions: tuple[Condition, ...]
    marks: tuple[Mark, ...]
    tested: tuple[Mark, ...]
    """Those of the marks that are tests on a field."""
    weighs: bool
    """Others are oddities or habits: see ``shield.detect.suspects``."""
    score: int
    group: tuple[str, ...]
    key: int
    """Where its counters are found, see ``shield.detect.counters``."""
    by_client: bool
    """Each source has counters of its own; else all sources share them."""
    key_fields: tuple[KeyField, ...]
    """What else than the source tells one counter from another."""
    distinct: Field | None
    distinct_name: str
    max_retry: int
    trusted_factor: int
    find_time: float
    algorithm: str
    """``window``, ``bucket`` or ``score``."""
    tiers: tuple[tuple[int, float], ...]
    """Longer windows for sources without success: how many, in which time."""
    keep: int
    """Things that a counter must remember for the tiers."""
    forgive: bool
    proof: int
    sources: int
    """Sources that must take part, of a rule that counts for many."""
    each: int
    """Things that each of them must have shown."""
    exempt_trusted: bool
    exempt_networks: tuple[Network, ...]
    exempt: tuple[Condition, ...]
    exempts: bool
    """There are exemptions at all."""
    ban_time: float
    network: tuple[int, int] | None
    """Prefix lengths (IPv4, IPv6) that are banned in place of the address."""

    @property
    def fingerprint(self) -> bool:
        """Whether one message is enough."""
        return self.max_retry == 1 and (Kind.REQUEST in self.events or self.weighs) and not self.rate

    def as_json(self) -> dict[str, Any]:
        """What is told of a rule in lists."""
        return {
            "name": self.name,
            "description": self.description,
            "kind": self.kind,
            "severity": self.severity,
            "confidence": self.confidence,
            "group_by": list(self.group),
            "max_retry": self.max_retry,
            "find_time": self.find_time,
            "ban_time": self.ban_time,
            "path": self.path,
        }

    def scores(self, event: SipEvent) -> tuple[int, list[Mark]]:
        """Sum of the weights of the marks that an event shows, and these marks."""
        weight, found = 0, []
        for mark in self.marks:
            if mark.shown(event, 0):
                weight += mark.weight
                found.append(mark)
        return weight, found


def parse_rule(data: Mapping[str, Any], name: str, path: str) -> Rule:
    """Check one rule document; raises ConfigError with one line for each mistake."""
    problems: list[str] = []
    top = Table(data, path, problems)
    match, count = top.table("match"), top.table("count")
    require, decision = top.table("require"), top.table("decision")
    exempt = top.table("exempt")
    given = top.take("name", str, name)
    if given != name:
        problems.append(f"{path}.name: {given!r} differs from the file name")
    distinct_name = count.take("distinct", str, "")
    exempts = data.get("exempt")
    group = _group(count)
    tiers = _tiers(count)
    algorithm = count.words("algorithm", ("window",), ALGORITHMS)[0]
    if algorithm != "window" and ("client" not in group or distinct_name or tiers):
        problems.append(f"{count.where}.algorithm: {algorithm} takes no distinct, no tiers, one client")
    marks = parse_marks(top)
    tested = tuple(mark for mark in marks if mark.condition is not None)
    weighs = len(tested) < len(marks)
    rule = Rule(
        name=name,
        path=path,
        description=top.take("description", str, ""),
        kind=top.words("kind", ("scan",), KINDS)[0],
        severity=top.number("severity", 2, 1, 4),
        confidence=top.number("confidence", 2, 1, 3),
        events=tuple(EVENTS[word] for word in match.words("event", ("request",), tuple(EVENTS))),
        methods=frozenset(word.encode() for word in match.words("method", ())),
        statuses=_statuses(match),
        credentials=match.take("credentials", bool, None),
        trusted=match.take("trusted", bool, None),
        repeat=match.take("repeat", bool, None),
        mismatch=bool(match.take("mismatch", bool, None)),
        foreign=bool(match.take("foreign", bool, None)),
        rate=match.number("rate", 0, 0, 1_000_000),
        conditions=_conditions(match),
        exempt_trusted=bool(exempt.take("trusted", bool, None)),
        exempt_networks=_networks(exempt),
        exempt=_conditions(exempt),
        exempts=bool(exempts),
        marks=marks,
        tested=tested,
        weighs=weighs,
        score=top.number("score", 1, 1, 100),
        group=group,
        key=rule_key(name),
        by_client="client" in group,
        key_fields=tuple(KEY_FIELDS[name] for name in group if name != "client"),
        distinct=count.compile(field, distinct_name, f"{count.where}.distinct")
        if distinct_name
        else None,
        distinct_name=distinct_name,
        max_retry=count.number("max_retry", 1, 1, MAX_RETRY),
        trusted_factor=count.number("trusted_factor", 4, 1, 100),
        find_time=_find_time(count, algorithm),
        algorithm=algorithm,
        tiers=tiers,
        keep=max((limit for limit, _ in tiers), default=0),
        forgive=count.take("forgive", bool, None) is not False,
        proof=sum(PROOFS[word] for word in set(require.words("proof", (), tuple(PROOFS)))),
        sources=require.number("sources", 1, 1, MAX_SOURCES),
        each=require.number("each", 1, 1, MAX_EACH),
        ban_time=decision.seconds("ban_time", 3_600.0, MAX_BAN_TIME),
        network=_network(decision),
    )
    if rule.by_client and (rule.sources > 1 or rule.each > 1):
        problems.append(f"{require.where}: sources and each are for rules that do not count by client")
    if weighs and (rule.group != ("client",) or distinct_name or rule.max_retry > 1):
        problems.append(
            f"{count.where}: marks of oddities and habits take no group, distinct, max_retry"
        )
    if not rule.description:
        problems.append(f"{path}.description: missing")
    for table in (match, exempt, count, require, decision, top):
        table.end()
    if problems:
        raise ConfigError(*problems)
    return rule


def _statuses(match: Table) -> frozenset[int]:
    """``status = [404, "480-489"]`` as a set."""
    found: set[int] = set()
    for item in match.take("status", list, []):
        fits = STATUS.fullmatch(str(item))
        if fits is None:
            match.problems.append(f"{match.where}.status: {item!r} is no status or range")
            continue
        found.update(range(int(fits[1]), int(fits[2] or fits[1]) + 1))
    return frozenset(found)


def _group(count: Table) -> tuple[str, ...]:
    """``group_by``, or ``by`` for short."""
    short = count.words("by", (), GROUPS)
    group = count.words("group_by", (), GROUPS)
    if short and group:
        count.problems.append(f"{count.where}.by: is group_by, give one of them")
    return group or short or ("client",)


def _find_time(count: Table, algorithm: str) -> float:
    """Time within which things count, or in which a score halves."""
    half_life = count.seconds("half_life", 3_600.0, MAX_FIND_TIME)
    find_time = count.seconds("find_time", 600.0, MAX_FIND_TIME)
    return half_life if algorithm == "score" else find_time


def _tiers(count: Table) -> tuple[tuple[int, float], ...]:
    """``tiers = { "1h" = 8, "1d" = 10 }``: how many in which longer time."""
    found: list[tuple[int, float]] = []
    for text, limit in count.take("tiers", dict, {}).items():
        where = f"{count.where}.tiers.{text}"
        try:
            seconds = parse_duration(text)
        except InputError as error:
            count.problems.append(f"{where}: {error}")
            continue
        if not 0 < seconds <= MAX_FIND_TIME or type(limit) is not int or not 1 < limit <= MAX_TIER_RETRY:
            count.problems.append(f"{where}: must be 2 to {MAX_TIER_RETRY} things in at most a day")
            continue
        found.append((limit, seconds))
    if len(found) > MAX_TIERS:
        count.problems.append(f"{count.where}.tiers: at most {MAX_TIERS}")
    return tuple(sorted(found, key=lambda tier: tier[1]))


def _networks(exempt: Table) -> tuple[Network, ...]:
    found: list[Network] = []
    for text in exempt.words("network", ()):
        try:
            found.append(Network.parse(text))
        except InputError as error:
            exempt.problems.append(f"{exempt.where}.network: {error}")
    return tuple(found)


def _network(decision: Table) -> tuple[int, int] | None:
    """``network = [24, 64]``: prefix lengths. Of wider networks nobody knows the good share."""
    lengths = decision.take("network", list, [])
    if not lengths:
        return None
    if len(lengths) != 2 or not all(
        type(length) is int and least <= length <= most
        for length, least, most in zip(lengths, PREFIX_BITS, (32, 128), strict=True)
    ):
        decision.problems.append(
            f"{decision.where}.network: must be two prefix lengths, [24 to 32, 64 to 128]"
        )
        return None
    return lengths[0], lengths[1]


def _conditions(match: Table) -> tuple[Condition, ...]:
    found: list[Condition] = []
    for kind, table in (
        ("", match.take("field", dict, {})),
        ("header.", match.take("header", dict, {})),
    ):
        for name, test in table.items():
            where = f"{match.where}.{kind or 'field.'}{name}"
            if not isinstance(test, dict):
                match.problems.append(f"{where}: must be a table such as {{ regex = '...' }}")
                continue
            made = match.compile(condition, kind + name, test, where)
            if made is not None:
                found.append(made)
    return tuple(found)
