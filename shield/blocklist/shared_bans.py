"""SharedBans: writes what this node decides about bans into the replicated map.

Decisions of this node and its operator travel; those of others are in the map already. Of the unproven
ones only those about single addresses do, no more than others take, in records of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

from shield.blocklist.admission import Admission
from shield.blocklist.allowlist import Allowlist
from shield.blocklist.aside import Aside, Why
from shield.blocklist.blocklist import Blocklist
from shield.blocklist.decision import EARNED, Decision
from shield.blocklist.owners import Owners
from shield.blocklist.shared_record import (
    ban_key,
    ban_value,
    banned_network,
    unproven_key,
    unproven_value,
    vote_key,
)
from shield.cluster.entry import Applied
from shield.cluster.replicated import ReplicatedMap
from shield.detect.alert import Proof
from shield.net import Network

__all__ = ["SharedBans"]


class SharedBans:
    """The local side of bans; ``quorum`` above 1 makes a decision a vote."""

    def __init__(
        self,
        *,
        records: ReplicatedMap,
        admission: Admission,
        blocklist: Blocklist,
        allowlist: Allowlist,
        owners: Owners,
        aside: Aside,
        quorum: int,
        max_unproven: int,
    ) -> None:
        self._records = records
        self._admission = admission
        self._blocklist = blocklist
        self._allowlist = allowlist
        self._owners = owners
        self._aside = aside
        self._voting = quorum > 1
        self._long: set[bytes] = set()
        """Keys of bans that last longer than a record may."""
        self._max_unproven = max_unproven
        self._unproven: dict[bytes, float] = {}
        """Keys and ends of the unproven bans that this node told, some of which are over."""
        self.untold = 0
        """Unproven bans that stayed here because there were too many."""

    def put(self, decision: Decision, now: float, wall: float, messages: int = 0) -> Applied | None:
        """Write a decision of this node; None when it is not one to share, or there is no room.

        ``messages``: how many the source had sent, told with an unproven ban.
        """
        if not self._owners.is_local(decision.origin):
            return None
        if decision.proof is not Proof.PROVEN:
            return self._put_unproven(decision, messages, now, wall)
        network, records = decision.network, self._records
        key = vote_key(network, records.node) if self._voting else ban_key(network)
        left, above = decision.until - now, 0
        if self._voting:  # of several votes the last one counts
            said = self._admission.said(network, now)
            above = max((one.stamp for _, one in said), default=0)
        value = ban_value(decision)
        entry = records.put(key, value, left, now, wall, above=above) if left > 0 else None
        if entry is None:
            return None
        if left > records.limits.max_lifetime:
            self._long.add(key)
        self._aside.pop(key)
        return key, entry, None

    def _put_unproven(
        self, decision: Decision, messages: int, now: float, wall: float
    ) -> Applied | None:
        """Write an unproven ban; a network's stays here, for who is in it every node knows itself."""
        left, key, held = decision.until - now, unproven_key(decision.network), self._unproven
        if left <= 0 or not decision.network.is_host:
            return None
        if key not in held and len(held) >= self._max_unproven:
            self._unproven = held = {k: until for k, until in held.items() if until > now}
            if len(held) >= self._max_unproven:
                self.untold += 1
                return None
        entry = self._records.put(key, unproven_value(decision, messages), left, now, wall)
        if entry is None:
            return None
        held[key] = decision.until
        self._aside.pop(key)
        return key, entry, None

    def lift(self, network: Network, reason: str, now: float, wall: float) -> list[bytes]:
        """Write tombstones for a ban that was taken back here; returns their keys."""
        if reason == EARNED:
            self._admission.unproven.set_aside(network, Why.TRUSTED, now)
            return []
        said = self._admission.all_said(network, now)
        if reason == "allowlist":
            # What the configuration here allows is nobody else's business; what an operator allowed is.
            allowed = self._allowlist.covers_network(network)
            if allowed is None or allowed.origin != "cli":
                for key, entry in said:
                    if entry.origin != self._records.node:
                        self._aside.put(key, entry.origin, Why.ALLOWLISTED)
                said = [one for one in said if one[1].origin == self._records.node]
        for key, _ in said:
            self._records.remove(key, now, wall)
            self._aside.pop(key)
        return [key for key, _ in said]

    def adopt(self, now: float, wall: float) -> Iterator[bytes]:
        """Write live decisions of this node that the map has never heard of; yields their keys.

        They come from the journal of a node that was in no cluster, or of an earlier shield.
        """
        for decision in self._blocklist.decisions(now):
            network = decision.network
            if decision.proof is Proof.PROVEN:
                known = self._records.get(ban_key(network)) or self._records.get(
                    vote_key(network, self._records.node)
                )
            else:
                known = self._records.get(unproven_key(network))
            if known is None:
                made = self.put(decision, now, wall)
                if made is not None:
                    yield made[0]
            elif decision.remaining(now) > self._records.limits.max_lifetime:
                self._long.add(ban_key(network))

    def renew(self, now: float, wall: float) -> list[bytes]:
        """Write again what would end in the map too early; returns the keys. Call it about hourly."""
        keys = []
        for key in list(self._long):
            decision = self._blocklist.get(banned_network(key), now)
            said = self._records.live(key, now)
            if decision is None or said is None or not self._owners.is_local(decision.origin):
                self._long.discard(key)
            elif said.until - now < self._records.limits.max_lifetime / 2:
                made = self.put(decision, now, wall)
                keys += [made[0]] if made is not None else []
        return keys
