"""Blocklist: all live decisions of this node, and the changes that everything else follows.

Proven and unproven decisions live in separate bounded caches, hosts and networks too, so a flood of weak
entries can push out weak entries only. What the packet path sees is the ``guard``: exactly the
networks with a decision here, minus what the allowlist covers.

Of one network there is one decision: a proven one takes the place of an unproven one, and while it is
in force an unproven one changes nothing. Followers see it ADDED once, EXTENDED as often as its end
moves, and taken away. An end moves to an earlier time only by ``assign``: what the nodes agreed on holds
on all of them.

A limit is a proven decision about one address. Any ban takes its place, and only an unproven ban makes
room for it: nothing weakens a proven one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

from shield.blocklist.allowlist import Allowlist
from shield.blocklist.blocklist_settings import BlocklistSettings, BlocklistStats
from shield.blocklist.cache import DecisionCache
from shield.blocklist.decision import BAN, EARNED, LIMIT, MAX_PORTS, Change, ChangeKind, Decision
from shield.blocklist.guard import Guard
from shield.blocklist.probation import PART, Probation
from shield.detect.alert import Proof
from shield.errors import InputError
from shield.net import Network

__all__ = ["Blocklist"]

PORTION = 500
"""Ended decisions that are taken out in one go: 4 to 7 ms of a blocklist that holds a million, where
the packets may wait 10 ms."""

MAX_ASKED = 5_000
"""Hosts that are asked for their trust at once, some two milliseconds; more are a forged flood."""

SAME_END = 0.5
"""Seconds by which the ends of one decision may differ: its lifetime travels as remaining time, and
waiting on the way must not count as a change."""

_BEGUN = frozenset({ChangeKind.ADDED, ChangeKind.EXTENDED})


class Blocklist:
    """The local TTL cache of decisions. Reads no clock: ``now`` is node time in seconds."""

    def __init__(self, settings: BlocklistSettings, allowlist: Allowlist) -> None:
        self.settings = settings
        self.stats = BlocklistStats()
        self.guard = Guard(allowlist.covers)
        self._allowlist = allowlist
        self._allow_generation = allowlist.added_since(0)[1]
        # Proven, then unproven: found by index, because the hash of an enum costs more than the rest.
        self._hosts = DecisionCache(settings.max_decisions), DecisionCache(settings.max_unproven)
        self._networks = (
            DecisionCache(settings.max_networks),
            DecisionCache(settings.max_unproven_networks),
        )
        self._caches = {
            "proven": self._hosts[0],
            "proven_networks": self._networks[0],
            "unproven": self._hosts[1],
            "unproven_networks": self._networks[1],
        }
        self._probation = Probation(self.guard, self._hosts[1])

    def check(self, network: Network) -> None:
        """Raise InputError when ``network`` is larger than may be banned."""
        settings, version = self.settings, network.version
        shortest = settings.min_prefix_v4 if version == 4 else settings.min_prefix_v6
        if network.length < shortest:
            setting = f"min_prefix_v{version}"
            raise InputError(f"{network} is too large to ban (blocklist.{setting} = {shortest})")

    def add(self, decision: Decision, now: float) -> list[Change]:
        """Enter a decision; returns what changed, evictions first.

        The decision is not entered when a longer or stronger one is there, the allowlist covers the
        network, or the cache is full of longer ones: ``stats`` says which. Raises InputError when the
        network is too large.
        """
        return self._counted(self._enter(decision, now, self._add))

    def assign(self, decision: Decision, now: float) -> list[Change]:
        """Make a decision the one about its network, also when it ends earlier than another.

        For what all nodes agreed on. An end that moves, to whichever side, is EXTENDED; the same
        decision again changes nothing. Everything else is as in ``add``.
        """
        return self._counted(self._enter(decision, now, self._assign))

    def restore(self, decisions: Iterable[Decision], now: float) -> int:
        """Enter saved decisions; returns how many were accepted. The rest is counted in ``stats``."""
        count = 0
        for decision in decisions:
            try:
                changes = self._enter(decision, now, self._add)
            except InputError:
                continue  # the limit was raised since it was saved; counted as refused_prefix
            count += bool(changes) and changes[-1].kind in _BEGUN
        self.stats.restored += count
        return count

    def remove(
        self,
        network: Network,
        now: float,  # noqa: ARG002 - each call that changes something says when
        reason: str = "unban",
    ) -> list[Change]:
        """Take the decision about exactly this network out."""
        for cache in self._both(network):
            decision = cache.discard(network)
            if decision is not None:
                self._forget(network)
                self.stats.removed += 1
                return [Change(ChangeKind.REMOVED, decision, reason)]
        return []

    def lift(self, network: Network, now: float, reason: str) -> list[Change]:
        """Take an unproven decision about exactly this network out; a proven one stays."""
        unproven = self._both(network)[1]
        return self.remove(network, now, reason) if network in unproven else []

    def pardon(self, trusted: Callable[[bytes], bool], now: float) -> list[Change]:
        """Lift unproven bans of hosts that turn out good; only what is read again can show that."""
        read = islice(self.guard.reread, MAX_ASKED)
        good = [Network.host(address) for address in read if trusted(address)]
        return [change for host in good for change in self.lift(host, now, EARNED)]

    def match(self, address: bytes, now: float) -> Decision | None:
        """Decision about the packed ``address``: a ban before a limit.

        Among bans proven before unproven, then the longest prefix.
        """
        host = Network.host(address)
        if self.guard.bans(address):
            networks = [host, *(network for network, _ in self.guard.networks.covering(host))]
            for kind in (0, 1):
                for network in networks:
                    decision = self._both(network)[kind].find(network)
                    if decision is not None and decision.until > now and decision.type == BAN:
                        return decision
        return self.get(host, now) if address in self.guard.limited else None

    def get(self, network: Network, now: float) -> Decision | None:
        """Decision about exactly this network."""
        decision = self._find(network)
        return decision if decision is not None and decision.until > now else None

    def expire(self, now: float, limit: int = PORTION) -> list[Change]:
        """Take out at most ``limit`` decisions that have ended, and have read again what ends soon.

        Call it often, and again at once while ``next_expiry()`` is not after ``now``: small portions
        keep the packet path from waiting when a list of a million ends in one second.
        """
        changes: list[Change] = []
        self._probation.turn(now, limit)
        left = limit
        for cache in self._caches.values():
            for decision in cache.pop_expired(now, left):
                left -= 1
                self.stats.expired += 1
                changes.append(self._gone(decision, ChangeKind.EXPIRED))
            if left <= 0:
                break
        return changes

    def next_expiry(self) -> float | None:
        """Node time at which the next decision ends; None when there is none."""
        return min(
            (t for cache in self._caches.values() if (t := cache.soonest()) is not None), default=None
        )

    def enforce_allowlist(self, now: float) -> list[Change]:
        """Take out every decision that entries allowed since the last call cover."""
        fresh, self._allow_generation = self._allowlist.added_since(self._allow_generation)
        changes: list[Change] = []
        for allowed in fresh:
            for network in self._banned_inside(allowed):
                changes += self.remove(network, now, "allowlist")
        return changes

    def decisions(self, now: float) -> Iterator[Decision]:
        """Yield all live decisions, proven ones first; the blocklist may change while this runs."""
        for cache in self._caches.values():
            yield from cache.live(now)

    def counts(self) -> dict[str, int]:
        """Decisions in each cache, and how many networks are banned and addresses limited altogether."""
        limited = len(self.guard.limited)
        return {
            "banned": len(self),
            "limited": limited,
            **{name: len(cache) for name, cache in self._caches.items()},
        }

    def by_scenario(self, now: float) -> Counter[str]:
        """Live decisions by scenario."""
        return Counter(decision.scenario for decision in self.decisions(now))

    def __len__(self) -> int:
        """Return how many hosts and networks are banned."""
        return len(self.guard)

    def _both(self, network: Network) -> tuple[DecisionCache, DecisionCache]:
        """Return the caches of proven and unproven decisions that this network belongs to."""
        return self._hosts if network.is_host else self._networks

    def _counted(self, changes: list[Change]) -> list[Change]:
        kind = changes[-1].kind if changes else None
        self.stats.added += kind is ChangeKind.ADDED
        self.stats.extended += kind is ChangeKind.EXTENDED
        return changes

    def _enter(
        self, decision: Decision, now: float, enter: Callable[[Decision, Decision | None], list[Change]]
    ) -> list[Change]:
        network = decision.network
        if decision.type == LIMIT and not (network.is_host and decision.proof is Proof.PROVEN):
            raise InputError(f"{network}: only a single address can be limited, and on proof")
        try:
            self.check(network)
        except InputError:
            self.stats.refused_prefix += 1
            raise
        if decision.until <= now:
            self.stats.refused_ended += 1
        elif self._allowlist.covers_network(network) is not None:
            self.stats.refused_allowlisted += 1
        elif network.is_host and network not in self.guard:
            return self._put(decision, None)  # most bans, and nearly all of a start
        else:
            changes = self._ended(network, now)
            return changes + enter(decision, self._find(network))
        return []

    def _find(self, network: Network) -> Decision | None:
        proven, unproven = self._both(network)
        return proven.find(network) or unproven.find(network)

    def _ended(self, network: Network, now: float) -> list[Change]:
        """Expire what has ended of one network: a new ban is then ADDED, not an EXTENDED old one."""
        decision = self._find(network)
        if decision is None or decision.until > now:
            return []
        self._both(network)[decision.proof is Proof.UNPROVEN].discard(network)
        self.stats.expired += 1
        return [self._gone(decision, ChangeKind.EXPIRED)]

    def _add(self, decision: Decision, known: Decision | None) -> list[Change]:
        if known is not None:
            alike = known.type == decision.type
            if alike and known.type == LIMIT:
                decision = _joined(known, decision)
            same = alike and known.proof is decision.proof and known.ports == decision.ports
            least = known.until
            if alike and decision.proof is Proof.UNPROVEN:
                # Each rule that a scan sets off would add a second otherwise.
                least += PART * decision.duration
            spared = decision.type == LIMIT and known.type == BAN and known.proof is Proof.PROVEN
            if spared or _weaker(decision, known) or (same and least >= decision.until):
                self.stats.unchanged += 1
                return []
            if alike and known.until > decision.until:
                # Better knowledge must not end a ban earlier.
                longer = decision.duration + known.until - decision.until
                decision = decision.extended(known.until, longer)
        return self._put(decision, known)

    def _assign(self, decision: Decision, known: Decision | None) -> list[Change]:
        if known is not None:
            same = known.id == decision.id and known.proof is decision.proof
            if _weaker(decision, known) or (same and abs(known.until - decision.until) < SAME_END):
                self.stats.unchanged += 1
                return []
        return self._put(decision, known)

    def _put(self, decision: Decision, known: Decision | None) -> list[Change]:
        network, proven = decision.network, decision.proof is Proof.PROVEN
        caches = self._both(network)
        evicted = caches[not proven].put(decision)
        if evicted is None:
            self.stats.refused_full += 1
            return []
        changes: list[Change] = []
        for victim in evicted:
            if victim.proof is Proof.PROVEN:
                self.stats.evicted_proven += 1
            else:
                self.stats.evicted_unproven += 1
            changes.append(self._gone(victim, ChangeKind.EVICTED, "full"))
        if known is not None and known.proof is not decision.proof:
            caches[proven].discard(network)
            if network.is_host:
                self._probation.end(network.address)
        if decision.type == LIMIT:
            self.guard.limit(network.address, decision.ports)
        elif known is None or known.type == LIMIT:
            self.guard.insert(network)
            if network.is_host and not proven:
                self._probation.begin(decision)
        if self.guard.owners is not None:
            self.guard.owners.begin(network, decision.origin, proven=proven)
        changes.append(Change(ChangeKind.ADDED if known is None else ChangeKind.EXTENDED, decision))
        return changes

    def _gone(self, decision: Decision, kind: ChangeKind, reason: str = "") -> Change:
        """Follow a decision that left its cache."""
        self._forget(decision.network)
        return Change(kind, decision, reason)

    def _forget(self, network: Network) -> None:
        if network.is_host:
            self._probation.end(network.address)
        self.guard.discard(network)

    def _banned_inside(self, allowed: Network) -> list[Network]:
        """Banned hosts and networks that ``allowed`` covers; looks at all hosts unless it is one."""
        if allowed.is_host:
            return [allowed] if allowed in self.guard else []
        low, size = allowed.address, len(allowed.address)
        span = (1 << (size * 8 - allowed.length)) - 1
        high = (int.from_bytes(low, "big") | span).to_bytes(size, "big")
        found = chain(self.guard.hosts, self.guard.reread, self.guard.limited)
        hosts = [Network.host(a) for a in found if low <= a <= high and len(a) == size]
        return hosts + [network for network, _ in self.guard.networks.inside(allowed)]


def _weaker(decision: Decision, known: Decision) -> bool:
    """Whether a decision rests on less than the ban that is known."""
    return known.proof is Proof.PROVEN is not decision.proof and known.type == BAN


def _joined(old: Decision, new: Decision) -> Decision:
    """Both limits of one address: the later end, and the ports of both if there are few."""
    ports = tuple(dict.fromkeys((*old.ports, *new.ports)))
    if not (old.ports and new.ports) or len(ports) > MAX_PORTS:
        ports = ()
    until = max(old.until, new.until)
    return new.extended(until, new.duration + until - new.until)._replace(ports=ports)
