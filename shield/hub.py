"""Hub: the one way by which every alert and every change reaches all that follow them.

Detection and operators end up here alike, so the firewall, the journal, the watchers and the log never
see different things. No I/O of its own and no clock: the node gives both times.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from shield.blocklist.decision import Change, ChangeKind
from shield.blocklist.journal import Journal
from shield.control.watchers import Watchers
from shield.detect.alert import Alert
from shield.durations import format_duration
from shield.errors import InputError
from shield.firewall.feed import Feed
from shield.net import Network
from shield.pipeline import Finding, Pipeline, Verdict

__all__ = ["Hub"]

SAVE_CHANGES = 2000
"""Changes in one transaction of the journal: some 20 ms, then packets are read again."""

SAVE_ALERTS = 100
"""Alerts saved in one go; each carries its evidence."""

UNSAVED_ALERTS = 10_000
"""Alerts that wait to be saved, about 20 MB; a flood of forged sources makes more than anybody reads."""

LOG_LINES = 50
"""Alerts and changes logged in one second; what is beyond is counted: a log must not fill the disk."""

_log = logging.getLogger("shield")


class Hub:
    """Follows one pipeline. ``feed`` is None in mode ``observe``."""

    def __init__(self, pipeline: Pipeline, journal: Journal, feed: Feed | None) -> None:
        self.pipeline = pipeline
        self.journal = journal
        self.feed = feed
        self.watchers = Watchers()
        self.matched: Counter[str] = Counter()
        """Alerts by scenario since the start."""
        self.alerts_unsaved_lost = 0
        self.inspecting = False
        """Another thread reads the kernel; the feed takes no allowlist meanwhile."""
        self.wake: Callable[[], None] = lambda: None
        """Called when the firewall has something to do."""
        self._changes: deque[Change] = deque()
        self._alerts: deque[tuple[Alert, float]] = deque(maxlen=UNSAVED_ALERTS)
        self._allow_waits = False
        self._logged = 0
        self._unlogged = 0

    # --- what happened ----------------------------------------------------------------------

    def take(self, findings: Sequence[Finding], now: float, wall: float) -> None:
        """Hand on what the pipeline found, bans to the kernel before anything else."""
        changes: list[Change] = []
        for finding in findings:
            if isinstance(finding, Verdict):
                changes += finding.changes
            else:
                changes.append(finding)
        self._enforce(changes, now)
        for finding in findings:
            if isinstance(finding, Verdict):
                self._tell_alert(finding, now, wall)
                self._tell_changes(finding.changes, now)
            else:
                self._tell_changes((finding,), now)

    def take_changes(self, changes: Sequence[Change], now: float) -> None:
        """Hand on what an operator or the passing of time changed."""
        self._enforce(changes, now)
        self._tell_changes(changes, now)

    def allowlist_changed(self, now: float) -> list[Change]:
        """End the bans that the allowlist now covers and let what it holds pass the firewall."""
        changes = self.pipeline.blocklist.enforce_allowlist(now)
        self.take_changes(changes, now)
        self._allow_waits = True
        self.tell_allowlist(now)
        return changes

    def tell_allowlist(self, now: float) -> None:
        """Give the firewall a changed allowlist, unless its sets are being read."""
        if not self._allow_waits or self.inspecting:
            return
        self._allow_waits = False
        if self.feed is not None:
            self.feed.allow(self.pipeline.allowlist.networks(now), now)
            self.wake()

    # --- operators --------------------------------------------------------------------------

    def unban(self, network: Network, now: float, reason: str) -> list[Change]:
        """End the bans of exactly this network; raises InputError when there is none.

        The caller hands the changes to ``take_changes``, those of a whole command at once.
        """
        changes = self.pipeline.blocklist.remove(network, now, reason)
        if not changes:
            covering = self.pipeline.blocklist.guard.networks.covering(network)
            outer = next((str(n) for n, _ in covering if n != network), "")
            raise InputError(f"not banned itself, but as part of {outer}" if outer else "not banned")
        return changes

    # --- the journal ------------------------------------------------------------------------

    @property
    def unsaved(self) -> int:
        """Changes and alerts that the journal has not got yet."""
        return len(self._changes) + len(self._alerts)

    def save(self, now: float, wall: float) -> int:
        """Give one portion to the journal; returns how much is left."""
        portion = [self._changes.popleft() for _ in range(min(SAVE_CHANGES, len(self._changes)))]
        self.journal.record(portion, now, wall)
        for _ in range(min(SAVE_ALERTS, len(self._alerts))):
            alert, moment = self._alerts.popleft()
            self.journal.record_alert(alert, moment)
        return self.unsaved

    # --- telling ----------------------------------------------------------------------------

    def second(self) -> None:
        """Begin a new second of logging; say how many lines the last one left out."""
        if self._unlogged:
            _log.info("%d further alerts and changes in the last second", self._unlogged)
        self._logged = self._unlogged = 0

    def _enforce(self, changes: Sequence[Change], now: float) -> None:
        if self.feed is not None and changes:
            self.feed.apply(changes, now)
            self.wake()

    def _tell_alert(self, verdict: Verdict, now: float, wall: float) -> None:
        alert = verdict.alert
        if not verdict.again:
            self.matched[alert.scenario] += 1
            if len(self._alerts) == UNSAVED_ALERTS:
                self.alerts_unsaved_lost += 1
            self._alerts.append((alert, wall))
        if self.watchers:
            event: dict[str, Any] = {"event": "alert", **alert.as_json(), "why": verdict.why}
            event["decision"] = None if verdict.decision is None else verdict.decision.as_json(now)
            self.watchers.publish(event)
        self._line("alert: %s %s (%s, %s): %s", alert.address, alert.scenario, alert.kind,
                   alert.proof.value, verdict.why)  # fmt: skip

    def _tell_changes(self, changes: Sequence[Change], now: float) -> None:
        for change in changes:
            self._changes.append(change)
            decision = change.decision
            if self.watchers:
                self.watchers.publish(
                    {
                        "event": "change",
                        "change": change.kind.value,
                        "why": change.reason,
                        **decision.as_json(now),
                    }
                )
            if change.kind in (ChangeKind.ADDED, ChangeKind.EXTENDED):
                self._line("ban: %s %s for %s (%s, %s, by %s)", decision.value, change.kind.value,
                           format_duration(decision.remaining(now)), decision.scenario,
                           decision.proof.value, decision.origin)  # fmt: skip
            else:
                self._line("unban: %s %s%s", decision.value, change.kind.value,
                           f" ({change.reason})" if change.reason else "")  # fmt: skip

    def _line(self, text: str, *arguments: object) -> None:
        self._logged += 1
        if self._logged > LOG_LINES:
            self._unlogged += 1
        else:
            _log.info(text, *arguments)
