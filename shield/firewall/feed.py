"""Feed: keeps the kernel's elements equal to the blocklist's decisions, whatever happens.

It holds the wanted state and the names of what is not in the kernel yet. One ban goes to the kernel
at once; further ones are collected for some milliseconds; many go in slices short enough to be done
between two packets. ``inspect`` and ``repair`` compare the kernel with the wanted state. No clock,
no thread: the caller gives the node time and asks ``due`` when to come again. ``inspect`` alone only
reads and may run in another thread.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shield.blocklist.decision import Change, Decision
from shield.errors import SystemFailure
from shield.firewall.backend import Backend, Element
from shield.firewall.feed_stats import FeedStats
from shield.firewall.inspection import READ_MOST, Inspection, compare, read_elements
from shield.firewall.lane import Lane
from shield.firewall.limits import Key
from shield.firewall.settings import FirewallSettings
from shield.firewall.wanted import Wanted
from shield.net import Network

__all__ = ["Feed"]

INLINE_MOST = 64
"""Changes that are committed inside ``apply``; more wait for ``flush``, so that no call takes long."""

PENDING_EXTRA = 100_000
"""Deletions that may wait for a kernel that refuses; more are left to the next inspection."""

log = logging.getLogger(__name__)


class Feed:
    """Carries decisions into one backend."""

    def __init__(self, backend: Backend, settings: FirewallSettings) -> None:
        self.backend = backend
        self.settings = settings
        self.stats = FeedStats()
        self._wanted = Wanted()
        self._allowed: tuple[Network, ...] | None = None
        self._allow_at = math.inf
        self._host_lane = Lane(settings, settings.batch_seconds)
        self._network_lane = Lane(settings, settings.network_seconds)
        self._opened = False
        self._trusted = False
        """The last inspection ended well, so an undisturbed kernel need not be read."""
        self._look_at = -math.inf
        self._touched: set[Key] = set()
        """What changed since the last inspection began; its answer about these is old."""

    # --- what is wanted ---------------------------------------------------------------------

    def adopt(self, decisions: Iterable[Decision], now: float) -> None:
        """Start with these live decisions; keeps what the kernel still holds of them.

        Reads the kernel (0.4 s with 100,000 elements). What differs goes with the next ``flush``.
        """
        for decision in decisions:
            self._wanted.want(decision)
        self._host_lane.add(self._wanted.hosts)
        self._network_lane.add(self._wanted.cover(now))
        if self._open(now):
            self._look_at = now + self.settings.reconcile
            if len(self._wanted.hosts) <= READ_MOST:  # beyond, putting all in again takes less time
                self._adopt_kernel(now)
        self._count()

    def _adopt_kernel(self, now: float) -> None:
        """Leave out of what is pending whatever the kernel has already."""
        inspection = self.inspect()
        self._trusted = inspection.error is None
        if inspection.error is None:
            self._host_lane.waiting.clear()
            self._network_lane.waiting.clear()
        self._compare(inspection, now, counted=False)

    def apply(self, changes: Sequence[Change], now: float) -> None:
        """Take over changes; up to INLINE_MOST of hosts are in the kernel when this returns."""
        hosts: list[Key] = []
        networks = False
        for change in changes:
            keys, done = self._wanted.follow(change, now)
            self._touched.update(keys)
            if not change.decision.network.is_host:
                networks = True
            elif not done:
                hosts += keys
        if networks:
            self._network_lane.add(self._wanted.cover(now))
        self._host_lane.add(hosts)
        if len(self._host_lane) > len(self._wanted.hosts) + PENDING_EXTRA:
            self._host_lane.keep(self._wanted.hosts)
            self._trusted = False  # what was left out will be found as not ours
        if 0 < len(hosts) <= INLINE_MOST and self._opened and now >= self._host_lane.ready_at:
            self._commit_hosts(hosts, now)
        if self._network_lane and now >= self._network_lane.ready_at:
            self._commit_networks(now)
        self._count()

    def allow(self, networks: Sequence[Network], now: float) -> None:
        """Let these pass before any ban; they win over everything. Retried until it is done."""
        self._allowed = tuple(networks)
        self._allow_at = now
        self._commit_allowed(now)

    # --- time -------------------------------------------------------------------------------

    def due(self, now: float) -> float:
        """Node time at which ``tick`` (or ``flush`` and an inspection) is needed next."""
        times = [self._look_at, self._wanted.handover]
        if self._opened:
            times.append(self._allow_at)
            times += [lane.ready_at for lane in (self._host_lane, self._network_lane) if lane]
        return max(now, min(times))

    def look_due(self, now: float) -> bool:
        """Tell whether the kernel should be inspected now."""
        return now >= self._look_at

    def tick(self, now: float) -> None:
        """Do all that is due, reading the kernel included."""
        if self.look_due(now):
            self.repair(self.inspect(), now)
        self.flush(now)

    def flush(self, now: float) -> int:
        """Commit one slice of what is pending and due; returns how many are still pending."""
        if self._allow_at <= now:
            self._commit_allowed(now)
        if self._wanted.handover <= now:
            self._network_lane.add(self._wanted.cover(now))
            self._network_lane.ready_at = min(self._network_lane.ready_at, now)
        if self._opened:
            if self._network_lane and now >= self._network_lane.ready_at:
                self._commit_networks(now)
            if self._host_lane and now >= self._host_lane.ready_at:
                self._commit_hosts(self._host_lane.batch(), now)
        self._count()
        return self.stats.pending

    # --- repair -----------------------------------------------------------------------------

    def reconcile(self, now: float) -> None:
        """Compare and repair at once: ``inspect``, ``repair`` and as many ``flush`` as it takes."""
        failures = self.stats.failed
        self._look_at = now
        while self.look_due(now) and self.stats.failed == failures:
            self.repair(self.inspect(), now)
        while self._opened and self.flush(now) and self.stats.failed == failures:
            if min(lane.ready_at for lane in (self._host_lane, self._network_lane) if lane) > now:
                break

    def inspect(self) -> Inspection:
        """Read the kernel. May run in another thread, while nothing but ``apply`` and ``flush`` runs."""
        self._touched = set()
        try:
            if not self._opened:
                return Inspection(healthy=False)
            if self.backend.undisturbed() and self._trusted:
                return Inspection(quiet=True)
            if not self.backend.healthy():
                return Inspection(healthy=False)
            return read_elements(self.backend, [*self._wanted.hosts, *self._wanted.installed])
        except SystemFailure as error:
            return Inspection(error=error)

    def repair(self, inspection: Inspection, now: float) -> None:
        """Make pending what an inspection found wrong; ``flush`` then puts it right."""
        self.stats.inspections += 1
        self._look_at = now + self.settings.reconcile
        self._trusted = inspection.error is None and inspection.healthy
        if inspection.error is not None:
            self._failed(inspection.error, now, "inspection")
        elif not inspection.healthy:
            first = not self._opened
            if self._open(now):
                self._look_at = now  # the elements have not been read yet
                if not first:
                    self.stats.rebuilt += 1
                    self._repaired("table, sets or rules had been changed and were made again", now)
        elif not inspection.quiet:
            self._compare(inspection, now, counted=True)
            self._count()

    def _compare(self, inspection: Inspection, now: float, *, counted: bool) -> None:
        expected = dict(self._wanted.hosts)
        expected.update(self._wanted.installed.items())
        skip = self._touched.union(self._host_lane, self._network_lane)
        missing, foreign = compare(inspection, expected, skip, now)
        wrong = [*missing, *foreign]
        self._host_lane.add(key for key in wrong if key.is_host)
        self._network_lane.add(key for key in wrong if not key.is_host)
        if counted and wrong:
            self.stats.repaired += len(missing)
            self.stats.foreign += len(foreign)
            self._repaired(f"{len(missing)} elements were missing, {len(foreign)} were not ours", now)

    def close(self, *, remove: bool = False) -> None:
        """Let go of the kernel; its elements stay and end by their own timeouts unless ``remove``."""
        self._opened = False
        self.backend.close(remove=remove)

    def status(self) -> dict[str, Any]:
        """Give everything worth showing, ready for JSON."""
        waits = [lane.retry_wait for lane in (self._host_lane, self._network_lane)]
        return {
            "backend": self.backend.name,
            "open": self._opened,
            "retry_wait": max(waits),
            **self.stats.as_json(),
        }

    # --- commits ----------------------------------------------------------------------------

    def _open(self, now: float) -> bool:
        try:
            self.backend.open()
        except SystemFailure as error:
            # Tried again with the next inspection.
            self._look_at = now + self.settings.reconcile
            self._failed(error, now, "set-up")
            return False
        self._opened = True
        for lane in (self._host_lane, self._network_lane):
            lane.ready_at = min(lane.ready_at, now)
        self._commit_allowed(now)
        return True

    def _commit_hosts(self, keys: Sequence[Key], now: float) -> None:
        self._commit(self._host_lane, self._wanted.hosts, keys, now)

    def _commit_networks(self, now: float) -> None:
        if self._opened:
            # All at once: taking out the outer and putting in the inner network must not be parted.
            self._commit(self._network_lane, self._wanted.installed, list(self._network_lane), now)

    def _commit(self, lane: Lane, wanted: Mapping[Any, float], keys: Sequence[Key], now: float) -> None:
        add, delete = [], []
        for key in keys:
            until = wanted.get(key, -math.inf)
            if until > now:
                add.append(Element(key, until - now))
            else:
                delete.append(key)
        if lane.retry_wait:
            self.stats.retried += 1
        try:
            self.backend.commit(add, delete)
        except SystemFailure as error:
            lane.failed(keys, now)
            self._look_at, self._trusted = now, False  # perhaps somebody took the table away
            self._failed(error, now, f"commit of {len(keys)}")
            return
        if lane.retry_wait:
            log.warning("firewall: commit went well again after failures")
        self.stats.failing = False
        self.stats.commits += 1
        self._touched.update(keys)
        lane.done(keys, now)

    def _commit_allowed(self, now: float) -> None:
        if self._allowed is None or not self._opened:
            return  # told as soon as it is open
        try:
            self.backend.allow(self._allowed)
            self._allow_at = math.inf
        except SystemFailure as error:
            self._allow_at = now + self.settings.retry_first
            self._look_at, self._trusted = now, False
            self._failed(error, now, "allowlist")

    # --- telling ----------------------------------------------------------------------------

    def _failed(self, error: SystemFailure, now: float, what: str) -> None:
        text = f"{what} failed: {error}"
        if text != self.stats.last_error or not self.stats.failing:
            log.warning("firewall: %s (tried again)", text)
        self.stats.failed += 1
        self.stats.failing = True
        self.stats.last_error, self.stats.last_error_time = text, now

    def _repaired(self, text: str, now: float) -> None:
        log.warning("firewall: %s: %s", self.backend.name, text)
        self.stats.last_repair, self.stats.last_repair_time = text, now

    def _count(self) -> None:
        self.stats.limits = len(self._wanted.limits)
        self.stats.elements = len(self._wanted.hosts) + len(self._wanted.installed)
        self.stats.pending = len(self._host_lane) + len(self._network_lane)
