"""How the engine counts: which counter, when it is full, and when a rule speaks about it."""

from __future__ import annotations

from shield.detect.counters import single
from shield.detect.report import QUIET_TIME, REPEATED
from shield.detect.rule import Rule
from shield.detect.sources import SourceRecord
from shield.detect.window import Bucket, Score, Window
from shield.detect.window import Counter as Counting

__all__ = ["COUNTERS", "counted_alone", "full_tier", "is_due", "is_quiet"]

COUNTERS: dict[str, type[Counting]] = {"window": Window, "bucket": Bucket, "score": Score}


def counted_alone(rule: Rule, record: SourceRecord, key: int, thing: int | None, time: float) -> bool:
    """Count an unproven thing in little memory, if it is the only one of its source; one is no alert."""
    if rule.algorithm != "window":
        return False
    counters = single(record.counters, key, thing, time)
    if counters is None:
        return False
    record.counters = counters
    return True


def full_tier(
    rule: Rule, counter: Counting, time: float, record: SourceRecord
) -> tuple[int, int, int, float] | None:
    """The first tier that is full: count, proven count, limit and time of it.

    What a source did before it last succeeded is no sign of a slow attack: a trunk has its share of
    wrong numbers each day, and a phone that moves is refused now and then.
    """
    if not rule.tiers or not isinstance(counter, Window):
        return None
    for limit, find_time in rule.tiers:
        if counter.kept >= limit:
            since = min(find_time, time - record.credit_time) if record.credit_time else find_time
            count = counter.count(time, since)
            if count >= limit:
                return count, counter.proven(time, since), limit, find_time
    return None


def is_quiet(rule: Rule, counter: Counting, time: float, *, proven: bool) -> bool:
    """Whether nothing can come of one more thing: its source was accused a moment ago.

    What lies so little back is in the window yet when the rule may speak again.
    """
    return (
        time < counter.quiet_until
        and rule.find_time >= 2 * QUIET_TIME
        and (counter.proven_alert or not proven)
        and (counter.total + 1 != REPEATED or not rule.fingerprint)
    )


def is_due(rule: Rule, counter: Counting, time: float, *, proven: bool) -> bool:
    """Whether a full counter is worth an alert: a first one, a better proven one, a stubborn look."""
    if time >= counter.quiet_until or (proven and not counter.proven_alert):
        return True
    return rule.fingerprint and counter.total == REPEATED
