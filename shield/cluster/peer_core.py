"""PeerCore: a core whose messages travel over connections to other members, direct or over others.

The carrier gives it connections whose peer is proven by certificate, their bytes, and the time; it takes
bytes to send, addresses to dial and connections to close.

Its parts beside those of every core: ``Link`` (one connection), ``Neighbours`` (which of them are used),
``Dialer`` (whom to connect to).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from shield.cluster.capability import SendResult
from shield.cluster.core import Core
from shield.cluster.dialer import Dialer
from shield.cluster.identity import Certificate, Identity
from shield.cluster.link import Link, LinkState
from shield.cluster.links import Links
from shield.cluster.member import Record
from shield.cluster.messages import (
    Alive,
    Data,
    Leave,
    MemberNews,
    Message,
    Ping,
    Refuse,
    Revoked,
    Routed,
    encode_message,
)
from shield.cluster.parcels import Parcel
from shield.cluster.peer_neighbours import Neighbours
from shield.cluster.revocation import Revocation, Revocations
from shield.cluster.settings import Address, ClusterSettings, parse_address
from shield.errors import RemoteError

__all__ = ["PeerCore"]

FATAL = frozenset({"shape", "garbage", "oversize", "second_hello", "no_hello"})
"""After these a stream cannot be trusted any more; anything else costs one message."""

LATE_SECONDS = 0.75
"""Between two looks at the timers, due each quarter of a second: this node was kept from running."""

CROWD = 16
"""Neighbours above which pings are less frequent."""
MAX_STRETCH = 1.5


class PeerCore(Core):
    """See the module's docstring."""

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
        self.links = Links(identity.name, settings)
        self.neighbours = Neighbours(identity.name)
        places = [*seeds, *(parse_address(text) for text in settings.seeds)]
        self.dialer = Dialer(identity.name, places)
        self._looked = now
        self.relayed = 0
        """Parcels handed on between others."""
        super().__init__(
            identity, settings, now, wall, self.neighbours,
            addresses=addresses, revocations=revocations, software=software,
        )  # fmt: skip

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
        for message, size in messages:
            try:
                self._take(link, message, size, now)
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
            self.neighbours.down(link.peer)
            self.events.add(self.wall(now), "link", link.peer, f"lost: {link.why}")
            self._changed(self.membership.recompute(now), now)

    def _end(self, link: Link, why: str, now: float) -> None:
        self.links.end(link, why)
        self.closed(link, why, now)
        self.post.wake()

    # --- what every core does ---------------------------------------------------------------

    def send(self, node: str, message: Data, frame: bytes, now: float) -> SendResult:  # noqa: ARG002
        """Send on the cheapest way: direct, or as a parcel over others."""
        hop = self.membership.routes[node].next_hop
        link = self.links.up.get(hop)
        if link is None:
            return SendResult.UNREACHABLE
        if hop != node:
            frame = encode_message(self.parcels.make(node, message))
        return SendResult.SENT if link.send_frame(frame) else SendResult.FAILED

    def broadcast(
        self, nodes: tuple[str, ...], message: Data, frame: bytes, now: float
    ) -> Collection[str]:
        """Send to one after the other."""
        return [node for node in nodes if self.send(node, message, frame, now) is not SendResult.SENT]

    def flood(
        self,
        message: MemberNews | Revoked | Leave,
        *,
        heard: bool = False,  # noqa: ARG002
    ) -> None:
        """Tell all neighbours, who tell theirs what is news to them."""
        self.links.flood(message)

    def cut_off(self, revocation: Revocation, now: float) -> None:
        """End the connection with a node that was put out."""
        for link in self.links:
            if link.peer == revocation.name and link.issued <= revocation.time:
                link.refuse("revoked")
                self._end(link, "revoked", now)

    def look_at_timers(self, now: float) -> None:
        """Ping, give up silent links, compare anew with who has not read."""
        late = now - self._looked > LATE_SECONDS
        self._looked = now
        # Who has not run for a while has not read either: others are heard before they are given up.
        for link, why in () if late else self.links.overdue(now):
            self.errors["silent" if link.state is LinkState.UP else "no_hello"] += 1
            self._end(link, why, now)
        interval = self._ping_interval()
        for link in self.links.up.values():
            if link.ping_due(now, interval):
                link.ping(now, self._reports(now))
            if link.lost and not link.waiting:
                link.lost = False
                self.events.add(self.wall(now), "overflow", link.peer, "it did not read; compared anew")
                self._introduce(link)

    # --- inside -----------------------------------------------------------------------------

    def _ping_interval(self) -> float:
        """Seconds between pings: a little more with many neighbours, and soon enough for the timeout."""
        settings = self.settings
        crowd = min(max(1.0, len(self.links.up) / CROWD), MAX_STRETCH)
        return min(settings.ping_interval * crowd, settings.link_timeout / 2)

    def _up(self, link: Link, now: float) -> None:
        self.links.worked(link)
        self.neighbours.up(link.peer, now)
        self.events.add(self.wall(now), "link", link.peer, "dialed" if link.dialed else "accepted")
        if held := self.neighbours.held(link.peer, now):
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

    def _take(self, link: Link, message: Message, size: int, now: float) -> None:
        if isinstance(message, Data):
            if link.peer not in self.membership.members:
                raise RemoteError("unknown_sender", link.peer)
            self.post.deliver(link.peer, message, now, size)
        elif isinstance(message, Ping):
            link.answer(message, self._reports(now))
            self._reported(link.peer, message.reports, now)
        elif isinstance(message, Alive):
            self._reported(link.peer, message.reports, now)
        elif isinstance(message, Routed):
            self._take_routed(link, message, size, now)
        elif isinstance(message, MemberNews):
            if self._take_news(message, now):
                self._hand_round(link, message)
        elif isinstance(message, Revoked):
            self._take_revoked(message, now)
        elif isinstance(message, Leave):
            self._end(link, "it leaves", now)
        elif isinstance(message, Refuse):
            self.errors["refused_us"] += 1
            self._end(link, f"it refuses us: {message.reason}", now)
        else:
            raise RemoteError("shape", f"{type(message).__name__} from a member")

    def _hand_round(self, link: Link, news: MemberNews) -> None:
        """Hand a record on to all neighbours, but not back, nor to those whom its subject tells itself.

        In a full mesh that is nobody. A neighbour with whom its connection has broken unnoticed gets the
        next record, which says that it is broken.
        """
        told = {link.peer, *(name for name, _ in Record.claimed(news).links)}
        self.links.flood(news, told)

    def _take_routed(self, link: Link, routed: Routed, size: int, now: float) -> None:
        """A parcel: for this node, or to be handed on. Raises RemoteError when it is not right."""
        parcel = Parcel.read(routed)
        if parcel.destination != self.name:
            self._hand_on(link, routed, parcel)
            return
        message = self.parcels.open(parcel, routed, link.peer)
        self.post.deliver(parcel.origin, message, now, size)

    def _hand_on(self, link: Link, routed: Routed, parcel: Parcel) -> None:
        route = self.membership.routes.get(parcel.destination)
        onward = self.links.up.get(route.next_hop) if route is not None else None
        if routed.hops <= 1:
            raise RemoteError("too_many_hops", f"from {parcel.origin} to {parcel.destination}")
        if onward is None or onward is link or onward.state is not LinkState.UP:
            raise RemoteError("no_route", parcel.destination)
        onward.send(routed._replace(hops=routed.hops - 1))
        self.relayed += 1
        self.post.wake()
