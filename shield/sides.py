"""Sides: the further clusters of a node, and the bridges between them and its main one.

In a side cluster a node is a member with an identity of its own; tags, texts and orders work there as
in the main one. Its blocklist takes part only where this node may be a bridge: ``blocklist/bridge.py``
carries, a sharing tag in the cluster whose name comes first elects who of all candidates does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from shield.blocklist.bridge import Bank, Bridge
from shield.blocklist.mirror import Mirror
from shield.blocklist.sharing import Sharing
from shield.cluster.cluster import Cluster
from shield.cluster.entry import Applied
from shield.cluster.events import Event
from shield.cluster.identity_files import Directory
from shield.cluster.replicated import ReplicatedMap
from shield.cluster.settings import ClusterSettings
from shield.cluster.side_settings import SideSettings
from shield.cluster.sync import Sync
from shield.cluster.tag_plan import TagPlan
from shield.clustering import PURPOSE, Clustering
from shield.conversation import Conversation
from shield.errors import InputError, ShieldError

__all__ = ["Side", "Sides"]

_log = logging.getLogger("shield")


class Side:
    """One further cluster. ``main``: the node's part in its main cluster."""

    def __init__(self, own: SideSettings, settings: ClusterSettings, main: Clustering) -> None:
        self.label = own.label
        self.cluster: Cluster | None = None
        self.problem = ""
        self.mirror: Mirror | None = None
        self.bridge: Bridge | None = None
        self.conversation = Conversation()
        self._own, self._settings, self._main = own, settings, main
        self._elects: Cluster | None = None
        """The cluster with the bridge's tag, once this node is a candidate there."""
        self._tag = ""

    @property
    def sharing(self) -> Sharing:
        """What shares the node's blocklist in its main cluster."""
        return self._main.sharing

    @property
    def sync(self) -> Sync | None:
        """What keeps the map of this cluster equal, where this node may be a bridge."""
        return None if self.mirror is None else self.mirror.sync

    def source(self, node: str) -> str:
        """What decisions of a member are known by here."""
        return f"{node}@{self.joined().core.identity.cluster}"

    async def take_part(self) -> bool:
        """Take part when there is an identity; what is in the way is told. Whether to try no more."""
        try:
            if self.cluster is None and Directory(self._settings.directory).holds():
                await self.start()
        except ShieldError as error:
            if str(error) != self.problem:
                self.problem = str(error)
                _log.error("cluster %s: %s", self.label, error)
            return False
        return True

    async def start(self) -> dict[str, Any]:
        """Take part; raises ConfigError without an identity, SystemFailure when the port is taken."""
        if self.cluster is not None:
            raise InputError(f"this node takes part already, as {self.cluster.name}")
        cluster = self._main.make_cluster(self._settings)
        name = cluster.core.identity.cluster
        cluster.core.events.follow = self._follow
        cluster.core.on_expelled = lambda node, now: self._expelled(cluster, node, now)
        self.conversation.join(cluster)
        if "blocklist" in self._own.bridge:
            secret = cluster.core.identity.secret(PURPOSE)
            self.mirror = Mirror(ReplicatedMap("blocklist", cluster.name, secret), self.sharing.wall)
            self.mirror.connect(cluster.add(self.mirror))
            self.mirror.on_tick = self._tick
        try:
            await cluster.start()
        except BaseException:
            self.conversation.part()
            self.mirror = None
            raise
        self.cluster, self.problem = cluster, ""
        _log.info("cluster %s (%s): this node is %s", self.label, name, cluster.name)
        return {"cluster": name, "node": cluster.name}

    async def close(self, *, leave: bool = True) -> None:
        """End all connections; with ``leave`` the others take it for a goodbye."""
        cluster, self.cluster = self.cluster, None
        self._stop_bridge(self._main.clock())
        self.conversation.part()
        self.mirror = None
        if cluster is not None:
            await cluster.close(leave=leave)

    def joined(self) -> Cluster:
        """The cluster, or InputError when this node is not in it."""
        if self.cluster is None:
            why = self.problem or "it has no identity there, or has left"
            raise InputError(f"this node is not in cluster {self.label}: {why}")
        return self.cluster

    def warnings(self) -> list[str]:
        """What an operator should know, one line each."""
        if self.cluster is None:
            why = f"cluster {self.label}: this node takes no part: {self.problem}"
            return [why] if self.problem else []
        found = [f"{self.label}: {line}" for line in self.cluster.warnings()]
        if self._own.bridge and self._same_name():
            found.append(f"cluster {self.label}: has the name of the main one; nothing is carried")
        return found

    # --- the bridge -------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        """Be a candidate while both clusters are there, and carry while this node is the bridge."""
        here, there = self._main.cluster, self.cluster
        if here is None or there is None or self.mirror is None or self._same_name():
            self._stop_bridge(now)
            return
        if self.bridge is None:
            self.bridge = self._build(here, there, self.mirror)
        first, second = sorted((here, there), key=lambda one: one.core.identity.cluster)
        self._elects, self._tag = first, f"bridge:{second.core.identity.cluster}"
        healthy = _alone_or_reached(here) and _alone_or_reached(there)
        takeover = self._own.bridge_takeover if healthy else 0.0
        plan = TagPlan(takeover=takeover, priority=self._own.bridge_priority)
        first.tags.take_part(self._tag, plan)
        if not healthy and first.tags.active(self._tag):
            first.tags.release(self._tag, "one side of the bridge cannot be reached", now)
        active = first.tags.active(self._tag)
        if active is not self.bridge.active:
            self.bridge.set_active(active=active)
            what = "the bridge" if active else "no longer the bridge"
            _log.info("cluster %s: this node is %s to it", self.label, what)
        self.bridge.tick(now)

    def _build(self, here: Cluster, there: Cluster, mirror: Mirror) -> Bridge:
        def write(applied: list[Applied], now: float) -> None:
            self.sharing.send([key for key, _, _ in applied], now)
            self.sharing.follow(applied, now)

        return Bridge(
            Bank(here.core.identity.cluster, self.sharing.records, write),
            Bank(there.core.identity.cluster, mirror.records, mirror.write),
            self.sharing.wall,
        )

    def _stop_bridge(self, now: float) -> None:
        """Be no candidate any more; another one takes over."""
        if self._elects is not None:
            tags, self._elects = self._elects.tags, None
            tags.take_part(self._tag, TagPlan())
            if tags.active(self._tag):
                tags.release(self._tag, "this node left one side of the bridge", now)
        if self.bridge is not None:
            self.bridge.set_active(active=False)
            self.bridge = None

    def _same_name(self) -> bool:
        here, there = self._main.cluster, self.cluster
        return (
            here is not None
            and there is not None
            and here.core.identity.cluster == there.core.identity.cluster
        )

    # --- what happens in it -----------------------------------------------------------------

    def _expelled(self, cluster: Cluster, node: str, now: float) -> None:
        cluster.tags.forget(node, now)
        if self.mirror is not None:
            self.mirror.forget(node)
        self.expelled(node, cluster.core.identity.cluster)

    def expelled(self, node: str, cluster: str) -> None:
        """A node was put out of a cluster: the bridge takes back what it said, and carries anew."""
        if self.bridge is not None and cluster in self.bridge.stats:
            self.bridge.withdraw(node, cluster)
            self.bridge.again()

    def _follow(self, event: Event) -> None:
        self._main.tell(event, self.label)


class Sides:
    """All further clusters of a node, by label."""

    def __init__(self, own: Iterable[SideSettings], main: Clustering) -> None:
        self.all = {one.label: Side(one, one.settings(main.settings), main) for one in own}
        main.expelled, main.further_warnings = self._expelled, self.warnings

    def __getitem__(self, label: str) -> Side:
        """Give one; raises InputError."""
        if label not in self.all:
            known = ", ".join(self.all) or "none is configured"
            raise InputError(f"no further cluster {label[:80]!r}; there are {known}")
        return self.all[label]

    async def take_part(self) -> bool:
        """Take part in each that there is an identity for; whether there is nothing left to try."""
        return all([await side.take_part() for side in self.all.values()])

    async def close(self, *, leave: bool = True) -> None:
        """Leave all."""
        for side in self.all.values():
            await side.close(leave=leave)

    def warnings(self) -> list[str]:
        """Those of all."""
        return [line for side in self.all.values() for line in side.warnings()]

    def as_json(self, now: float) -> list[dict[str, Any]]:
        """One row for each."""
        return [_row(side, now) for side in self.all.values()]

    def _expelled(self, node: str, cluster: str) -> None:
        for side in self.all.values():
            side.expelled(node, cluster)


def _alone_or_reached(cluster: Cluster) -> bool:
    """Whether somebody is in reach, or nobody is known: a bridge into nowhere carries nothing."""
    return bool(cluster.members()) or not cluster.core.membership.members


def _row(side: Side, now: float) -> dict[str, Any]:
    cluster = side.cluster
    shown: dict[str, Any] = {"label": side.label, "joined": cluster is not None, "problem": side.problem}
    if cluster is not None:
        shown |= {
            "cluster": cluster.core.identity.cluster,
            "node": cluster.name,
            "reachable": len(cluster.members()),
            "members": len(cluster.core.membership.members) + 1,
        }
    if side.mirror is not None and side.mirror.sync is not None:
        shown["blocklist"] = side.mirror.sync.state(now)
    if side.bridge is not None:
        shown["bridge"] = side.bridge.as_json()
    return shown
