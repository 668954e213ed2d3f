"""Suspects: sources that are weighed by many small marks, of their messages and of their habits.

A rule with marks of this kind (``oddity``, ``habit``) looks at requests that came to nothing. Whoever
shows much in one message, or fails again and again, becomes a suspect, and what it does is kept for a
while; of all others nothing is. The marks of the last message and of the habits are added up.

What a suspect sent counts as proven only as far as its own proven requests reach the score: whoever
forges requests in the name of a phone does not make one genuine request of that phone a proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shield.detect.alert import Alert
from shield.detect.evidence import EvidenceStore
from shield.detect.habits import Habits
from shield.detect.mark import Mark
from shield.detect.oddities import oddities_of
from shield.detect.report import QUIET_TIME, REPEATED, make_alert, note
from shield.detect.rule import Rule
from shield.detect.sources import SourceRecord
from shield.sip.event import Kind, SipEvent
from shield.sip.recent import RecentMap

__all__ = ["Suspects"]

MAX_SUSPECTS = 32_768
"""Some 400 bytes each."""
KEEP_TIME = 3_600.0
"""A suspect that is silent for so long begins anew; so do habits of rules that look back further."""
MAX_WEIGHTS = 1_024
FEW = 3
"""Who sent fewer requests is no suspect for one that failed: everybody mistypes."""


class Suspects:
    """The suspects of all rules; see the module's docstring."""

    def __init__(self, evidence: EvidenceStore) -> None:
        self._evidence = evidence
        self._weights: dict[tuple[int, int], int] = {}
        """Rule and oddities to their weight, for this is asked of good sources as well."""
        self._known: RecentMap[bytes, bytes] = RecentMap(MAX_SUSPECTS, KEEP_TIME)

    def judge(
        self, rule: Rule, event: SipEvent, record: SourceRecord, *, proven: bool
    ) -> Sequence[Alert]:
        """Weigh a request that came to nothing; gives the alert when the sum reaches the score."""
        key = _key(event.client, rule)
        kept = self._known.get(key)
        habits = Habits.unpack(kept) if kept is not None else None
        quiet = habits is not None and event.time < habits.quiet_until
        if habits is not None and quiet and (habits.proven_alert or not proven):
            return ()
        oddities = oddities_of(event)
        habits = habits or self._begin(rule, event, record, oddities)
        if habits is None:
            return ()
        if not _let_in(event):
            habits.add(event, oddities, proven=proven)
            self._known.put(key, habits.packed())
        traces = habits.traces(event.time, rule.find_time)
        marks = _shown(rule, event, oddities, traces)
        if _weight(marks) < rule.score:
            return ()
        own = _shown(rule, event, oddities, [trace for trace in traces if trace.proven])
        reached = proven and _weight(own) >= rule.score
        self._evidence.add(event, note(rule, event, marks))
        if quiet and not reached:
            return ()
        # A fingerprint seen once or twice may be a stray packet: told again when it is seen once more.
        settled = reached or record.messages >= REPEATED
        habits.quiet_until = event.time + QUIET_TIME if settled else 0.0
        habits.proven_alert = reached
        self._known.put(key, habits.packed())
        return (
            make_alert(
                rule, event, record, self._evidence.of(event.client), count=1, limit=1, marks=marks,
                proven=reached,
            ),
        )  # fmt: skip

    def _begin(self, rule: Rule, event: SipEvent, record: SourceRecord, oddities: int) -> Habits | None:
        """What is kept from now on; None for a source that is no suspect yet."""
        weight = self._weights.get((rule.key, oddities))
        if weight is None:
            if len(self._weights) >= MAX_WEIGHTS:
                self._weights.clear()
            weight = self._weights[rule.key, oddities] = _weight(_shown(rule, None, oddities))
        weight += sum(mark.weight for mark in rule.tested if mark.shown(event, 0))
        fails = record.messages >= FEW and (event.status >= 300 or weight > 0)
        return Habits(event.time) if fails or 2 * weight >= rule.score else None

    def standing(
        self, rules: Sequence[Rule], source: bytes, time: float
    ) -> list[tuple[Rule, Sequence[Mark]]]:
        """Each rule that keeps something of a source, with the marks seen so far."""
        found: list[tuple[Rule, Sequence[Mark]]] = []
        for rule in rules:
            kept = self._known.get(_key(source, rule)) if rule.weighs else None
            traces = Habits.unpack(kept).traces(time, rule.find_time) if kept is not None else []
            marks = _shown(rule, None, traces[-1].oddities, traces) if traces else []
            if marks:
                found.append((rule, marks))
        return found

    def as_json(self) -> dict[str, Any]:
        """How many there are."""
        return {"suspects": len(self._known), "dropped": self._known.dropped}

    def tick(self, time: float) -> None:
        """Let event time pass."""
        self._known.tick(time)


def _key(source: bytes, rule: Rule) -> bytes:
    return source + rule.key.to_bytes(8, "big")


def _shown(rule: Rule, event: SipEvent | None, oddities: int, traces: Sequence[Any] = ()) -> list[Mark]:
    return [mark for mark in rule.marks if mark.shown(event, oddities, traces)]


def _weight(marks: Sequence[Mark]) -> int:
    return sum(mark.weight for mark in marks)


def _let_in(event: SipEvent) -> bool:
    """Whether the request was granted: no failure, so no habit of somebody who fails.

    To OPTIONS everybody is told what a server can do.
    """
    return event.kind is Kind.ANSWER and event.status < 300 and event.method != b"OPTIONS"
