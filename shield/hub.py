"""Hub: the one way by which every alert and every change reaches all that follow them.

Detection and operators end up here alike, so the firewall, the journal, the watchers and the log never
see different things. No I/O of its own and no clock: the node gives both times.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from shield.accounts import Accounts
from shield.blocklist.allowlist import AllowEntry
from shield.blocklist.decision import Change, ChangeKind
from shield.blocklist.journal import Journal
from shield.blocklist.journal_rows import alert_document
from shield.blocklist.sharing import Sharing
from shield.control.watchers import Watchers
from shield.durations import format_duration
from shield.errors import InputError
from shield.firewall.feed import Feed
from shield.net import Network
from shield.pipeline import Finding, Pipeline, Verdict

__all__ = ["Ask", "Hub"]

SAVE_CHANGES = 2000
"""Changes in one transaction of the journal: some 20 ms, then packets are read again."""

SAVE_ALERTS = 100
"""Alerts saved in one go; each carries its evidence."""

SAVE_SHARED = 1000
"""Records and changes of other nodes in one transaction. They are saved at leisure, some thousands a
second: what a kill -9 costs of them comes again from the others."""

UNSAVED_SHARED = 20_000
"""New bans of other nodes that wait for the history; what a joiner hears beyond is in force and saved,
but is no line of history, where it would push out what happened here."""

UNSAVED_ALERTS = 10_000
"""Alerts that wait to be saved, about 20 MB; a flood of forged sources makes more than anybody reads."""

LOG_LINES = 50
"""Alerts and changes logged in one second; what is beyond is counted: a log must not fill the disk."""

_log = logging.getLogger("shield")


Ask = Callable[[str, Any], Awaitable[Any]]
"""Sends a question (a msgpack value) to a node; gives the body of its answer, None without one."""


class Hub:
    """Follows one pipeline. ``feed`` is None in mode ``observe``."""

    def __init__(
        self,
        pipeline: Pipeline,
        journal: Journal,
        feed: Feed | None,
        sharing: Sharing | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.journal = journal
        self.feed = feed
        self.sharing = sharing
        """Tells other nodes, None when there are none."""
        if sharing is not None:
            sharing.host = self
        self.ask_origin: Ask | None = None
        """Asks another node within a deadline; set by the node that has a cluster."""
        self.watchers = Watchers()
        self.accounts = Accounts(journal, self.publish)
        self.hooked: frozenset[str] = frozenset()
        """Events that hooks want."""
        self.offer: Callable[[dict[str, Any]], None] = lambda _event: None
        """Takes events for hooks; never waits."""
        self.matched: Counter[str] = Counter()
        """Alerts by scenario since the start."""
        self.alerts_unsaved_lost = 0
        self.inspecting = False
        """Another thread reads the kernel; the feed takes no allowlist meanwhile."""
        self.wake: Callable[[], None] = lambda: None
        """Called when the firewall has something to do."""
        self._changes: deque[Change] = deque()
        self._shared: deque[Change] = deque()
        """Changes that other nodes caused; the map's own records of them are saved as well."""
        self.history_skipped = 0
        """New bans of other nodes that came too fast for the history."""
        self._documents: deque[Mapping[str, Any]] = deque(maxlen=UNSAVED_ALERTS)
        """Alerts in the shape that is stored."""
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
            elif isinstance(finding, Change):
                changes.append(finding)
        self._enforce(changes, now)
        if self.sharing is not None and changes:
            found = (f for f in findings if isinstance(f, Verdict))
            alerts = {f.decision.network: f.alert for f in found if f.decision is not None and f.changes}
            self.sharing.share(changes, now, alerts)
        for finding in findings:
            if isinstance(finding, Verdict):
                self._tell_alert(finding, now, wall)
                self._tell_changes(finding.changes, now)
            elif isinstance(finding, Change):
                self._tell_changes((finding,), now)
            else:
                self.accounts.take(finding.as_json())

    def take_changes(self, changes: Sequence[Change], now: float) -> None:
        """Hand on what an operator or the passing of time changed."""
        self._enforce(changes, now)
        if self.sharing is not None and changes:
            self.sharing.share(changes, now)
        self._tell_changes(changes, now)

    def allowlist_changed(self, now: float) -> list[Change]:
        """End the bans that the allowlist now covers and let what it holds pass the firewall."""
        changes = self.pipeline.blocklist.enforce_allowlist(now)
        self.take_changes(changes, now)
        if self.sharing is not None:
            self.sharing.allowlist_changed(now)
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

    # --- what other nodes say ---------------------------------------------------------------

    def take_shared(self, changes: Sequence[Change], now: float) -> None:
        """Hand on what other nodes changed; it is not told to them again."""
        self._enforce(changes, now)
        waiting = self._shared
        for change in changes:
            if change.kind is ChangeKind.ADDED and len(waiting) >= UNSAVED_SHARED:
                self.history_skipped += 1
            else:
                waiting.append(change)
        self._tell(changes, now)

    def take_allowed(self, added: Sequence[AllowEntry], removed: Sequence[str], now: float) -> None:
        """Follow allowlist entries that other nodes made or took out."""
        if self.sharing is None:
            return
        wall = self.sharing.wall()
        for value in removed:
            self.journal.remove_allow(value)
        for entry in added:
            self.journal.save_allow(entry, now, wall)
        self.allowlist_changed(now)

    def take_documents(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Keep alerts of other nodes."""
        for document in documents:
            self._keep(document)

    def documents_of(self, network: Network) -> Sequence[Mapping[str, Any]]:
        """Alerts of this node about an address, newest first; an alert never accuses a network."""
        kept = self.journal.alerts(str(network))
        waiting = [one for one in reversed(self._documents) if one["value"] == str(network)]
        return [one for one in (*waiting, *kept) if not one.get("origin")]

    # --- operators --------------------------------------------------------------------------

    def unban(self, network: Network, now: float, reason: str) -> list[Change]:
        """End the bans of exactly this network; raises InputError when there is none.

        The caller hands the changes to ``take_changes``, those of a whole command at once.
        """
        changes = self.pipeline.blocklist.remove(network, now, reason)
        if not changes and not (self.sharing and self.sharing.unban(network, now)):
            covering = self.pipeline.blocklist.guard.networks.covering(network)
            outer = next((str(n) for n, _ in covering if n != network), "")
            raise InputError(f"not banned itself, but as part of {outer}" if outer else "not banned")
        return changes

    # --- the journal ------------------------------------------------------------------------

    @property
    def unsaved(self) -> int:
        """Changes, alerts and records of this node that the journal has not got yet."""
        own = 0 if self.sharing is None else self.sharing.store.urgent
        return len(self._changes) + len(self._documents) + len(self.accounts) + own

    def save(self, now: float, wall: float) -> int:
        """Give one portion to the journal; returns how much is left."""
        portion = [self._changes.popleft() for _ in range(min(SAVE_CHANGES, len(self._changes)))]
        self.journal.record(portion, now, wall)
        for _ in range(min(SAVE_ALERTS, len(self._documents))):
            self.journal.record_document(self._documents.popleft())
        self.accounts.save()
        if self.sharing is not None:
            self._save_shared(self.sharing, now, wall)
        return self.unsaved

    def _save_shared(self, sharing: Sharing, now: float, wall: float) -> None:
        """Give the journal what this node told the others, and a part of what they told it."""
        most = max(SAVE_SHARED, min(sharing.store.urgent, SAVE_CHANGES))
        self.journal.record_shared(*sharing.store.take(most, now, wall))
        portion = [self._shared.popleft() for _ in range(min(SAVE_SHARED, len(self._shared)))]
        self.journal.record(portion, now, wall, shared=True)

    # --- telling ----------------------------------------------------------------------------

    def publish(self, event: dict[str, Any]) -> None:
        """Give an event to watchers and hooks."""
        if self.watchers:
            self.watchers.publish(event)
        if event["event"] in self.hooked:
            self.offer(event)

    def _heard(self, event: str) -> bool:
        """Whether anybody wants events of this name: else nobody builds them."""
        return bool(self.watchers) or event in self.hooked

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
            self._keep(alert_document(alert, wall))
        if self._heard("alert"):
            event: dict[str, Any] = {"event": "alert", **alert.as_json(), "why": verdict.why}
            event["decision"] = None if verdict.decision is None else verdict.decision.as_json(now)
            self.publish(event)
        self._line("alert: %s %s (%s, %s): %s", alert.address, alert.scenario, alert.kind,
                   alert.proof.value, verdict.why)  # fmt: skip

    def _keep(self, document: Mapping[str, Any]) -> None:
        if len(self._documents) == UNSAVED_ALERTS:
            self.alerts_unsaved_lost += 1
        self._documents.append(document)

    def _tell_changes(self, changes: Sequence[Change], now: float) -> None:
        self._changes.extend(changes)
        self._tell(changes, now)

    def _tell(self, changes: Sequence[Change], now: float) -> None:
        if not self._heard("change") and self._logged >= LOG_LINES:
            self._unlogged += len(changes)  # a joiner hears of a million
            return
        for change in changes:
            decision = change.decision
            if self._heard("change"):
                self.publish(
                    {
                        "event": "change",
                        "change": change.kind.value,
                        "why": change.reason,
                        **decision.as_json(now),
                    }
                )
            if change.kind in (ChangeKind.ADDED, ChangeKind.EXTENDED):
                ports = f" {', '.join(map(str, decision.ports))}" if decision.ports else ""
                self._line("%s: %s%s %s for %s (%s, %s, by %s)", decision.type, decision.value, ports,
                           change.kind.value,
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
