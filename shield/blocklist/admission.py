"""Admission: from what the cluster says about bans to what this node's blocklist holds.

The map is equal on all nodes; whether a record is applied is a local question: the own allowlist, our
SIP servers, size and lifetime, the budget of its origin, and with ``quorum`` how many nodes say so. What
is not applied is set aside with the reason. A ban of this node passes only the allowlist. Unproven bans
have records and rules of their own (``unproven``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shield.blocklist.allowlist import Allowlist
from shield.blocklist.aside import Aside, Why
from shield.blocklist.blocklist import Blocklist
from shield.blocklist.budget import Budget
from shield.blocklist.decision import BAN as BANNED
from shield.blocklist.decision import BY_HAND, LIMIT, Change, Decision
from shield.blocklist.policy import LIMITED, Policy
from shield.blocklist.protected import Protected
from shield.blocklist.shared_record import (
    BAN,
    UNPROVEN,
    VOTE,
    ban_key,
    banned_network,
    read_ban,
    source_of,
    vote_key,
    voter,
)
from shield.blocklist.sharing_settings import SharingSettings
from shield.blocklist.unproven import GoodRecord, Unproven
from shield.cluster.entry import Entry
from shield.cluster.replicated import ReplicatedMap
from shield.detect.alert import Proof
from shield.errors import InputError, RemoteError
from shield.net import Network
from shield.sip.servers import Servers

__all__ = ["Admission"]

MAX_SOURCES = 256
"""Nodes of other clusters whose bans one bridge may carry: each has a budget."""

Said = tuple[bytes, Entry]


class Admission:
    """Decides about bans and votes that were merged into ``records``."""

    def __init__(
        self,
        *,
        settings: SharingSettings,
        records: ReplicatedMap,
        blocklist: Blocklist,
        allowlist: Allowlist,
        servers: Servers,
        budget: Budget,
        aside: Aside,
        policy: Policy,
        good: GoodRecord,
    ) -> None:
        self._settings = settings
        self._records = records
        self._node = records.node
        self._good = good
        self._blocklist = blocklist
        self._allowlist = allowlist
        self._protected = Protected(settings, allowlist, servers)
        self._budget = budget
        self._aside = aside
        self._carried: dict[str, set[str]] = {}
        """By bridge: in whose names it has carried bans."""
        self._votes: dict[Network, set[str]] = {}
        """Who voted, of networks with votes; empty while every node works without a quorum."""
        self.unproven = Unproven(
            settings=settings,
            records=records,
            blocklist=blocklist,
            protected=self._protected,
            budget=budget,
            aside=aside,
            policy=policy,
            good=good,
        )

    def take(self, key: bytes, entry: Entry, now: float, changes: list[Change]) -> Network | None:
        """Follow a merged ban or vote; what it changes here is added to ``changes``.

        Returns the network if nobody bans it any more.
        """
        if key[0] == UNPROVEN:
            return self.unproven.take(key, entry, now, changes)
        try:
            network = banned_network(key)
            if key[0] == VOTE:
                self._noted(network, key, entry)
        except RemoteError:
            self._aside.put(key, entry.origin, Why.UNREADABLE)
            return None
        if self._counts(network):
            return self._count(network, now, changes, entry)
        if entry.value is not None:
            self._apply(key, network, entry, now, changes)
            return None
        self._aside.pop(key)
        changes += self._removed(network, entry, now)
        return network

    def said(self, network: Network, now: float) -> list[Said]:
        """Live bans and votes for exactly this network, the one that counts last."""
        live = self._records.live
        keys = [ban_key(network), *(vote_key(network, name) for name in self._votes.get(network, ()))]
        found = ((key, live(key, now)) for key in keys)
        return sorted(
            ((key, entry) for key, entry in found if entry is not None),
            key=lambda said: (said[1].stamp, said[1].origin),
        )

    def all_said(self, network: Network, now: float) -> list[Said]:
        """The same, and the unproven ban, which counts least."""
        return [*self.unproven.said(network, now), *self.said(network, now)]

    def note_vote(self, network: Network, node: str) -> None:
        """Remember that ``node`` voted."""
        self._votes.setdefault(network, set()).add(node)

    def restored(self, key: bytes, entry: Entry, now: float, changes: list[Change]) -> None:
        """Follow a record of the journal, unless the blocklist is already as it says."""
        if key[0] == UNPROVEN:
            self.unproven.restored(key, entry, now, changes)
            return
        try:
            network = banned_network(key)
            if key[0] == VOTE and entry.value is not None:
                self.note_vote(network, voter(key))
        except RemoteError:
            self._aside.put(key, entry.origin, Why.UNREADABLE)
            return
        guarded = network in self._blocklist.guard
        held = self._blocklist.get(network, now) if guarded else None
        if (entry.value is None) is (held is not None and held.proof is Proof.PROVEN):
            self.take(key, entry, now, changes)

    def again(self, keys: Iterable[bytes], now: float, *, free: bool = False) -> Iterator[Change]:
        """Decide once more about records that were set aside; ``free``: whatever the budget says."""
        for key in keys:
            entry = self._records.live(key, now)
            if entry is None:
                self._aside.pop(key)
            elif key[0] == UNPROVEN:
                changes: list[Change] = []
                self.unproven.again(banned_network(key), now, changes)
                yield from changes
            elif key[0] in (BAN, VOTE):
                changes = []
                network = banned_network(key)
                if free or not self._counts(network):
                    self._apply(key, network, entry, now, changes, free=free)
                else:
                    self._count(network, now, changes, entry)
                yield from changes

    def protect(self, node: str, hosts: Iterable[str], now: float) -> list[Change]:
        """Note where another node is reached: others cannot ban that here, and what they did ends."""
        fresh, released = self._protected.note(node, hosts)
        changes = self._released(now) if released else []
        for host in map(Network.host, fresh):
            covering = (network for network, _ in self._blocklist.guard.networks.covering(host))
            for network in [host, *covering]:
                decision = self._blocklist.get(network, now)
                for key, entry in self.all_said(network, now):
                    if decision and decision.origin == source_of(key, entry) != self._node:
                        changes += self._blocklist.remove(network, now, "a node of the cluster")
                        self._aside.put(key, entry.origin, Why.MEMBER)
        return changes

    def unprotect(self, node: str, now: float) -> list[Change]:
        """Forget where a node was reached."""
        return self._released(now) if self._protected.forget(node) else []

    def _released(self, now: float) -> list[Change]:
        """Bans of what was protected are in force from now on."""
        return list(self.again(self._aside.keys(Why.MEMBER), now))

    # --- votes ------------------------------------------------------------------------------

    def _counts(self, network: Network) -> bool:
        """Whether it takes more than one look to say who bans a network."""
        return network in self._votes or self._settings.quorum > 1

    def _noted(self, network: Network, key: bytes, entry: Entry) -> None:
        name = voter(key)
        if entry.value is None:
            return
        if name != entry.origin:
            raise RemoteError("key", f"a vote of {name} by {entry.origin}")
        self.note_vote(network, name)

    def _count(
        self, network: Network, now: float, changes: list[Change], entry: Entry
    ) -> Network | None:
        """Count who says that the network is to be banned, and do as they say if they are enough."""
        said = self.said(network, now)
        self._votes[network] = {one.origin for key, one in said if key[0] == VOTE}
        if not self._votes[network]:
            del self._votes[network]
        if not said:
            changes += self._removed(network, entry, now)
            return network
        enough = len({one.origin for _, one in said}) >= self._settings.quorum
        own = [one for one in said if source_of(*one) == self._node]
        for key, one in said:
            if enough:
                self._aside.pop(key)
            elif one.origin != self._node:
                self._aside.put(key, one.origin, Why.QUORUM)
        for key, one in (said if enough else own)[-1:]:
            self._apply(key, network, one, now, changes)
        if not enough and not own and entry.value is None:
            changes += self._removed(network, entry, now)
            return network
        return None

    def _removed(self, network: Network, entry: Entry, now: float) -> list[Change]:
        """Follow who took a ban back; an unproven one that he did not take back is in force now."""
        changes = self._blocklist.remove(network, now, f"unban by {entry.origin}")
        self.unproven.again(network, now, changes)
        return changes

    # --- one ban ----------------------------------------------------------------------------

    def _apply(
        self,
        key: bytes,
        network: Network,
        entry: Entry,
        now: float,
        changes: list[Change],
        *,
        free: bool = False,
    ) -> None:
        origin, why = entry.origin, None
        until = min(entry.until, now + self._settings.max_lifetime)
        try:
            decision = read_ban(network, entry.value or b"", origin, until)
        except RemoteError:
            self._aside.put(key, origin, Why.UNREADABLE)
            return
        source = decision.origin
        if source != self._node:
            proven = decision.proof is Proof.PROVEN
            why = self._protected.refuses(network) if proven else Why.UNPROVEN
            if why is None and not (free or self._pays(origin, source, network, now)):
                why = Why.HELD
            decision = self._as_here(decision, now)
        if why is None:
            try:
                made = self._blocklist.assign(decision, now)
            except InputError:
                why = Why.PREFIX
            else:
                changes += made
                if not made and network not in self._blocklist.guard and until > now:
                    covered = self._allowlist.covers_network(network) is not None
                    why = Why.ALLOWLISTED if covered else Why.FULL
        if why is not None:
            self._aside.put(key, source if origin == self._node else origin, why)
        elif self._aside.marks:
            self._aside.pop(key)

    def _as_here(self, decision: Decision, now: float) -> Decision:
        """What a detected ban of another node means here: a limit of an address that is trusted.

        An office is good at the node where its phones are, and unknown to the one that finds the guesser
        behind its NAT. What an operator bans by hand, and what this node has banned itself, stays a ban.
        """
        network = decision.network
        if (
            decision.type != BANNED
            or decision.proof is not Proof.PROVEN
            or not network.is_host
            or decision.scenario in BY_HAND
            or self._good(network.address) is not Why.TRUSTED
        ):
            return decision
        known = self._blocklist.get(network, now)
        if known is not None and known.type == BANNED and known.proof is Proof.PROVEN:
            return decision
        return decision._replace(type=LIMIT, reason=decision.reason + LIMITED)

    def _pays(self, origin: str, source: str, network: Network, now: float) -> bool:
        """Whether the budget allows it: of a carried ban that of its source and that of the bridge."""
        if source != origin:
            sources = self._carried.setdefault(origin, set())
            if source not in sources and len(sources) >= MAX_SOURCES:
                return False
            sources.add(source)
            if origin != self._node and not self._budget.take(origin, network, now):
                return False
        return self._budget.take(source, network, now)
