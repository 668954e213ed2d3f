"""Keeps the messages that made rules count, bounded in number and size."""

from __future__ import annotations

from shield.detect.alert import EVIDENCE_BYTES, Alert, Evidence, Proof
from shield.detect.culprits import Culprits
from shield.net import Port
from shield.sip.event import SipEvent
from shield.sip.recent import RecentMap

__all__ = ["EvidenceStore"]

MAX_SOURCES = 8_192
"""Sources with evidence; at 5 messages of 600 bytes this is at most 25 MB."""
PER_SOURCE = 5
KEEP_TIME = 3_600.0

_Kept = tuple[float, bytes, str, bytes]
"""Event time, head of the message, note, account of its credentials."""


class EvidenceStore:
    """The last few counted messages of each suspicious source."""

    def __init__(self) -> None:
        self.culprits = Culprits()
        self._last: SipEvent | None = None
        self._kept: RecentMap[bytes, tuple[_Kept, ...]] = RecentMap(MAX_SOURCES, KEEP_TIME)

    def add(self, event: SipEvent, note: str, proven: str = "") -> None:
        """Keep the request of an event, once, however many rules count it.

        ``proven``: the rule that counts it, if it proves its address.
        """
        if proven:
            self.culprits.counted(event, proven)
        if event is self._last:
            return
        self._last = event
        head = event.request.head if event.request is not None else event.payload
        account = event.auth[0] if event.auth is not None else b""
        kept = self._kept.get(event.client) or ()
        fresh = (event.time, head[:EVIDENCE_BYTES], note, account)
        self._kept.put(event.client, (*kept[1 - PER_SOURCE :], fresh))

    def of(self, source: bytes) -> tuple[Evidence, ...]:
        """What is kept of a source, oldest first."""
        return tuple(
            Evidence(time, head.decode("utf-8", "backslashreplace"), note)
            for time, head, note, _ in self._kept.get(source) or ()
        )

    def ports(self, alert: Alert) -> tuple[Port, ...]:
        """Ports of the culprit of a proven alert; none if they say nothing."""
        if alert.proof is not Proof.PROVEN:
            return ()
        return self.culprits.of(alert.source, alert.scenario, alert.count)

    def accounts(self, source: bytes) -> tuple[bytes, ...]:
        """Accounts for which the kept messages of a source have credentials, each once."""
        kept = self._kept.get(source) or ()
        return tuple(dict.fromkeys(account for *_, account in kept if account))

    def tick(self, time: float) -> None:
        """Let event time pass."""
        self._kept.tick(time)
        self.culprits.tick(time)
