"""Observer: turns what dialogs do into reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shield.cdr.report import Kind, Report
from shield.cdr.settings import Failed
from shield.sip.calls import Call, State
from shield.sip.event import SipEvent
from shield.sip.headers import fast_tag
from shield.sip.recent import RecentMap

__all__ = ["Observer", "ObserverStats"]

MAX_ENDED = 131_072
"""Calls that ended lately: their BYE passes once more when a proxy sends it on."""
ENDED_TIME = 600.0
STRAY_RATE = 200
"""BYEs of unknown calls that are reported in a second: more are no calls that moved here."""


@dataclass(slots=True)
class ObserverStats:
    """What was reported, and what was not."""

    started: int = 0
    stopped: int = 0
    failed: int = 0
    strays: int = 0
    unknown_failed: int = 0
    """Unanswered calls left out by ``cdr.failed``."""
    strays_dropped: int = 0


class Observer:
    """A follower of ``Dialogs``. ``take`` is given each report."""

    def __init__(self, failed: Failed, take: Callable[[Report], None]) -> None:
        self.failed = failed
        self.stats = ObserverStats()
        self._take = take
        self._ended: RecentMap[tuple[bytes, bytes], float] = RecentMap(MAX_ENDED, ENDED_TIME)
        self._second = self._in_second = 0

    def changed(self, call: Call) -> None:
        """A call rings, is answered or is over."""
        if call.ended:
            self._over(call)
        elif call.answered:
            self.stats.started += 1
            self._take(_report(Kind.START, call))

    def stray(self, event: SipEvent) -> None:
        """A BYE of a call whose begin was not seen here: another node may have."""
        request = event.request
        if request is None or not event.tag:
            return
        to_tag = fast_tag(request.to)
        if not to_tag:
            return
        if any(self._ended.get((request.call_id, tag)) is not None for tag in (event.tag, to_tag)):
            return
        self._ended.put((request.call_id, event.tag), event.time)
        second = int(event.time)
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        if self._in_second > STRAY_RATE:
            self.stats.strays_dropped += 1
            return
        self.stats.strays += 1
        self._take(Report(Kind.BYE, request.call_id, event.tag, to_tag, ended=event.time))

    def tick(self, time: float) -> None:
        """Let event time pass."""
        self._ended.tick(time)

    def _over(self, call: Call) -> None:
        self._ended.put((call.call_id, call.tag), call.ended)
        if not call.answered:
            if self.failed is Failed.NONE or (
                self.failed is Failed.KNOWN and not call.account and not call.rang
            ):
                self.stats.unknown_failed += 1
                return
            self.stats.failed += 1
        else:
            self.stats.stopped += 1
        self._take(_report(Kind.STOP, call))


def _report(kind: Kind, call: Call) -> Report:
    answered = [tag for tag, state in call.dialogs.items() if state in (State.ANSWERED, State.ENDED)]
    return Report(
        kind,
        call.call_id,
        call.tag,
        answered[0] if answered else b"",
        caller=call.caller,
        called=call.called,
        account=call.account,
        source=call.source,
        server=call.server,
        started=call.started,
        rang=call.rang,
        answered=call.answered,
        ended=call.ended,
        status=call.status,
        incomplete=call.incomplete,
    )
