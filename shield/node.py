"""Node: builds the parts and runs them in one task group. What they do stands in them; here is when.

Packets are read in the event loop; after each batch everything else has its turn. Only what may wait for
somebody else, the kernel's answer about its sets and DNS, runs in threads of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from shield.background import calm_collector, in_thread, look_up, notify, run_loop, start_logging
from shield.blocklist.allowlist import Allowlist
from shield.blocklist.blocklist import Blocklist
from shield.blocklist.journal import Journal
from shield.capture.addresses import own_addresses
from shield.capture.live import LiveSource
from shield.cluster_orders import cluster_commands
from shield.clustering import Clustering, make_pooling, make_sharing, own_seal
from shield.config import Mode, Settings
from shield.control.server import ControlServer
from shield.detect.rulefiles import load_rules
from shield.dispatch import NodeDispatcher
from shield.features import Features
from shield.firewall.feed import Feed
from shield.firewall.registry import make_backend
from shield.health import Health, software
from shield.hub import Hub
from shield.lab import replay_into
from shield.net import Network
from shield.pipeline import Pipeline
from shield.reload import apply, complain, leave_firewall, plan
from shield.sides import Sides

__all__ = ["Node", "run_node"]

BATCH = 256
"""Frames that are read before something else has its turn: a few milliseconds of work."""

SAVE_SECONDS = 0.2
"""What kill -9 may cost: changes younger than this. The kernel's sets hold them all the same."""

PRUNE_SECONDS = 3600.0

OWN_SECONDS = 60.0
"""Between two looks at the addresses of this machine: one that came up must not be judged."""

CLUSTER_SECONDS = 10.0
"""Between two tries to take part in the cluster while something is in the way, a port in use perhaps."""

RESOLVE_SECONDS = 5.0
"""Between two looks which names of the allowlist are due."""

_log = logging.getLogger("shield")
_now = time.monotonic


def run_node(settings: Settings, reload: Callable[[], Settings] | None = None) -> None:
    """Run until SIGTERM or SIGINT; raises a ShieldError when the start fails.

    ``reload`` reads the configuration again (SIGHUP, ``shield reload``); without it only the rules are.
    """
    start_logging(settings.node.log_level)
    # What a start reads from the journal stays: looking for garbage in a million objects, again and
    # again while they are made and ever after, would cost the start a third more and packets later.
    gc.disable()
    try:
        node = Node(settings, reload or (lambda: settings))
        calm_collector()
    finally:
        gc.enable()
    run_loop(node.run())


class Node:
    """One running node. Making it opens everything that can be refused; raises ShieldError."""

    def __init__(self, settings: Settings, read_settings: Callable[[], Settings]) -> None:
        self.settings = settings
        self._read_settings = read_settings
        self._stop = asyncio.Event()
        self._work = asyncio.Event()
        """The firewall has something to do."""
        self._failed_batches = 0
        self._open = contextlib.ExitStack()
        try:
            self._build()
        except BaseException:
            self._open.close()
            raise

    def _build(self) -> None:
        settings, now, wall = self.settings, _now(), time.time()
        seal = own_seal(settings.cluster, settings.node.name)
        rules = load_rules(settings.detect.rules, settings.detect.disabled)
        allowlist = Allowlist(settings.allowlist)
        self.source = LiveSource(settings.capture)
        self._open.callback(self.source.close)
        journal = Journal(settings.journal)
        self._open.callback(journal.close)
        saved = journal.load(now, wall)
        allowlist.restore(saved.allowed, now)
        known = {entry.value for entry in allowlist.entries(now)}
        for entry in saved.allowed:
            if entry.origin == "config" and entry.value not in known:  # a name configured no more
                journal.remove_allow(entry.value)
        blocklist = Blocklist(settings.blocklist, allowlist)
        pipeline = Pipeline(
            rules,
            capture=settings.capture,
            detect=settings.detect,
            policy=settings.policy,
            blocklist=blocklist,
            allowlist=allowlist,
            origin=seal.name,
            local=own_addresses(),
        )
        memory = settings.policy.escalation_memory
        for value, bans in journal.past_bans(wall - memory).items():
            pipeline.policy.remember(Network.parse(value), bans, wall)
        sharing = make_sharing(settings.sharing, seal, pipeline, time.time)
        self.hub = Hub(pipeline, journal, self._make_feed(), sharing)
        self._open.callback(self._let_go)
        self.hub.wake = self._work.set
        restored = blocklist.restore(saved.decisions, now)
        sharing.restore(journal.load_shared(wall), now)
        self.features = Features(settings, seal.name, wall=time.time, clock=_now, pipeline=pipeline)
        self.features.attach(self.hub)
        self.clustering = Clustering(
            settings.cluster, self.hub, sharing, software(), own_addresses, _now,
            pooling=make_pooling(settings.evidence, pipeline, time.time), features=self.features.all,
        )  # fmt: skip
        self.features.script.attach(self.clustering.conversation)
        self.sides = Sides(settings.clusters, self.clustering)
        self.health = Health(settings, self.hub, self.source, now, self.clustering, self.features)
        self.dispatcher = NodeDispatcher(
            self.hub,
            self.health,
            clock=_now,
            wall=time.time,
            reload=self.reload,
            default_duration=settings.control.ban_time,
            more={
                "inject": lambda arguments, _who: replay_into(self.hub, arguments["path"]),
                **cluster_commands(self.clustering, self.sides, _now),
                **self.features.commands,
            },
        )
        self.features.remote.execute = self.dispatcher.handle
        self.control = ControlServer(settings.control, self.dispatcher)
        self.health.control = self.control.stats
        where = ", ".join(self.source.interfaces)
        text = "%s: mode %s, %d rules, %d bans restored, listening on %s"
        _log.info(text, seal.name, settings.node.mode.value, len(rules), restored, where)

    async def run(self) -> None:
        """Run until told to stop. The journal is complete then, and the kernel's sets stay."""
        loop = asyncio.get_running_loop()
        with self._open:
            await self.control.start()  # first: a second node must find out before it touches the kernel
            await self.features.start()
            self._adopt()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop.set)
            loop.add_signal_handler(signal.SIGHUP, self._reload_by_signal)
            loop.add_reader(self.source.fileno(), self._read)
            try:
                await self._run_tasks()
            finally:
                loop.remove_reader(self.source.fileno())
                await self.control.close()
                await self.features.close()
                try:
                    await self.sides.close()
                    await self.clustering.close()
                finally:
                    while self.hub.save(_now(), time.time()):
                        pass
                    self.features.close_files()
        _log.info("stopped")

    def _adopt(self) -> None:
        """Make the kernel hold what was saved, and no more."""
        now = _now()
        self.hub.allowlist_changed(now)
        if self.hub.feed is not None:
            self.hub.feed.adopt(self.hub.pipeline.blocklist.decisions(now), now)

    async def _run_tasks(self) -> None:
        jobs = [
            self._take_part(),
            self._tick(),
            self._save(),
            self._resolve(),
            self._firewall(),
            self.features.hooks.run(),
        ]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
            notify("READY=1")
            await self._stop.wait()
            notify("STOPPING=1")
            for task in tasks:
                task.cancel()

    async def _take_part(self) -> None:
        """Join the cluster; once that is done, who leaves it wants to be out."""
        parts = (self.clustering, self.sides)
        while not all([await part.take_part() for part in parts]):  # noqa: ASYNC110 - ports get free
            await asyncio.sleep(CLUSTER_SECONDS)

    # --- what happens when ------------------------------------------------------------------

    def _read(self) -> None:
        """Judge one batch of frames; the loop calls it as long as there are more."""
        frames = self.source.read(BATCH)
        if not frames:
            return
        now = _now()
        try:
            self.hub.take(self.hub.pipeline.feed(frames, now), now, time.time())
        except Exception as error:  # noqa: BLE001 - a bug that one packet meets must not blind the node
            self._failed_batches += 1
            self.health.problems["detection"] = f"{self._failed_batches} batches failed: {error!r}"
            if self._failed_batches == 1:  # whoever can send that packet could fill the log
                _log.error("detection failed", exc_info=error)

    async def _tick(self) -> None:
        """Every second, and when a ban ends: expiry, held decisions, counters of the kernel."""
        pipeline, second, minute = self.hub.pipeline, 0.0, _now() + OWN_SECONDS
        while True:
            now, wall = _now(), time.time()
            if now >= second:
                second = now + 1.0
                self.source.maintain()
                self.hub.second()
                self.features.tick(now)
                if pipeline.allowlist.expire(now):
                    self.hub.allowlist_changed(now)
            if now >= minute:
                minute = now + OWN_SECONDS
                pipeline.servers.known.update(own_addresses())
            self.hub.take(pipeline.tick(now, wall), now, wall)
            soonest = pipeline.blocklist.next_expiry()
            wait = min(second, second if soonest is None else soonest) - _now()
            # Never less than a moment: a million bans may end in one second.
            await asyncio.sleep(max(0.01, wait))

    async def _save(self) -> None:
        """Give the journal what is new; now and then make it forget what is old."""
        prune = _now() + 60.0
        portions: Iterator[None] = iter(())
        while True:
            now, wall = _now(), time.time()
            left = self.hub.save(now, wall)
            if now >= prune:
                prune = now + PRUNE_SECONDS
                portions = self.hub.journal.prune(wall)
            more = next(portions, "done") is None
            await asyncio.sleep(0 if left or more else SAVE_SECONDS)

    async def _firewall(self) -> None:
        """Bring to the kernel what did not go at once, and repair what others damage."""
        while True:
            self._work.clear()
            # Here alone the mode changes, so that no other thread reads the kernel meanwhile.
            if leave_firewall(self.hub, self.health, self.settings):
                self.hub.feed = self._make_feed()
                self._adopt()
            feed = self.hub.feed
            if feed is None:
                await self._work.wait()
                continue
            if feed.look_due(_now()):
                self.hub.inspecting = True
                try:
                    inspection = await in_thread(feed.inspect)
                finally:
                    self.hub.inspecting = False
                feed.repair(inspection, _now())
                self.hub.tell_allowlist(_now())
            feed.flush(_now())
            # At least one turn for the packets between two slices.
            await asyncio.sleep(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, feed.due(_now()) - _now())):
                    await self._work.wait()

    def _make_feed(self) -> Feed | None:
        if self.settings.node.mode is Mode.OBSERVE:
            return None
        return Feed(make_backend(self.settings.kernel()), self.settings.kernel())

    def _let_go(self) -> None:
        """End without a trace in the kernel: it keeps its sets."""
        if self.hub.feed is not None:
            self.hub.feed.close()

    async def _resolve(self) -> None:
        """Ask DNS for the names of the allowlist; what does not answer keeps its last addresses."""
        allowlist, problems = self.hub.pipeline.allowlist, self.health.problems
        while True:
            changed = False
            for name in allowlist.due(_now()):
                try:
                    addresses = await in_thread(partial(look_up, name))
                    problems.pop(f"allowlist {name}", None)
                except OSError as error:
                    addresses = []
                    if f"allowlist {name}" not in problems:
                        _log.warning("allowlist: %s does not resolve: %s", name, error.strerror)
                    problems[f"allowlist {name}"] = f"does not resolve: {error.strerror}"
                if allowlist.resolve(name, addresses, _now()):
                    changed = True
                    if entry := allowlist.get(name):  # its addresses outlive a restart without DNS
                        self.hub.journal.save_allow(entry, _now(), time.time())
            if changed:
                self.hub.allowlist_changed(_now())
            await asyncio.sleep(RESOLVE_SECONDS)

    # --- reload -----------------------------------------------------------------------------

    def reload(self) -> dict[str, Any]:
        """Read configuration and rules again; raises ConfigError and changes nothing if one is wrong."""
        fresh = self._read_settings()
        ahead = plan(self.settings, fresh)
        rules = load_rules(fresh.detect.rules, fresh.detect.disabled)
        apply(ahead.settings, rules, self.dispatcher.orders, own_addresses(), _now())
        self.settings = self.health.settings = ahead.settings
        self._work.set()  # the mode may be another
        self.health.problems.pop("reload", None)
        if ahead.waiting:
            self.health.problems["reload"] = f"restart shield to apply: {', '.join(ahead.waiting)}"
            _log.warning("reload: %s", self.health.problems["reload"])
        answer = ahead.as_json(rules=len(rules), allowlist=len(self.hub.pipeline.allowlist))
        _log.info("reloaded: %s", answer)
        return answer

    def _reload_by_signal(self) -> None:
        complain(self.reload, self.health.problems)
