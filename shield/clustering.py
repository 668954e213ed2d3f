"""Clustering: the node's part in a cluster. Joins what shares to what carries, and runs the orders.

A node without an identity is in no cluster and works alone; ``start`` may be called later, when
``shield cluster init`` or ``join`` has made one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from secrets import token_bytes
from typing import Any, NamedTuple, Protocol

from shield.blocklist.sharing import Sharing
from shield.blocklist.sharing_settings import SharingSettings
from shield.cluster.cluster import Cluster
from shield.cluster.events import Event
from shield.cluster.identity_files import Directory
from shield.cluster.replicated import ReplicatedMap
from shield.cluster.settings import ClusterSettings
from shield.cluster.sync import Sync
from shield.conversation import Conversation
from shield.detect.alert import Alert
from shield.detect.pool import Pool
from shield.detect.pooling import Pooling
from shield.detect.settings import EvidenceSettings
from shield.errors import InputError, ShieldError
from shield.hub import Hub
from shield.net import Network, unpack
from shield.pipeline import Pipeline

__all__ = ["Clustering", "Feature", "Seal", "make_pooling", "make_sharing", "own_seal"]

PURPOSE = b"blocklist"
"""What the secret of the seals is for."""

OPERATORS = ("cli", "import")
"""Names under which an operator of this node decides."""

LOG_LINES = 20
"""Events logged in one second: a member that comes and goes without end must not fill the disk."""

WARNINGS = frozenset({"warning", "refused", "overflow"})

EXPLAIN_SECONDS = 1.0
"""How long ``show`` waits for the node that decided."""

_log = logging.getLogger("shield")


class Seal(NamedTuple):
    """Under which name this node writes records, and the secret by which it knows them again."""

    name: str
    secret: bytes
    member: bool
    """Whether it comes from an identity."""


def own_seal(settings: ClusterSettings, name: str) -> Seal:
    """Give name and secret of the identity that this host has; without one ``name``, and any secret.

    The same when it cannot be read: a node blocks what it finds whatever became of its cluster.
    """
    directory = Directory(settings.directory)
    try:
        if directory.holds():
            identity = directory.load().identity
            return Seal(identity.name, identity.secret(PURPOSE), member=True)
    except ShieldError as error:
        _log.error("cluster: %s; this node works alone", error)
    return Seal(name, token_bytes(32), member=False)


def make_sharing(
    settings: SharingSettings, seal: Seal, pipeline: Pipeline, wall: Callable[[], float]
) -> Sharing:
    """Make what shares a pipeline's blocklist; it works alone until it is connected."""
    return Sharing(
        settings,
        ReplicatedMap("blocklist", seal.name, seal.secret, journaled=True),
        blocklist=pipeline.blocklist,
        allowlist=pipeline.allowlist,
        policy=pipeline.policy,
        servers=pipeline.servers,
        wall=wall,
        local=OPERATORS,
        alone=not seal.member,
        good=pipeline.good,
    )


def make_pooling(
    settings: EvidenceSettings, pipeline: Pipeline, wall: Callable[[], float]
) -> Pooling | None:
    """Make what puts the counts of all nodes together; None when that is switched off."""
    if not settings.share:
        return None
    engine = pipeline.engine
    pool = Pool(engine.sources, engine.evidence, token_bytes(8))
    return Pooling(settings, pool, wall=wall, secret=token_bytes)


class Feature(Protocol):
    """Something of this node that takes part in the cluster when there is one."""

    def join(self, cluster: Cluster, now: float) -> None:
        """Take part."""
        ...

    def part(self) -> None:
        """Take part no more."""
        ...

    def forget(self, node: str, now: float) -> None:
        """A node was put out: nothing that it said counts any more."""
        ...


@dataclass
class Clustering:
    """Belongs to one node. ``addresses``: packed addresses of this machine, as they are now."""

    settings: ClusterSettings
    hub: Hub
    sharing: Sharing
    software: str
    addresses: Callable[[], frozenset[bytes]]
    clock: Callable[[], float]
    """Node time."""
    pooling: Pooling | None = None
    """What puts the counts of all nodes together, if that is wanted."""
    features: Sequence[Feature] = ()
    cluster: Cluster | None = None
    problem: str = ""
    """Why this node takes no part although it has an identity."""

    def __post_init__(self) -> None:
        self.conversation = Conversation()
        self.expelled: Callable[[str, str], None] = lambda _node, _cluster: None
        """Called with each node that was put out, and the name of the cluster."""
        self.further_warnings: Callable[[], list[str]] = list
        """Those of further clusters."""
        self._starting = False
        self._second = self._lines = 0
        """The present second of the log, and events in it."""

    async def start_if_member(self) -> None:
        """Take part when there is an identity; raises ConfigError or SystemFailure when that fails."""
        if Directory(self.settings.directory).holds():
            await self.start()

    async def take_part(self) -> bool:
        """Take part when there is an identity; what is in the way is told. Whether to try no more."""
        try:
            if self.cluster is None:
                await self.start_if_member()
        except Exception as error:  # noqa: BLE001 - a bug there must not end detection
            if str(error) != self.problem and not self._starting:
                self.problem = str(error) or repr(error)
                bug = None if isinstance(error, ShieldError) else error
                text = "cluster: %s; this node works alone until that is mended"
                _log.error(text, self.problem, exc_info=bug)
            return False
        return True

    async def start(self) -> dict[str, Any]:
        """Take part; raises ConfigError without an identity, SystemFailure when the port is taken."""
        if self.cluster is not None or self._starting:
            raise InputError(f"this node takes part already, as {self.sharing.node}")
        self._starting = True
        try:
            return await self._start()
        finally:
            self._starting = False

    async def _start(self) -> dict[str, Any]:
        cluster = self.make_cluster(self.settings)
        if cluster.name != self.sharing.node:
            self.problem = f"restart `shield run`: until now this node is {self.sharing.node}"
            return {"restart": self.problem}
        now, secret = self.clock(), cluster.core.identity.secret(PURPOSE)
        if not self.sharing.records.sealed_with(secret):
            # Only then: what is written anew is newer than what this node said later and forgot.
            self.sharing.records.reseal(secret, now, cluster.core.wall(now))
        for revocation in cluster.core.revocations:
            if revocation.name not in cluster.core.membership.members:  # it has not joined again
                self.sharing.forget(revocation.name, now)
        # A ban that the journal brought back must not keep this node from the others.
        hosts = [host for host, _ in cluster.seeds]
        self.hub.take_shared(self.sharing.admission.protect("", hosts, now), now)
        cluster.core.events.follow = self._follow
        cluster.core.on_expelled = lambda name, moment: self._expelled(cluster, name, moment)
        self.sharing.connect(cluster.add(self.sharing), now)
        self.conversation.join(cluster)
        self._pool(cluster, now)
        for feature in self.features:
            feature.join(cluster, now)
        try:
            await cluster.start()
        except BaseException:
            self._disconnect()
            raise
        self.cluster, self.problem = cluster, ""
        self.hub.ask_origin = self._ask_origin
        _log.info("cluster %s: this node is %s", cluster.core.identity.cluster, cluster.name)
        return {"cluster": cluster.core.identity.cluster, "node": cluster.name}

    def make_cluster(self, settings: ClusterSettings) -> Cluster:
        """Make this node a member; raises ConfigError or SystemFailure."""
        return Cluster(None, settings, addresses=self._reachable_at(), software=self.software)

    @property
    def sync(self) -> Sync | None:
        """What keeps the map of the blocklist equal."""
        return self.sharing.sync

    def source(self, node: str) -> str:
        """What decisions of a member are known by here."""
        return node

    async def close(self, *, leave: bool = True) -> None:
        """End all connections; with ``leave`` the others take it for a goodbye."""
        cluster, self.cluster = self.cluster, None
        self.hub.ask_origin = None
        if cluster is not None:
            try:
                await cluster.close(leave=leave)
            finally:
                self._disconnect()

    def _disconnect(self) -> None:
        self.sharing.disconnect()
        self.conversation.part()
        for feature in self.features:
            feature.part()
        if self.pooling is not None:
            self.pooling.disconnect()
            self.hub.pipeline.engine.join(None)

    def _pool(self, cluster: Cluster, now: float) -> None:
        """Count together with the others from now on."""
        if self.pooling is None:
            return

        def judge(alerts: Sequence[Alert], at: float) -> None:
            self.hub.take(self.hub.pipeline.judge(alerts, at), at, cluster.core.wall(at))

        self.pooling.on_alerts = judge
        self.pooling.connect(cluster.add(self.pooling), now)
        self.hub.pipeline.engine.join(self.pooling.pool)

    def joined(self) -> Cluster:
        """The cluster, or InputError when this node is in none."""
        if self.cluster is None:
            raise InputError("this node is in no cluster (shield cluster init, or join)")
        return self.cluster

    def warnings(self) -> list[str]:
        """What an operator should know, one line each."""
        if self.cluster is not None:
            own = self.cluster.warnings()
        else:
            own = [f"cluster: this node takes no part: {self.problem}"] if self.problem else []
        return own + self.further_warnings()

    def _expelled(self, cluster: Cluster, name: str, now: float) -> None:
        """A node was put out: nothing that it said counts any more."""
        self.sharing.forget(name, now)
        cluster.tags.forget(name, now)
        for feature in self.features:
            feature.forget(name, now)
        self.expelled(name, cluster.core.identity.cluster)

    async def _ask_origin(self, origin: str, body: Any) -> Any:
        if self.cluster is None:
            return None
        _, answers = await self.cluster.ask(
            self.sharing.name, body, node=origin, timeout=EXPLAIN_SECONDS
        )
        return answers.replies.get(origin)

    def _follow(self, event: Event) -> None:
        self.tell(event, "")

    def tell(self, event: Event, label: str) -> None:
        """Log and publish what happened in the main cluster, or in a further one."""
        second = int(self.clock())
        if second != self._second:
            if self._lines > LOG_LINES:
                _log.info("cluster: %d further events", self._lines - LOG_LINES)
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines <= LOG_LINES:
            level = logging.WARNING if event.kind in WARNINGS else logging.INFO
            where = f"cluster {label}" if label else "cluster"
            _log.log(level, "%s: %s %s: %s", where, event.kind, event.node, event.text)
        if self.hub.watchers:
            of = {"cluster": label} if label else {}
            self.hub.watchers.publish({"event": "cluster", **of, **event.as_json()})

    def _reachable_at(self) -> list[str]:
        """Addresses of this machine that others can use: neither loopback nor link-local."""
        networks = [Network.host(address) for address in self.addresses()]
        usable = [n for n in networks if not any(local.contains(n) for local in _LOCAL)]
        return [unpack(network.address) for network in sorted(usable, key=lambda n: n.version)]


_LOCAL = tuple(Network.parse(text) for text in ("127.0.0.0/8", "169.254.0.0/16", "::1", "fe80::/10"))
