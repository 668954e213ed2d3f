"""Keeps the messages that made rules count, bounded in number and size."""

from __future__ import annotations

from shield.detect.alert import EVIDENCE_BYTES, Evidence
from shield.sip.event import SipEvent
from shield.sip.recent import RecentMap

__all__ = ["EvidenceStore"]

MAX_SOURCES = 8_192
"""Sources with evidence; at 5 messages of 600 bytes this is at most 25 MB."""
PER_SOURCE = 5
KEEP_TIME = 3_600.0

_Kept = tuple[float, bytes, str]
"""Event time, head of the message, note."""


class EvidenceStore:
    """The last few counted messages of each suspicious source."""

    def __init__(self) -> None:
        self._last: SipEvent | None = None
        self._kept: RecentMap[bytes, tuple[_Kept, ...]] = RecentMap(MAX_SOURCES, KEEP_TIME)

    def add(self, event: SipEvent, note: str) -> None:
        """Keep the request of an event, once, however many rules count it."""
        if event is self._last:
            return
        self._last = event
        head = event.request.head if event.request is not None else event.payload
        kept = self._kept.get(event.client) or ()
        self._kept.put(
            event.client, (*kept[1 - PER_SOURCE :], (event.time, head[:EVIDENCE_BYTES], note))
        )

    def of(self, source: bytes) -> tuple[Evidence, ...]:
        """What is kept of a source, oldest first."""
        return tuple(
            Evidence(time, head.decode("utf-8", "backslashreplace"), note)
            for time, head, note in self._kept.get(source) or ()
        )

    def tick(self, time: float) -> None:
        """Let event time pass."""
        self._kept.tick(time)
