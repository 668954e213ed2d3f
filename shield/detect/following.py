"""Following: the calls of a compromised account, told while they happen, in bounded amounts."""

from __future__ import annotations

from dataclasses import replace

from shield.detect.compromise import Compromise, record_of
from shield.detect.guesses import Account
from shield.detect.homes import Homes
from shield.sip.calls import Call
from shield.sip.dialogs import Dialogs

__all__ = ["Follower"]

MAX_FOLLOWED = 1_024
"""Accounts that are followed at a time; of more the oldest are let go."""
FOLLOW_TIME = 86_400.0
"""Seconds for which calls are told: fraud begins within minutes, or in the night after."""
MAX_CALLS = 100
"""Calls that one report lists; more are counted."""
UPDATE_TIME = 10.0
"""Seconds between two updates of one report: a dialler makes calls each second."""
MAX_UPDATES = 500
"""Updates of one report; then only the last state is told, when following ends."""


class _Report:
    """One account that is followed."""

    __slots__ = ("account", "base", "calls", "dirty", "due", "time", "told", "total", "until")

    def __init__(self, base: Compromise, account: Account) -> None:
        self.base, self.account = base, account
        self.calls: list[Call] = []
        self.total = self.told = 0
        self.until = base.time + FOLLOW_TIME
        self.due = self.time = base.time
        self.dirty = False

    def changed(self, call: Call) -> None:
        """A call has come farther."""
        self.dirty = True
        self.time = max(self.time, call.ended, call.answered, call.rang, call.started)


class Follower:
    """Follows what ``begin`` is given; what is to be told lies in ``found``."""

    def __init__(self, dialogs: Dialogs, homes: Homes) -> None:
        self.found: list[Compromise] = []
        self._dialogs, self._homes = dialogs, homes
        self._reports: dict[tuple[Account, bytes], _Report] = {}

    def __len__(self) -> int:
        return len(self._reports)

    def follows(self, account: Account, source: bytes) -> bool:
        """Whether this source has been reported for this account already."""
        return (account, source) in self._reports

    def begin(self, compromise: Compromise, account: Account, call: Call | None) -> None:
        """Tell a new compromise and follow it; ``call``: by which the source logged in."""
        if len(self._reports) >= MAX_FOLLOWED:
            self._end(next(iter(self._reports)))
        report = self._reports[account, compromise.source] = _Report(compromise, account)
        if call is not None:
            self._add(report, call)
        report.dirty = False
        report.due = compromise.time
        self.found.append(_told(report, "found", compromise.time))
        self._dialogs.on_call = self._call

    def tick(self, time: float) -> None:
        """Let event time pass: tell what has changed, end what is over."""
        for key, report in list(self._reports.items()):
            if time >= report.until:
                self._end(key)
            elif report.dirty and time >= report.due and report.told < MAX_UPDATES:
                report.due = time + UPDATE_TIME
                self._tell(report)

    def finish(self) -> None:
        """Tell what has changed last: the end of a capture."""
        for report in self._reports.values():
            if report.dirty:
                self._tell(report)

    def _call(self, call: Call) -> None:
        """A call begins, or its account becomes known."""
        if call.follow is not None:
            return
        who = (call.account or call.caller).partition(b"@")[0]
        for report in self._reports.values():
            own = call.source == report.base.source
            if own and (who == report.account.user or not self._homes.knows(who, call.source)):
                self._add(report, call)
                return
            if call.account and who == report.account.user and call.server == report.base.server:
                self._add(report, call)
                return

    def _add(self, report: _Report, call: Call) -> None:
        report.total += 1
        if len(report.calls) < MAX_CALLS:
            report.calls.append(call)
        call.follow = report.changed
        report.changed(call)

    def _tell(self, report: _Report) -> None:
        report.dirty = False
        report.told += 1
        self.found.append(_told(report, "call", report.time))

    def _end(self, key: tuple[Account, bytes]) -> None:
        report = self._reports.pop(key)
        if report.dirty:
            self._tell(report)
        for call in report.calls:
            call.follow = None
        if not self._reports:
            self._dialogs.on_call = None


def _told(report: _Report, kind: str, time: float) -> Compromise:
    return replace(
        report.base,
        kind=kind,
        time=time,
        calls=tuple(record_of(call, time) for call in report.calls),
        calls_total=report.total,
    )
