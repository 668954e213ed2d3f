"""Unproven: what this node makes of bans of other nodes whose evidence could be forged.

Such a ban is short, of a single address, and holds only where that address has shown no good traffic:
anybody can accuse a carrier by writing its address on a packet, and every node knows its own customers
best. It never touches a proven ban, has a budget of its own, and many of them at once are not believed.
With ``quorum`` above 1 none is: a forger is no second witness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shield.blocklist.aside import Aside, Why
from shield.blocklist.blocklist import Blocklist
from shield.blocklist.budget import Budget
from shield.blocklist.decision import Change, Decision
from shield.blocklist.forged_floods import ForgedFloods
from shield.blocklist.policy import Policy
from shield.blocklist.protected import Protected
from shield.blocklist.shared_record import (
    UnprovenValue,
    banned_network,
    read_unproven,
    unproven_key,
)
from shield.blocklist.sharing_settings import SharingSettings
from shield.cluster.entry import Entry
from shield.cluster.replicated import ReplicatedMap
from shield.detect.alert import Proof
from shield.errors import RemoteError
from shield.net import Network

__all__ = ["GoodRecord", "Unproven", "nobody_good"]

MAX_WAITING = 1_000
"""Records looked at again when a call no longer rings; the others wait until they are renewed."""

GoodRecord = Callable[[bytes], Why | None]
"""What this node itself has seen of a packed address: TRUSTED, RINGING, or nothing good."""


def nobody_good(_address: bytes) -> Why | None:
    """The record of a node that sees no traffic."""
    return None


class Unproven:
    """Decides about merged records of unproven bans; ``good`` tells what this node knows of a source."""

    def __init__(
        self,
        *,
        settings: SharingSettings,
        records: ReplicatedMap,
        blocklist: Blocklist,
        protected: Protected,
        budget: Budget,
        aside: Aside,
        policy: Policy,
        good: GoodRecord,
    ) -> None:
        self._settings = settings
        self._records = records
        self._blocklist = blocklist
        self._protected = protected
        self._budget = budget
        self._aside = aside
        self._policy = policy
        self._good = good
        self.floods = ForgedFloods(policy)
        self._ringing: dict[bytes, None] = {}

    def take(self, key: bytes, entry: Entry, now: float, changes: list[Change]) -> Network | None:
        """Follow a merged record; what it changes here is added to ``changes``.

        Returns the network if the ban was taken back.
        """
        try:
            network = banned_network(key)
        except RemoteError:
            self._aside.put(key, entry.origin, Why.UNREADABLE)
            return None
        if entry.value is not None:
            self._apply(key, network, entry, now, changes)
            return None
        self._aside.pop(key)
        changes += self._blocklist.lift(network, now, f"unban by {entry.origin}")
        return network

    def told(self, decision: Decision, messages: int, now: float, changes: list[Change]) -> None:
        """Count a ban that this node tells the others: it may be part of a flood that reaches all."""
        caught = self.floods.note(decision.scenario, decision.network, now, messages)
        self._lift(caught, decision.scenario, now, changes)

    def said(self, network: Network, now: float) -> list[tuple[bytes, Entry]]:
        """The live record of exactly this network, if there is one."""
        key = unproven_key(network)
        entry = self._records.live(key, now)
        return [] if entry is None else [(key, entry)]

    def again(self, network: Network, now: float, changes: list[Change]) -> None:
        """Decide once more about a record: a proven ban in its way has ended, or a reason against it."""
        for key, entry in self.said(network, now):
            self._apply(key, network, entry, now, changes)

    def restored(self, key: bytes, entry: Entry, now: float, changes: list[Change]) -> None:
        """Follow a record of the journal, unless the blocklist is already as it says."""
        try:
            network = banned_network(key)
        except RemoteError:
            self._aside.put(key, entry.origin, Why.UNREADABLE)
            return
        if (entry.value is None) is (network in self._blocklist.guard):
            self.take(key, entry, now, changes)

    def set_aside(self, network: Network, why: Why, now: float) -> None:
        """Note why a record is in force no more; a restart must not forget it, as it forgets traffic."""
        for key, entry in self.said(network, now):
            self._aside.put(key, entry.origin, why)
            if self._records.dirty is not None:
                self._records.dirty.add(key)

    def tick(self, now: float) -> list[Change]:
        """Let time pass: what was refused because a call rang is looked at again."""
        self.floods.tick(now)
        waiting, self._ringing = self._ringing, {}
        changes: list[Change] = []
        for key in waiting:
            mark = self._aside.get(key)
            if mark is not None and mark.why is Why.RINGING:
                self.again(banned_network(key), now, changes)
        return changes

    def _apply(
        self, key: bytes, network: Network, entry: Entry, now: float, changes: list[Change]
    ) -> None:
        longest = now + self._policy.settings.unproven_ban_time
        try:
            value = read_unproven(network, entry.value or b"", entry.origin, min(entry.until, longest))
        except RemoteError:
            self._aside.put(key, entry.origin, Why.UNREADABLE)
            return
        decision = value.decision
        caught = self._note(value, entry, now)
        known = self._blocklist.get(network, now)
        if known is not None and known.proof is Proof.PROVEN:
            why = None  # when that ends this is looked at again
        else:
            why = self._refuses(value, entry, now)
            if why is None:
                made = self._blocklist.assign(decision, now)
                changes += made
                if not made and network not in self._blocklist.guard and decision.until > now:
                    allowed = self._protected.refuses(network) is Why.ALLOWLISTED
                    why = Why.ALLOWLISTED if allowed else Why.FULL
        if why is not None:
            self._aside.put(key, entry.origin, why)
            if why is Why.RINGING and len(self._ringing) < MAX_WAITING:
                self._ringing[key] = None
        elif self._aside.marks:
            self._aside.pop(key)
        self._lift(caught, decision.scenario, now, changes)

    def _note(self, value: UnprovenValue, entry: Entry, now: float) -> Iterable[Network]:
        decision = value.decision
        decided = min(now, entry.until - decision.duration)
        return self.floods.note(decision.scenario, decision.network, decided, value.messages)

    def _refuses(self, value: UnprovenValue, entry: Entry, now: float) -> Why | None:
        decision, origin = value.decision, entry.origin
        network = decision.network
        own = origin == self._records.node
        why = None if own else self._protected.refuses_weak(network)
        if why is None:
            why = self._good(network.address)
        if why is not None or own:
            return why
        if self._settings.quorum > 1:
            return Why.QUORUM
        decided = min(now, entry.until - decision.duration)
        if self.floods.flooded(decision.scenario, decided, value.messages):
            return Why.FLOOD
        paid = self._budget.take(origin, network, now, proven=False)
        return None if paid else Why.TOO_MANY

    def _lift(self, caught: Iterable[Network], scenario: str, now: float, changes: list[Change]) -> None:
        """End bans of others that turn out to be part of a flood."""
        for network in caught:
            found = self._blocklist.get(network, now)
            if (
                found is not None
                and found.origin in {entry.origin for _, entry in self.said(network, now)}
                and found.origin != self._records.node
                and found.scenario == scenario
            ):
                changes += self._blocklist.lift(network, now, "a forged flood")
                self.set_aside(network, Why.FLOOD, now)
