"""Sharing: the blocklist as a capability of the cluster. What one node decided, every node blocks.

The map holds what all nodes say, the last writer of each key wins; ``admission`` and ``shared_allow``
decide what it means here. Local changes come in by ``share``, those of others go out by the ``Host``.
Decisions that ended by themselves or had to make room do not travel: every node knows the time itself.

No clock of its own: ``now`` is node time, ``wall`` gives wall time.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from shield.blocklist import shared_alerts
from shield.blocklist.admission import Admission
from shield.blocklist.alert_exchange import AlertExchange
from shield.blocklist.allowlist import AllowEntry, Allowlist
from shield.blocklist.aside import Aside, Why
from shield.blocklist.blocklist import Blocklist
from shield.blocklist.budget import Budget
from shield.blocklist.decision import Change, ChangeKind
from shield.blocklist.journal_shared import SharedRow
from shield.blocklist.owners import Owners
from shield.blocklist.policy import Policy
from shield.blocklist.shared_allow import SharedAllow
from shield.blocklist.shared_bans import SharedBans
from shield.blocklist.shared_record import (
    ALLOW,
    BAN,
    BANS,
    UNPROVEN,
    VOTE,
    banned_network,
    end_of,
    source_of,
)
from shield.blocklist.shared_store import SharedStore
from shield.blocklist.sharing_host import Host, SharingStats
from shield.blocklist.sharing_settings import SharingSettings
from shield.blocklist.unproven import GoodRecord, nobody_good
from shield.cluster.capability import Incoming, Outlet
from shield.cluster.entry import Applied
from shield.cluster.member import Member
from shield.cluster.messages import Kind
from shield.cluster.replicated import ReplicatedMap
from shield.cluster.sync import Sync
from shield.detect.alert import Alert, Proof
from shield.net import Network
from shield.sip.servers import Servers

__all__ = ["Sharing"]

PUSH_RECORDS = 500
"""Records in one message: 100 kB, some milliseconds of work for the receiver."""
ENDED = 5_000
"""Ended records that one tick takes out of the map: under 10 ms, and two ticks a second."""
FREEZE_EVERY = 10_000
"""Changes after which the search for garbage leaves alone what is there: bans live for hours, and
looking at a million of them again and again would cost a join a third more. What is garbage goes first,
or it would stay: each connection that a stranger breaks off leaves 300 kB."""
ADOPTED = 2_000
"""Decisions from before the cluster that are told in one tick: some 30 ms."""
RENEW_SECONDS = 3600.0
"""Between two looks at what lives longer than a record may."""

_BEGUN = frozenset({ChangeKind.ADDED, ChangeKind.EXTENDED})


class Sharing:
    """See the module's docstring. ``local`` are further names under which this node decides.

    Make it before the journal's decisions are restored into ``blocklist``; then ``restore``.
    """

    name = "blocklist"

    def __init__(
        self,
        settings: SharingSettings,
        records: ReplicatedMap,
        *,
        blocklist: Blocklist,
        allowlist: Allowlist,
        policy: Policy,
        servers: Servers,
        wall: Callable[[], float],
        local: Iterable[str] = (),
        alone: bool = False,
        good: GoodRecord = nobody_good,
    ) -> None:
        self.settings = settings
        self.alone = alone
        """There is no cluster and never was one: nothing is written down for others."""
        self.records = records
        records.end_of = end_of
        self.node = records.node
        self.stats = SharingStats()
        self.owners = Owners([self.node, policy.origin, *local])
        blocklist.guard.owners = self.owners
        self.aside = Aside()
        self.store = SharedStore(records, self.aside)
        self.budget = Budget(settings, self.owners)
        self.wall = wall
        self.host: Host
        """Set by the hub that is made with this."""
        self.outlet: Outlet | None = None
        self.sync: Sync | None = None
        self._policy = policy
        self.admission = Admission(
            settings=settings,
            records=records,
            blocklist=blocklist,
            allowlist=allowlist,
            servers=servers,
            budget=self.budget,
            aside=self.aside,
            policy=policy,
            good=good,
        )
        self.allow = SharedAllow(settings, records, allowlist, self.aside)
        self.bans = SharedBans(
            records=records,
            admission=self.admission,
            blocklist=blocklist,
            allowlist=allowlist,
            owners=self.owners,
            aside=self.aside,
            quorum=settings.quorum,
            max_unproven=settings.max_unproven,
        )
        self.alerts = AlertExchange(self.aside, self.stats, lambda: self.host, wall)
        self._renew_at = 0.0
        self._unfrozen = 0
        self._adopting: Iterator[bytes] = iter(())

    def connect(self, outlet: Outlet, now: float) -> None:
        """Take part in a cluster; without it everything works, alone."""
        self.outlet = outlet
        self.sync = Sync(self.records, outlet, self._merged)
        if self.alone:
            self.alone = False
            wall = self.wall()
            self._adopting = self.bans.adopt(now, wall)
            self.send(self.allow.renew(now, wall), now)

    def disconnect(self) -> None:
        """Work alone from now on; what the others said stays in force until it ends."""
        self.outlet = self.sync = None

    def restore(self, rows: Sequence[SharedRow], now: float) -> None:
        """Begin with what the journal saved, after its decisions were restored into the blocklist.

        What was taken back elsewhere ends here, what was held stays held, and what this node and its
        operator decided and the map has never heard of is written into it.
        """
        self.alone = self.alone and not rows
        if self.alone:
            return
        wall, changes = self.wall(), list[Change]()
        for key in self.store.restore(rows, now, wall):
            entry = self.records.get(key)
            if entry is None:
                continue
            if key[0] in BANS:
                self.admission.restored(key, entry, now, changes)
            elif key[0] == ALLOW:
                self.allow.restored(key, entry, now)
        self.send([*self.bans.adopt(now, wall), *self.allow.renew(now, wall)], now)
        self.hand_over(changes, now)

    # --- changes of this node ---------------------------------------------------------------

    def share(
        self, changes: Sequence[Change], now: float, alerts: Mapping[Network, Alert] | None = None
    ) -> None:
        """Tell the others what this node or its operator changed; ``alerts`` explain new bans."""
        if self.alone:
            self._policy.forget([c.decision.network for c in changes if c.kind is ChangeKind.REMOVED])
            return
        wall = self.wall()
        keys: list[bytes] = []
        packed: dict[bytes, bytes] = {}
        voted: list[Applied] = []
        lifted: list[Network] = []
        caused: list[Change] = []
        for change in changes:
            if change.kind in _BEGUN:
                alert = (alerts or {}).get(change.decision.network)
                messages = shared_alerts.sent_by(alert)
                made = self.bans.put(change.decision, now, wall, messages)
                if made is not None:
                    keys.append(made[0])
                    if made[0][0] == UNPROVEN:
                        self.admission.unproven.told(change.decision, messages, now, caused)
                    voted += [made] if made[0][0] == VOTE else []
                    data = None if alert is None else shared_alerts.pack_new(alert, wall)
                    if data is not None:
                        packed[made[0]] = data
            elif change.kind is ChangeKind.REMOVED:
                lifted.append(change.decision.network)
                keys += self.bans.lift(change.decision.network, change.reason, now, wall)
            elif change.kind is ChangeKind.EXPIRED and change.decision.proof is Proof.PROVEN:
                # An unproven ban that counted for nothing beside it may not be over.
                self.admission.unproven.again(change.decision.network, now, caused)
        self._policy.forget(lifted)
        self.send(keys, now, packed)
        self.follow(voted, now)
        self.hand_over(caused, now)

    def unban(self, network: Network, now: float) -> bool:
        """Take back what others say about a network that is not banned here; False if nobody does."""
        keys = [] if self.alone else self.bans.lift(network, "unban", now, self.wall())
        self.send(keys, now)
        return bool(keys)

    def allowed(self, entry: AllowEntry, now: float) -> None:
        """Tell the others that an operator allowed something."""
        key = None if self.alone else self.allow.put(entry, now, self.wall())
        self.send([] if key is None else [key], now)

    def disallowed(self, value: str, now: float) -> None:
        """Tell the others that an operator took an entry out of the allowlist."""
        key = None if self.alone else self.allow.remove(value, now, self.wall())
        self.send([] if key is None else [key], now)

    def allowlist_changed(self, now: float) -> None:
        """Apply what only the allowlist kept away, as far as it does so no more."""
        changes = list(self.admission.again(self.aside.keys(Why.ALLOWLISTED), now))
        if changes:
            self.host.take_shared(changes, now)

    def send(self, keys: Sequence[bytes], now: float, alerts: Mapping[bytes, bytes] = {}) -> None:
        """Have the records of ``keys`` stored, and tell them to the others."""
        self.stats.sent += len(keys)
        self.store.wrote(keys)
        for start in range(0, len(keys) if self.sync is not None else 0, PUSH_RECORDS):
            part = keys[start : start + PUSH_RECORDS]
            extra = [(key, alerts[key]) for key in part if key in alerts][: shared_alerts.PUSHED]
            if self.sync is not None:
                # What is lost on the way is found by comparison.
                self.sync.push(part, now, extra or None)

    # --- from others ------------------------------------------------------------------------

    def receive(self, incoming: Incoming, now: float) -> None:
        """See Capability."""
        body = incoming.body
        if incoming.kind is Kind.REQUEST:
            if self.outlet is not None:
                self.alerts.answer(incoming, self.outlet, now)
        elif self.sync is not None:
            if type(body) is tuple and body[:1] == ("put",) and len(body) > 1:
                self.stats.received += len(body[1]) if type(body[1]) is tuple else 0
            self.sync.receive(incoming.sender, body, now, self.wall())

    def member_changed(self, member: Member, now: float) -> None:
        """See Capability."""
        hosts = [host for host, _ in member.record.addresses]
        self.hand_over(self.admission.protect(member.name, hosts, now), now)
        if self.outlet is not None and self.outlet.reachable(member.name):
            self.records.admit(member.name)  # if it was put out, it has a new certificate
            self.budget.in_sight(member.name, now)
        else:
            self.budget.out_of_sight(member.name)

    def report(self, now: float) -> bytes:
        """See Capability."""
        return b"" if self.sync is None else self.sync.report(now)

    def reported(self, sender: str, report: bytes, now: float) -> None:
        """See Capability."""
        if self.sync is not None:
            if self.sync.agrees(report, now):
                self.budget.settle(now)
            self.sync.reported(sender, report, now)

    def tick(self, now: float) -> None:
        """See Capability."""
        for key, _ in self.records.expire(now, ENDED):
            self.aside.pop(key)
        self.hand_over(self.admission.unproven.tick(now), now)
        if now >= self._renew_at:
            self._renew_at, wall = now + RENEW_SECONDS, self.wall()
            self.send([*self.allow.renew(now, wall), *self.bans.renew(now, wall)], now)
        if adopted := list(islice(self._adopting, ADOPTED)):
            self.send(adopted, now)
        if self.sync is not None:
            self.sync.tick(now)

    def forget(self, origin: str, now: float) -> None:
        """Take out everything that a node said which has no part in the cluster any more."""
        if origin == self.node:  # put out once, it is back with a new certificate, or alone
            return
        self.budget.forget(origin)
        self.hand_over(self.admission.unprotect(origin, now), now)
        applied: list[Applied] = []
        for key, entry in self.records.forget(origin):
            # What was never applied, or is banned by another decision here, stays as it is.
            skip = self.aside.pop(key) is not None or entry.value is None
            mine = key[0] in (BAN, UNPROVEN)
            if skip or (mine and self.owners.of(banned_network(key)) != source_of(key, entry)):
                continue
            applied.append((key, entry._replace(value=None), None))
        self.follow(applied, now)

    def follow(self, applied: Sequence[Applied], now: float) -> None:
        """Do here what merged records say."""
        changes: list[Change] = []
        lifted: list[Network] = []
        take = self.admission.take
        for key, entry, _ in applied:
            kind = key[0]
            if kind in BANS:
                network = take(key, entry, now, changes)
                if network is not None:
                    lifted.append(network)
            elif kind == ALLOW:
                self.allow.take(key, entry, now)
            else:
                self.stats.unknown += 1
        if lifted:
            self._policy.forget(lifted)
        self.hand_over(changes, now)

    def hand_over(self, changes: Sequence[Change], now: float) -> None:
        """Give what others changed to the host."""
        if changes:
            self.stats.applied += len(changes)
            self._unfrozen += len(changes)
            if self._unfrozen >= FREEZE_EVERY:
                self._unfrozen = 0
                gc.collect()
                gc.freeze()
            self.host.take_shared(changes, now)
        added, removed = self.allow.added, self.allow.removed
        if added or removed:
            self.allow.added, self.allow.removed = [], []
            self.host.take_allowed(added, removed, now)

    def _merged(
        self, origin: str, applied: Sequence[Applied], extra: Any, now: float, wall: float
    ) -> None:
        """Follow what others said, pushed or found by comparison; alerts come along with a push."""
        self.stats.merged += len(applied)
        self.follow(applied, now)
        if extra:
            self.alerts.take(origin, extra, applied, wall)
