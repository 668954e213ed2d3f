"""Judges crowds: when many sources together reach the limit of a rule, all that took part are accused.

Each is accused on its own evidence: a source is *proven* only when its own things prove its address, and
when more than half of what the limit asks for is proven too: no forger makes a crowd around somebody
whose phone is refused. A source that is trusted stays out when the rule exempts trusted ones, and so
does one that showed too little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shield.detect.alert import Alert, Proof
from shield.detect.crowd import Crowd, Crowds, Member
from shield.detect.evidence import EvidenceStore
from shield.detect.mark import Mark
from shield.detect.prefixes import Neighbours, prefix
from shield.detect.report import PROGRESS_TIME, QUIET_TIME, crowd_details, make_alert
from shield.detect.rule import Rule
from shield.detect.sources import SourceRecord, Sources
from shield.sip.event import SipEvent, proof_names
from shield.sip.servers import Servers

__all__ = ["Together"]

SHARED_PREFIX_EACH = 2
"""In a network with good neighbours one failed try is anybody's; two are the source's own."""


class Together:
    """Crowds of all rules that do not count by client."""

    def __init__(
        self, sources: Sources, evidence: EvidenceStore, neighbours: Neighbours, servers: Servers
    ) -> None:
        self.crowds = Crowds()
        self.trust_time = 0.0
        self._sources, self._evidence = sources, evidence
        self._neighbours, self._servers = neighbours, servers

    def clean(self, address: bytes) -> bool:
        """Whether nobody in the /24 or /64 of an address is good, and none is our server."""
        near = prefix(address)
        if not self._neighbours.clean(address):
            return False
        return not any(
            server.startswith(near) for server in self._servers.known if len(server) == len(address)
        )

    def judge(
        self, rule: Rule, event: SipEvent, record: SourceRecord, *, key: int, distinct: int | None,
        marks: Sequence[Mark], proven: bool,
    ) -> Sequence[Alert]:  # fmt: skip
        """Count what fits a rule; gives the alerts about everybody whom it accuses with this event."""
        record.crowded = True
        thing = distinct if distinct is not None else hash((event.client, record.messages, event.kind))
        found = self.crowds.add(
            key, event.client, thing, event.time, proofs=event.proofs, proven=proven, each=rule.each,
            find_time=rule.find_time, alone=rule.sources == 1, request=event.request,
        )  # fmt: skip
        if found is None:
            return ()
        crowd, member = found
        clean = "network" not in rule.group or self.clean(event.client)
        limit = rule.max_retry if clean else rule.max_retry * rule.trusted_factor
        if len(crowd) < limit or crowd.ready < rule.sources:
            crowd.complete = False
            return ()
        if crowd.complete and event.time < member.quiet_until and member.proven_alert:
            return ()
        base = make_alert(
            rule, event, record, (), count=len(crowd), limit=limit, marks=marks, proven=False
        )
        each = rule.each if clean else max(rule.each, SHARED_PREFIX_EACH)
        if not clean:
            base = replace(base, length=None)
        accused: Sequence[tuple[bytes, Member]] = [(event.client, member)]
        # A ban of the whole network needs one alert; otherwise everybody who took part is named once.
        if not crowd.complete and base.length is None:
            accused = list(crowd.members.items())
        crowd.complete = True
        return [
            alert
            for client, one in accused
            if one.things >= each
            and (alert := self._accuse(rule, event, base, crowd, client)) is not None
        ]

    def _accuse(
        self, rule: Rule, event: SipEvent, base: Alert, crowd: Crowd, client: bytes
    ) -> Alert | None:
        """The alert about one source; None when it is trusted, or was accused a moment ago."""
        member = crowd.members[client]
        proven = (
            member.proven >= rule.each
            and crowd.proven_ready * 2 > rule.sources
            and crowd.proven * 2 > rule.max_retry
        )
        if event.time < member.quiet_until and (member.proven_alert or not proven):
            return None
        record = self._sources.get(client)
        if record is None or (rule.exempt_trusted and record.trusted(event.time, self.trust_time)):
            return None
        member.quiet_until, member.proven_alert = event.time + QUIET_TIME, proven
        campaign = member.campaign
        if "campaign" in rule.group:
            campaign = base.campaign.encode()
        return replace(
            base,
            time=member.time,
            source=client,
            proof=Proof.PROVEN if proven else Proof.UNPROVEN,
            proofs=proof_names(member.proofs),
            messages=record.messages,
            first_seen=record.first_seen,
            repeated=event.time - record.progress_time > PROGRESS_TIME,
            sources=crowd.ready,
            details=crowd_details(
                rule, event, base.details if client == event.client else (), crowd.ready, campaign
            ),
            evidence=self._evidence.of(client),
        )

    def forgive(self, rule: Rule, event: SipEvent, key: int) -> None:
        """What succeeded was no guess: of a rule about users that user, else all of this source."""
        thing = hash(event.user) if rule.distinct_name == "user" else None
        self.crowds.forgive(key, event.client, thing, rule.each)
