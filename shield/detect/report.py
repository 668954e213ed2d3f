"""What an alert tells about the message that completed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shield.detect.alert import Alert, Evidence, Proof
from shield.detect.mark import Mark
from shield.detect.prefixes import PREFIX_BITS
from shield.detect.rule import Rule
from shield.detect.scores import measure, scored
from shield.detect.shape import campaign_of
from shield.detect.sources import SourceRecord
from shield.net import Network, Port, unpack
from shield.sip.event import Kind, SipEvent, proof_names

__all__ = ["PROGRESS_TIME", "QUIET_TIME", "REPEATED", "crowd_details", "make_alert", "note", "told"]

REPEATED = 3
"""A fingerprint seen this often in one source is reported once more: it is no stray packet."""
QUIET_TIME = 60.0
"""A rule repeats its alert about a source at most this often (seconds), unless its proof got better."""
PROGRESS_TIME = 60.0
"""While a call of the source rings, weak evidence against it waits: it may be a carrier's address
that somebody else puts on his packets, and the call is about to be answered."""

_KIND_NAMES = tuple(kind.name.lower() for kind in Kind)


def make_alert(
    rule: Rule,
    event: SipEvent,
    record: SourceRecord,
    evidence: tuple[Evidence, ...],
    *,
    count: int,
    limit: int,
    marks: Sequence[Mark],
    proven: bool,
    find_time: float | None = None,
) -> Alert:
    """The alert of a rule that has reached its limit with this event; ``find_time``: of a tier."""
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
        measure=measure(rule, find_time),
        messages=record.messages,
        first_seen=record.first_seen,
        ban_time=rule.ban_time,
        fingerprint=rule.fingerprint,
        repeated=(not rule.fingerprint or record.messages >= REPEATED)
        and event.time - record.progress_time > PROGRESS_TIME,
        marks=tuple((mark.text, mark.weight) for mark in marks),
        length=length,
        details=_details(rule, event),
        evidence=evidence,
    )


def note(rule: Rule, event: SipEvent, marks: Sequence[Mark]) -> str:
    """What a rule saw in a message, for the evidence."""
    text = rule.name
    if event.status:
        text += f"; {_KIND_NAMES[event.kind]} {event.status}"
    return "; ".join((text, *(mark.text for mark in marks))) if marks else text


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
    campaign = campaign_of(event.request)
    if campaign is not None:
        found.append(("campaign", campaign.decode()))
    return tuple(found)


def told(alert: Alert, ports: tuple[Port, ...], accounts: Sequence[bytes], linked: int | None) -> Alert:
    """An alert with what is known beside its last message.

    ``ports``: of the culprit behind a NAT; ``accounts``: of the counted messages; ``linked``: accused
    sources that show the same campaign.
    """
    more = []
    if linked is not None:
        more.append(("campaign_sources", str(linked)))
    if len(accounts) > 1:
        names = (name[:80].decode("utf-8", "backslashreplace") for name in accounts)
        more.append(("accounts", ", ".join(names)))
    if ports:
        more.append(("culprit", f"only {', '.join(map(str, ports))}, where nobody logged in"))
    return replace(alert, details=(*alert.details, *more), ports=ports) if more else alert


def crowd_details(
    rule: Rule, event: SipEvent, own: tuple[tuple[str, str], ...], sources: int, campaign: bytes
) -> tuple[tuple[str, str], ...]:
    """What an operator wants to know of a crowd: whom it aims at, and how many take part.

    ``own``: details of the source's own last message, where it is at hand.
    """
    found = list(own) or [("rule", rule.description)]
    if not own and campaign:
        found.append(("campaign", campaign.decode()))
    aims = []
    for name, read in zip(rule.group, rule.key_fields, strict=True):
        value = read(event)
        if name == "network":
            text = str(Network.around(event.client, PREFIX_BITS[len(event.client) == 16]))
        else:
            text = value[:80].decode("utf-8", "backslashreplace") if isinstance(value, bytes) else ""
        aims.append(f"{name} {text}")
    return (*found, ("aimed_at", ", ".join(aims)), ("sources", str(sources)))
