"""Core: one node's part in the cluster, without I/O: what is the same whatever carries its messages.

A carrier's own core (``PeerCore``) adds how bytes come and go. Features join as capabilities.

Its parts: ``Membership`` (who is there), ``Post`` (messages of capabilities), ``Revocations``, and
``Events`` (for people).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from shield.cluster.capability import Capability, Outlet, SendResult
from shield.cluster.carrier import Reach
from shield.cluster.events import Events
from shield.cluster.identity import Identity
from shield.cluster.member import MemberState
from shield.cluster.membership import Change, Membership
from shield.cluster.messages import (
    ALIVE,
    HIGHEST_VERSION,
    LOWEST_VERSION,
    MAX_ADDRESSES,
    Data,
    Hello,
    Leave,
    MemberNews,
    Revoked,
)
from shield.cluster.outlet import PostOutlet
from shield.cluster.parcels import Parcels
from shield.cluster.post import Post
from shield.cluster.revocation import Revocation, Revocations
from shield.cluster.settings import Address, ClusterSettings
from shield.errors import RemoteError

__all__ = ["TICK_SECONDS", "Core"]

FEATURES: tuple[str, ...] = ("relay", ALIVE)
"""What this node can beyond the version; two nodes use what both can."""

TICK_SECONDS = 0.25
"""Between two looks at the timers."""

CAPABILITY_SECONDS = 0.5
"""Between two ticks of the capabilities."""


class Core(ABC):
    """See the module's docstring. ``shift``: wall time minus node time, kept true by the carrier."""

    def __init__(
        self,
        identity: Identity,
        settings: ClusterSettings,
        now: float,
        wall: float,
        reach: Reach,
        *,
        addresses: Iterable[Address] = (),
        revocations: Revocations | None = None,
        software: str = "shield",
    ) -> None:
        self.identity = identity
        self.settings = settings
        self.shift = wall - now
        self.events = Events()
        self.next_event = self.events.next_event
        self.errors: Counter[str] = Counter()
        """What peers did wrong, by reason."""
        self.revocations = Revocations() if revocations is None else revocations
        incarnation = int(wall * 1000)
        self.addresses = tuple(addresses)[:MAX_ADDRESSES]
        self._software = software
        self.membership = Membership(
            identity,
            reach,
            incarnation=incarnation,
            addresses=self.addresses,
            relay_cost=settings.relay_cost,
            software=software,
            dead_after=settings.dead_after,
        )
        self.parcels = Parcels(self.membership)
        self.post = Post(self.membership, self, incarnation & 0xFFFFFFFF)
        self.on_revoked: Callable[[Revocation], None] = lambda _revocation: None
        """Called with each revocation that is new, to be kept over a restart."""
        self.on_expelled: Callable[[str, float], None] = lambda _name, _now: None
        """Called with the name of each node that was put out, and node time."""
        self._next_tick = self._next_capabilities = now

    @property
    def name(self) -> str:
        """Name of this node."""
        return self.identity.name

    def wall(self, now: float) -> float:
        """Seconds since the epoch at node time ``now``."""
        return now + self.shift

    def add(self, capability: Capability) -> Outlet:
        """Let a feature take part; raises ValueError when its name is taken."""
        self.post.add(capability)
        return PostOutlet(self.post, capability.name)

    def recall(self, known: Iterable[MemberNews], now: float) -> None:
        """Begin with what members said before a restart; they are dead until they are met."""
        for news in known:
            with suppress(RemoteError):  # expired or revoked meanwhile
                self.membership.accept(news, self.wall(now), self.revocations.times, now)

    # --- what a carrier adds ----------------------------------------------------------------

    @abstractmethod
    def send(self, node: str, message: Data, frame: bytes, now: float) -> SendResult:
        """Send to a member that can be reached: see ``carrier.Ways``."""

    @abstractmethod
    def broadcast(
        self, nodes: tuple[str, ...], message: Data, frame: bytes, now: float
    ) -> Collection[str]:
        """Send to all who can be reached: see ``carrier.Ways``."""

    @abstractmethod
    def flood(self, message: MemberNews | Revoked | Leave, *, heard: bool = False) -> None:
        """Tell everybody something that concerns the cluster itself; ``heard``: it came from others."""

    @abstractmethod
    def cut_off(self, revocation: Revocation, now: float) -> None:
        """End what connects this node with one that was put out."""

    @abstractmethod
    def look_at_timers(self, now: float) -> None:
        """Do what the carrier has to do about four times a second."""

    # --- time -------------------------------------------------------------------------------

    def get_timer(self) -> float:
        """Node time at which ``handle_timer`` wants to be called."""
        return self._next_tick

    def handle_timer(self, now: float) -> None:
        """Give signs of life, notice who is gone, let suspects die and questions end."""
        self._next_tick = now + TICK_SECONDS
        self.look_at_timers(now)
        self._changed(self.membership.tick(now), now)
        self.post.requests.expire(now)
        if now >= self._next_capabilities:
            self._next_capabilities = now + CAPABILITY_SECONDS
            self.post.each(lambda capability: capability.tick(now))
        self.post.wake()

    # --- orders -----------------------------------------------------------------------------

    def enable(self, *, enabled: bool, now: float) -> None:
        """Take part in the capabilities or not; connections stay."""
        self.membership.enabled = enabled
        self._flood_own(now)

    def reached_at(self, addresses: Iterable[Address], now: float) -> None:
        """Tell everybody under which addresses this node is reached."""
        self.addresses = self.membership.addresses = tuple(addresses)[:MAX_ADDRESSES]
        self._flood_own(now)

    def leave(self, now: float) -> None:
        """Say goodbye to everybody; the carrier then sends what waits and closes."""
        self.membership.leaving = True
        self._flood_own(now)
        self.flood(Leave("leaving"))
        self.post.wake()

    def forget(self, name: str, now: float) -> bool:
        """Remove a member that is not there; False when it is, or is unknown."""
        if name not in self.membership.members or name in self.membership.routes:
            return False
        self.membership.remove(name)
        self.events.add(self.wall(now), "member", name, "removed")
        return True

    def revoked(self, revocation: Revocation, now: float, *, heard: bool = False) -> None:
        """A revocation that is new in ``revocations``: put the node out here and tell everybody.

        ``heard``: it came from others.
        """
        name = revocation.name
        self.on_revoked(revocation)
        self.events.add(self.wall(now), "revoked", name, "its certificate counts no more")
        self.cut_off(revocation, now)
        self.flood(Revoked(revocation.body, revocation.signature), heard=heard)
        member = self.membership.members.get(name)
        if member is not None and member.certificate.issued <= revocation.time:
            self.membership.remove(name)
            before, member.state = member.state, MemberState.LEFT
            self._changed([Change(member, before), *self.membership.recompute(now)], now)
        self.on_expelled(name, now)
        self.post.wake()

    def renew(self, identity: Identity, now: float) -> None:
        """Go on with a new certificate for the same name."""
        self.identity = self.membership.identity = identity
        self._flood_own(now)

    # --- what comes from others -------------------------------------------------------------

    def _take_revoked(self, message: Revoked, now: float) -> None:
        read = Revocation.read(message.body, message.signature, self.identity.authority)
        if self.revocations.add(read):
            self.revoked(read, now, heard=True)

    def _take_news(self, news: MemberNews, now: float) -> bool:
        """A member's record; True when it is news. Raises RemoteError when it must not be believed."""
        changes = self.membership.accept(news, self.wall(now), self.revocations.times, now)
        self._changed(changes or [], now)
        return changes is not None

    def _changed(self, changes: list[Change], now: float) -> None:
        """Follow changes of state, and tell everybody when our own connections have changed."""
        for change in changes:
            member = change.member
            before = " (new)" if change.before is None else f" (was {change.before.value})"
            self.events.add(self.wall(now), "member", member.name, f"{member.state.value}{before}")
            if not self.post.can_reach(member.name):
                self.post.requests.lose(member.name)
            self.post.each(lambda capability: capability.member_changed(member, now))  # noqa: B023
        self._flood_own(now)

    def _flood_own(self, now: float) -> None:
        news = self.membership.advertise(now)
        if news is not None:
            self.flood(news)
            self.post.wake()

    def _reports(self, now: float) -> dict[str, bytes]:
        """What each capability wants the others to know, for a sign of life."""
        return self.post.reports(now)

    def _reported(self, sender: str, reports: dict[str, bytes], now: float) -> None:
        if sender not in self.membership.members or not self.membership.enabled:
            return
        self.post.reported(sender, reports, now)

    def _hello(self, now: float) -> Hello:
        return Hello(
            LOWEST_VERSION,
            HIGHEST_VERSION,
            self.identity.cluster,
            self.name,
            self.membership.incarnation,
            self._software,
            FEATURES,
            self.wall(now),
            self.addresses,
        )

    def _wrong(self, error: RemoteError, peer: str, now: float) -> None:
        self.errors[error.reason] += 1
        if self.errors[error.reason] <= 10 or self.errors[error.reason] % 1000 == 0:
            self.events.add(self.wall(now), "refused", peer, str(error)[:200])
