"""Core: one node's part in the cluster, without I/O.

A carrier gives it connections whose peer is proven by certificate, their bytes, and the time; it takes
bytes to send, addresses to dial and connections to close. Features join as capabilities.

Its parts: ``Link`` (one connection), ``Membership`` (who is there, and by which way), ``Post`` (messages
of capabilities, direct or over others), ``Dialer`` (whom to connect to), ``Events`` (for people).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress

from shield.cluster.capability import Capability, Outlet
from shield.cluster.dialer import Dialer
from shield.cluster.events import Events
from shield.cluster.identity import Certificate, Identity
from shield.cluster.link import Link, LinkState
from shield.cluster.links import Links
from shield.cluster.member import MemberState
from shield.cluster.membership import Change, Membership
from shield.cluster.messages import (
    HIGHEST_VERSION,
    LOWEST_VERSION,
    MAX_ADDRESSES,
    Data,
    Hello,
    Leave,
    MemberNews,
    Message,
    Ping,
    Refuse,
    Revoked,
    Routed,
)
from shield.cluster.outlet import PostOutlet
from shield.cluster.post import Post
from shield.cluster.revocation import Revocation, Revocations
from shield.cluster.settings import Address, ClusterSettings, parse_address
from shield.errors import RemoteError

__all__ = ["Core"]

FEATURES: tuple[str, ...] = ("relay",)
"""What this node can beyond the version; two nodes use what both can."""

TICK_SECONDS = 0.25
"""Between two looks at the timers."""

CAPABILITY_SECONDS = 0.5
"""Between two ticks of the capabilities."""

FATAL = frozenset({"shape", "garbage", "oversize", "second_hello", "no_hello"})
"""After these a stream cannot be trusted any more; anything else costs one message."""


class Core:
    """See the module's docstring. ``shift``: wall time minus node time, kept true by the carrier."""

    def __init__(
        self,
        identity: Identity,
        settings: ClusterSettings,
        now: float,
        wall: float,
        *,
        addresses: Iterable[Address] = (),
        seeds: Iterable[Address] = (),
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
        self.links = Links(identity.name, settings)
        incarnation = int(wall * 1000)
        self.addresses = tuple(addresses)[:MAX_ADDRESSES]
        self._software = software
        self.membership = Membership(
            identity,
            incarnation=incarnation,
            addresses=self.addresses,
            relay_cost=settings.relay_cost,
            software=software,
            dead_after=settings.dead_after,
        )
        self.post = Post(self.membership, self.links.up, incarnation & 0xFFFFFFFF)
        places = [*seeds, *(parse_address(text) for text in settings.seeds)]
        self.dialer = Dialer(identity.name, places)
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

    # --- connections ------------------------------------------------------------------------

    def connected(
        self, certificate: bytes, *, dialed: bool, now: float, expected: str | None = None
    ) -> Link:
        """A connection whose TLS handshake is done; ``certificate`` is the peer's (DER).

        ``expected``: who must be there; a member may have told a wrong address, or another's. Raises
        RemoteError when that peer is not wanted; the carrier then closes the connection.
        """
        try:
            peer = Certificate.read(certificate, self.identity.authority)
            peer.check(self.wall(now), self.revocations.times)
            if peer.name == self.name:
                raise RemoteError("self", self.name)
            if expected is not None and peer.name != expected:
                raise RemoteError("wrong_node", f"{peer.name} answers at an address of {expected}")
            rival = self.links.rival(peer.name, dialed=dialed, now=now)
            if rival is not None:
                self._end(rival, "replaced by a newer connection", now)
            return self.links.open(peer, self._hello(now), dialed=dialed, now=now)
        except RemoteError as error:
            self._wrong(error, "", now)
            raise

    def receive_data(self, link: Link, data: bytes, now: float) -> None:
        """Bytes of a peer. What is wrong with them is counted; a broken stream ends its link."""
        opening = link.state is LinkState.OPENING
        try:
            messages = link.receive(data, now)
        except RemoteError as error:
            self._wrong(error, link.peer, now)
            link.refuse(error.reason, str(error))
            self._end(link, link.why, now)
            return
        if opening and link.state is LinkState.UP:
            self._up(link, now)
        for message in messages:
            try:
                self._take(link, message, now)
            except RemoteError as error:
                self._wrong(error, link.peer, now)
                if error.reason in FATAL:
                    link.refuse(error.reason, str(error))
                    self._end(link, link.why, now)
                    break
        self.post.wake()

    def closed(self, link: Link, why: str, now: float) -> None:
        """A connection is gone."""
        link.close(why)
        if self.links.drop(link):
            self.membership.link_down(link.peer)
            self.events.add(self.wall(now), "link", link.peer, f"lost: {link.why}")
            self._changed(self.membership.recompute(now), now)

    def _end(self, link: Link, why: str, now: float) -> None:
        self.links.end(link, why)
        self.closed(link, why, now)
        self.post.wake()

    # --- time -------------------------------------------------------------------------------

    def get_timer(self) -> float:
        """Node time at which ``handle_timer`` wants to be called."""
        return self._next_tick

    def handle_timer(self, now: float) -> None:
        """Ping, give up silent links, let suspects die and questions end."""
        self._next_tick = now + TICK_SECONDS
        for link, why in self.links.overdue(now):
            self.errors["silent" if link.state is LinkState.UP else "no_hello"] += 1
            self._end(link, why, now)
        for link in self.links.up.values():
            if link.ping_due(now, self.settings.ping_interval):
                link.ping(now, self._reports(now))
            if link.lost and not link.waiting:
                link.lost = False
                self.events.add(self.wall(now), "overflow", link.peer, "it did not read; compared anew")
                self._introduce(link)
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
        self.links.flood(Leave("leaving"))
        self.post.wake()

    def forget(self, name: str, now: float) -> bool:
        """Remove a member that is not there; False when it is, or is unknown."""
        if name not in self.membership.members or name in self.membership.routes:
            return False
        self.membership.remove(name)
        self.events.add(self.wall(now), "member", name, "removed")
        return True

    def revoked(self, revocation: Revocation, now: float) -> None:
        """A revocation that is new in ``revocations``: put the node out here and tell everybody."""
        name = revocation.name
        self.on_revoked(revocation)
        self.events.add(self.wall(now), "revoked", name, "its certificate counts no more")
        for link in self.links:
            if link.peer == name and link.issued <= revocation.time:
                link.refuse("revoked")
                self._end(link, "revoked", now)
        self.links.flood(Revoked(revocation.body, revocation.signature))
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

    # --- inside -----------------------------------------------------------------------------

    def _up(self, link: Link, now: float) -> None:
        self.links.worked(link)
        self.membership.link_up(link.peer, now)
        self.events.add(self.wall(now), "link", link.peer, "dialed" if link.dialed else "accepted")
        if held := self.membership.held(link.peer, now):
            self.events.add(self.wall(now), "warning", link.peer, f"flaps: not used for {held:.0f} s")
        self._introduce(link)
        self._changed(self.membership.recompute(now), now)

    def _introduce(self, link: Link) -> None:
        """Tell a neighbour all that everybody must know."""
        link.send(self.membership.news)
        for revocation in self.revocations:
            link.send(Revoked(revocation.body, revocation.signature))
        for member in self.membership.members.values():
            link.send(member.news)

    def _take(self, link: Link, message: Message, now: float) -> None:
        if isinstance(message, Data):
            self.post.take(link, message, now)
        elif isinstance(message, Ping):
            self._reported(link, message, now)
        elif isinstance(message, Routed):
            self.post.take_routed(link, message, now)
        elif isinstance(message, MemberNews):
            self._news(link, message, now)
        elif isinstance(message, Revoked):
            read = Revocation.read(message.body, message.signature, self.identity.authority)
            if self.revocations.add(read):
                self.revoked(read, now)
        elif isinstance(message, Leave):
            self._end(link, "it leaves", now)
        elif isinstance(message, Refuse):
            self.errors["refused_us"] += 1
            self._end(link, f"it refuses us: {message.reason}", now)
        else:
            raise RemoteError("shape", f"{type(message).__name__} from a member")

    def _news(self, link: Link, news: MemberNews, now: float) -> None:
        changes = self.membership.accept(news, self.wall(now), self.revocations.times, now)
        if changes is not None:
            self.links.flood(news, but=link)
        self._changed(changes or [], now)

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
            self.links.flood(news)
            self.post.wake()

    def _reports(self, now: float) -> dict[str, bytes]:
        found = self.post.each(lambda capability: capability.report(now))
        return {name: report for name, report in found.items() if report}

    def _reported(self, link: Link, ping: Ping, now: float) -> None:
        if link.peer not in self.membership.members or not self.membership.enabled:
            return
        for name, report in ping.reports.items():
            if capability := self.post.capabilities.get(name):
                capability.reported(link.peer, report, now)

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
