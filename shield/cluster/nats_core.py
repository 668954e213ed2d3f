"""NatsCore: a core whose messages travel over a NATS server: one publication reaches everybody.

The server is not trusted: everything is signed by its origin, taken once, and only from members that
this node has met since both were started. It can read, drop and delay. There are no connections and no
ways between nodes: presence is by signs of life.

Its parts beside those of every core: ``Presence``, ``Outbox``, ``Assembly`` (of messages in parts).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from zlib import crc32

from shield.cluster.capability import SendResult
from shield.cluster.core import Core
from shield.cluster.identity import Identity
from shield.cluster.messages import (
    HIGHEST_VERSION,
    LOWEST_VERSION,
    Data,
    Hello,
    Here,
    Kind,
    Leave,
    MemberNews,
    Message,
    Part,
    Revoked,
    Routed,
)
from shield.cluster.names import is_name
from shield.cluster.nats_outbox import Item, Outbox
from shield.cluster.nats_parts import Assembly, cut
from shield.cluster.nats_presence import Presence
from shield.cluster.nats_wire import INNER, LENGTH, Place, Subjects, inner, opened, packed, read
from shield.cluster.parcels import Parcel
from shield.cluster.revocation import Revocation, Revocations
from shield.cluster.settings import Address, ClusterSettings
from shield.errors import RemoteError
from shield.wire import MAX_FRAME

__all__ = ["LEAST_PAYLOAD", "NatsCore"]

LEAST_PAYLOAD = 16 * 1024
"""Octets that a server must take: a member's record and a certificate fit."""

ENVELOPE = 1024
"""Octets that a parcel adds to what it holds: names, numbers, signature."""

MAX_WORK = 1000
"""Messages of up to 16 kB that are looked at between two looks at the timers (4,000 a second, with their
signatures half of a core); the rest waits. Capabilities send in batches, and anybody who may publish can
make us look."""

TELLERS = 4
"""About so many nodes tell another one the revocations, and the members that are gone, that it does not
know: those that are there tell of themselves."""

TOLD_SECONDS = 60.0
"""Until the same is told to the same node again: perhaps it cannot take it."""


class NatsCore(Core):
    """See the module's docstring. The carrier calls ``up`` and ``down``, and empties ``outbox``."""

    def __init__(
        self,
        identity: Identity,
        settings: ClusterSettings,
        now: float,
        wall: float,
        *,
        addresses: Iterable[Address] = (),
        revocations: Revocations | None = None,
        software: str = "shield",
    ) -> None:
        self.presence = Presence(settings.nats.silence)
        self.outbox = Outbox(settings.send_budget)
        self.received = self.unknown = self.unmet = 0
        """Messages that came; with a number that we do not know; of nodes that we have not met."""
        self._assembly = Assembly()
        self._max_payload = MAX_FRAME
        self._next_sign = self._signed = now
        self._tell_at = now
        self._told: dict[str, tuple[bytes, bytes, float]] = {}
        """What both knew when a node was told last, and until when it is not told again."""
        self._message = self._work = 0
        self.subjects = Subjects(settings.nats.subject, identity.cluster)
        super().__init__(
            identity, settings, now, wall, self.presence,
            addresses=addresses, revocations=revocations, software=software,
        )  # fmt: skip

    # --- the connection to the server -------------------------------------------------------

    def up(self, server: str, max_payload: int, now: float) -> None:
        """The server is there, and what it has for this node comes."""
        self._max_payload = min(max_payload, MAX_FRAME)
        self.presence.connected = True
        self.events.add(self.wall(now), "link", server, "connected")
        self._tell(self.subjects.here, self.membership.news)
        self._give_sign(now)
        self.post.wake()

    def down(self, server: str, why: str, now: float) -> None:
        """The server is gone: nobody can be reached."""
        if self.presence.connected:
            self.presence.connected = False
            self.outbox.clear()
            self.events.add(self.wall(now), "link", server, f"lost: {why}")
            self._changed(self.membership.recompute(now), now)

    @property
    def busy(self) -> bool:
        """Whether what comes shall wait until the timers have run."""
        return self._work >= MAX_WORK

    def receive(self, place: Place, data: bytes, now: float) -> None:
        """What was published. What is wrong with it is counted, and costs nothing else."""
        self.received += 1
        self._work += 1 + (len(data) >> 14)
        try:
            self._take(place, data, now)
        except RemoteError as error:
            self._wrong(error, "", now)
        self.post.wake()

    # --- what every core does ---------------------------------------------------------------

    def send(self, node: str, message: Data, frame: bytes, now: float) -> SendResult:  # noqa: ARG002
        """Publish for one node."""
        return self._publish(self.subjects.node(node), node, message, frame)

    def broadcast(
        self,
        nodes: tuple[str, ...],
        message: Data,
        frame: bytes,
        now: float,  # noqa: ARG002
    ) -> Collection[str]:
        """Publish once for everybody."""
        result = self._publish(self.subjects.all, "", message, frame)
        return () if result is SendResult.SENT else nodes

    def flood(self, message: MemberNews | Revoked | Leave, *, heard: bool = False) -> None:
        """Publish for everybody, unless it was: a goodbye is in the member's record."""
        if not heard and not isinstance(message, Leave):
            self._tell(self.subjects.here, message)

    def cut_off(self, revocation: Revocation, now: float) -> None:
        """Meet a node no more, unless it comes with a newer certificate."""
        member = self.membership.members.get(revocation.name)
        if member is None or member.certificate.issued <= revocation.time:
            self.presence.forget(revocation.name)
            self._assembly.forget(revocation.name)
        if revocation.name == self.name and self.identity.own.issued <= revocation.time:
            self.events.add(self.wall(now), "warning", self.name, "this node was put out of the cluster")

    def look_at_timers(self, now: float) -> None:
        """Give a sign of life when it is time; begin to count anew."""
        self._work = 0
        self.presence.next_turn()
        if self.presence.connected and now >= self._next_sign:
            self._give_sign(now)
        if self.outbox.lost and not self.outbox.waiting:
            self.outbox.lost = False
            self.events.add(self.wall(now), "overflow", "", "the server did not read; compared anew")

    # --- to others --------------------------------------------------------------------------

    def next_publication(self) -> tuple[str, bytes] | None:
        """Give subject and payload of what is published next; None when nothing waits."""
        while (item := self.outbox.next_item()) is not None:
            if isinstance(item.content, bytes):
                return item.subject, item.content
            if item.started is None and item.node and item.node not in self.membership.members:
                continue  # removed meanwhile
            return item.subject, packed(self.parcels.make(item.node, item.content, item.started))
        return None

    def _publish(self, subject: str, node: str, message: Data, frame: bytes) -> SendResult:
        if not self.presence.connected:
            return SendResult.UNREACHABLE
        room = self._max_payload - ENVELOPE
        if len(frame) <= room:
            items = [Item(subject, node, message, len(frame))]
        else:
            self._message += 1
            parts = cut(frame[LENGTH:], room, self._message)
            items = [Item(subject, node, inner(part), len(part.octets)) for part in parts]
        return SendResult.SENT if self.outbox.add(items) else SendResult.FAILED

    def _tell(self, subject: str, message: MemberNews | Revoked) -> None:
        """Publish what is signed already."""
        if self.presence.connected:
            payload = packed(message)
            self.outbox.add_urgent(Item(subject, "", payload, len(payload)))

    def _give_sign(self, now: float) -> None:
        heartbeat = self.settings.nats.heartbeat
        self._signed = now
        self._next_sign = max(self._next_sign + heartbeat, now + heartbeat / 2)
        sign = Here(
            self.membership.record.sequence,
            int(heartbeat * 1000),
            self._known(),
            self._reports(now),
        )
        self.outbox.add_urgent(Item(self.subjects.here, "", inner(sign), ENVELOPE))

    def _greet(self, name: str, incarnation: int, now: float, kind: Kind = Kind.REQUEST) -> None:
        """Tell one node who we are; it must answer a request, which proves that it is there."""
        revoked = name in self.revocations.times and name not in self.membership.members
        if revoked or not is_name(name) or not self.presence.connected:
            return
        known = name in self.membership.members
        allowed = self.presence.may_greet if kind is Kind.REQUEST else self.presence.may_reply
        if allowed(name, now, known=known):
            subject = self.subjects.node(name)
            self._tell(subject, self.membership.news)
            hello = inner(self._hello(now), kind)
            self.outbox.add_urgent(Item(subject, name, hello, ENVELOPE, incarnation))

    # --- from others ------------------------------------------------------------------------

    def _take(self, place: Place, data: bytes, now: float) -> None:
        if len(data) > MAX_FRAME:
            raise RemoteError("oversize", f"{len(data)} octets, {MAX_FRAME} allowed")
        message = read(data)
        if message is None:
            self.unknown += 1
        elif isinstance(message, Routed):
            self._take_parcel(place, message, now)
        elif isinstance(message, MemberNews):
            self._take_news(message, now)
        elif isinstance(message, Revoked):
            self._take_revoked(message, now)
        else:
            raise RemoteError("shape", f"{type(message).__name__} without a signature")

    def _take_parcel(self, place: Place, routed: Routed, now: float) -> None:
        parcel = Parcel.read(routed)
        name, started = parcel.origin, parcel.incarnation
        if parcel.destination != (self.name if place is Place.NODE else ""):
            raise RemoteError("wrong_subject", f"for {parcel.destination or 'everybody'}")
        if name == self.name:
            self.errors["own_name"] += 1  # before a restart, sent again, or by another node
            return
        if name not in self.membership.members:
            self._not_met(name, started, now)
            return
        if self._taken(place, parcel):  # anybody can send it again; its signature costs more than this
            raise RemoteError("replayed", name)
        member = self.parcels.prove(parcel, routed, "the server")
        if started != member.record.incarnation:
            self._not_met(name, started, now)
            return
        if place is Place.NODE:
            self.parcels.once(parcel)
            self.presence.meet(name, started, parcel.sequence, now)
            if self.presence.refused(name):
                return
        elif not self.presence.met(name, started):
            self._not_met(name, started, now)
            return
        elif not self.presence.first(place, name, parcel.sequence):
            raise RemoteError("replayed", name)
        self.presence.hear(name, now)
        if name not in self.membership.routes:
            self._changed(self.membership.recompute(now), now)
            # It may have missed our last sign: soon one more, for all that have come meanwhile.
            self._next_sign = min(self._next_sign, self._signed + self.settings.nats.heartbeat / 4)
        self._deliver(place, parcel, now)

    def _taken(self, place: Place, parcel: Parcel) -> bool:
        if place is Place.NODE:
            return self.parcels.taken(parcel)
        return self.presence.taken(place, parcel.origin, parcel.incarnation, parcel.sequence)

    def _not_met(self, name: str, started: int, now: float) -> None:
        self.unmet += 1
        self._greet(name, started, now)

    def _deliver(self, place: Place, parcel: Parcel, now: float) -> None:
        name = parcel.origin
        message: Message | None = Data(parcel.capability, parcel.kind, parcel.tag, parcel.body)
        if parcel.capability == INNER:
            message = opened(parcel.body)
            if isinstance(message, Part) and place is not Place.HERE:
                message = self._assembly.add(name, message)
        if message is None:
            return
        if isinstance(message, Data) and place is not Place.HERE:
            self.post.deliver(name, message, now)
        elif isinstance(message, Here) and place is Place.HERE:
            self._take_sign(name, message, now)
        elif isinstance(message, Hello) and place is Place.NODE:
            self._take_hello(name, message, parcel, now)
        else:
            raise RemoteError("wrong_subject", f"{type(message).__name__} of {name}")

    def _take_sign(self, name: str, sign: Here, now: float) -> None:
        self.presence.hear(name, now, sign.interval / 1000)
        member = self.membership.members[name]
        if sign.sequence > member.record.sequence:
            self._greet(name, member.record.incarnation, now)
        if sign.known != self._known():
            self._tell_known(name, sign.known, now)
        self._reported(name, sign.reports, now)

    def _take_hello(self, name: str, hello: Hello, parcel: Parcel, now: float) -> None:
        if hello.lowest > HIGHEST_VERSION or hello.highest < LOWEST_VERSION:
            self.presence.refuse(name)
            raise RemoteError("version", f"{name} speaks {hello.lowest} to {hello.highest}")
        self.presence.clock_told(name, hello.wall - self.wall(now))
        if parcel.kind == Kind.REQUEST:
            self._greet(name, parcel.incarnation, now, Kind.REPLY)

    def _known(self) -> bytes:
        return (self.revocations.digest ^ self.membership.names_digest).to_bytes(8, "big")

    def _tell_known(self, name: str, theirs: bytes, now: float) -> None:
        """Tell a node what it may not know. All see the difference; a few of them are enough."""
        turn = crc32(f"{self.name} {name} {now:.0f}".encode())
        if now < self._tell_at or turn % (1 + len(self.membership.routes)) >= TELLERS:
            return
        before = self._told.get(name)
        if before is not None and before[:2] == (theirs, self._known()) and now < before[2]:
            return
        self._tell_at = now + self.settings.nats.heartbeat
        self._told[name] = theirs, self._known(), now + TOLD_SECONDS
        subject = self.subjects.node(name)
        for revocation in self.revocations:
            self._tell(subject, Revoked(revocation.body, revocation.signature))
        for member in self.membership.members.values():
            if member.name not in self.membership.routes:
                self._tell(subject, member.news)
