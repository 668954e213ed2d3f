"""Admission: from what the cluster says about bans to what this node's blocklist holds.

The map is equal on all nodes; whether a record is applied is a local question: the own allowlist, our
SIP servers, size and lifetime, the budget of its origin, and with ``quorum`` how many nodes say so. What
is not applied is set aside with the reason. A ban of this node passes only the allowlist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shield.blocklist.allowlist import Allowlist
from shield.blocklist.aside import Aside, Why
from shield.blocklist.blocklist import Blocklist
from shield.blocklist.budget import Budget
from shield.blocklist.decision import Change
from shield.blocklist.shared_record import BAN, VOTE, ban_key, banned_network, read_ban, vote_key, voter
from shield.blocklist.sharing_settings import SharingSettings
from shield.cluster.entry import Entry
from shield.cluster.replicated import ReplicatedMap
from shield.detect.alert import Proof
from shield.errors import InputError, RemoteError
from shield.net import Network, pack
from shield.sip.servers import Servers

__all__ = ["Admission"]

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
    ) -> None:
        self._settings = settings
        self._records = records
        self._node = records.node
        self._blocklist = blocklist
        self._allowlist = allowlist
        self._servers = servers
        self._budget = budget
        self._aside = aside
        self._votes: dict[Network, set[str]] = {}
        """Who voted, of networks with votes; empty while every node works without a quorum."""
        self._nodes: dict[str, frozenset[bytes]] = {}
        """Addresses of the other nodes."""
        self._protected: frozenset[bytes] = frozenset()
        """All of them."""

    def take(self, key: bytes, entry: Entry, now: float, changes: list[Change]) -> Network | None:
        """Follow a merged ban or vote; what it changes here is added to ``changes``.

        Returns the network if nobody bans it any more.
        """
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
        changes += self._blocklist.remove(network, now, _reason(entry))
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

    def note_vote(self, network: Network, node: str) -> None:
        """Remember that ``node`` voted."""
        self._votes.setdefault(network, set()).add(node)

    def restored(self, key: bytes, entry: Entry, now: float, changes: list[Change]) -> None:
        """Follow a record of the journal, unless the blocklist is already as it says."""
        try:
            network = banned_network(key)
            if key[0] == VOTE and entry.value is not None:
                self.note_vote(network, voter(key))
        except RemoteError:
            self._aside.put(key, entry.origin, Why.UNREADABLE)
            return
        if (entry.value is None) is (network in self._blocklist.guard):
            self.take(key, entry, now, changes)

    def again(self, keys: Iterable[bytes], now: float, *, free: bool = False) -> Iterator[Change]:
        """Decide once more about records that were set aside; ``free``: whatever the budget says."""
        for key in keys:
            entry = self._records.live(key, now)
            if entry is None:
                self._aside.pop(key)
            elif key[0] in (BAN, VOTE):
                changes: list[Change] = []
                network = banned_network(key)
                if free or not self._counts(network):
                    self._apply(key, network, entry, now, changes, free=free)
                else:
                    self._count(network, now, changes, entry)
                yield from changes

    def protect(self, node: str, hosts: Iterable[str], now: float) -> list[Change]:
        """Note where another node is reached: others cannot ban that here, and what they did ends.

        A node that dropped the packets of another one would hear nothing of it any more, least of all
        that the ban was taken back.
        """
        found = frozenset(address for host in hosts if (address := _packed(host)) is not None)
        fresh, self._nodes[node] = found - self._protected, found
        changes = self._protect_no_more(now)
        for host in map(Network.host, fresh):
            covering = (network for network, _ in self._blocklist.guard.networks.covering(host))
            for network in [host, *covering]:
                decision = self._blocklist.get(network, now)
                for key, entry in self.said(network, now):
                    if decision and decision.origin == entry.origin != self._node:
                        changes += self._blocklist.remove(network, now, "a node of the cluster")
                        self._aside.put(key, entry.origin, Why.MEMBER)
        return changes

    def unprotect(self, node: str, now: float) -> list[Change]:
        """Forget where a node was that has no part in the cluster any more.

        And ``""``, the addresses known from before the start: its own may be among them.
        """
        for name in (node, ""):
            self._nodes.pop(name, None)
        return self._protect_no_more(now)

    def _protect_no_more(self, now: float) -> list[Change]:
        """Put together what is protected; bans of what no longer is are in force from now on."""
        before, self._protected = self._protected, frozenset().union(*self._nodes.values())
        left = before - self._protected
        return list(self.again(self._aside.keys(Why.MEMBER), now)) if left else []

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
            changes += self._blocklist.remove(network, now, _reason(entry))
            return network
        enough = len({one.origin for _, one in said}) >= self._settings.quorum
        own = [one for one in said if one[1].origin == self._node]
        for key, one in said:
            if enough:
                self._aside.pop(key)
            elif one.origin != self._node:
                self._aside.put(key, one.origin, Why.QUORUM)
        for key, one in (said if enough else own)[-1:]:
            self._apply(key, network, one, now, changes)
        if not enough and not own and entry.value is None:
            changes += self._blocklist.remove(network, now, _reason(entry))
            return network
        return None

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
        if origin != self._node:
            why = Why.UNPROVEN if decision.proof is not Proof.PROVEN else self._refuses(network)
            if why is None and not (free or self._budget.take(origin, network, now)):
                why = Why.HELD
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
            self._aside.put(key, origin, why)
        elif self._aside.marks:
            self._aside.pop(key)

    def _refuses(self, network: Network) -> Why | None:
        """Reason not to apply a ban of another node, budget apart."""
        if network.is_host:
            if network.address in self._servers.known and network.address not in self._servers.learned:
                return Why.OWN_SERVER
            if network.address in self._protected:
                return Why.MEMBER
        else:
            settings = self._settings
            shortest = settings.min_prefix_v4 if network.version == 4 else settings.min_prefix_v6
            if network.length < shortest:
                return Why.PREFIX
            own = self._servers.known - self._servers.learned
            if any(network.contains(Network.host(server)) for server in own):
                return Why.OWN_SERVER
            if any(network.contains(Network.host(address)) for address in self._protected):
                return Why.MEMBER
        return None if self._allowlist.covers_network(network) is None else Why.ALLOWLISTED


def _reason(entry: Entry) -> str:
    return f"unban by {entry.origin}"


def _packed(host: str) -> bytes | None:
    try:
        return pack(host)
    except InputError:  # a name: the connection is made to whatever it resolves to, later
        return None
