"""UserDirectory: where each user of the cluster is registered, in one replica that all nodes hold.

Of two registrations of one user at different nodes the newer one counts, by the clock that all writes
carry. The users of a node that has gone are shown for a grace time and hidden after that; if it comes
back they are there again, unless they ended or moved meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from shield.cluster.capability import Incoming
from shield.cluster.entry import Entry, Limits
from shield.cluster.member import Member
from shield.cluster.replica import Replica
from shield.errors import RemoteError
from shield.location.registration import (
    MAX_AOR,
    Registration,
    pack_registration,
    read_registration,
    registered,
    shown,
)
from shield.location.settings import LocationSettings
from shield.sip.event import SipEvent

__all__ = ["CAPABILITY", "DirectoryStats", "Place", "UserDirectory", "location_limits"]

CAPABILITY = "location"

MAX_FOUND = 100
"""Users of one name in different domains that one answer lists."""


class Place(NamedTuple):
    """Where a user is."""

    registration: Registration
    node: str
    """Node that said so."""
    gone: float | None
    """Seconds since that node went; None while it is there."""

    def as_json(self) -> dict[str, Any]:
        """The one shape in which a place is shown everywhere."""
        found = self.registration
        return {
            "user": shown(found.aor),
            "node": self.node,
            "server": found.server,
            "transport": found.transport,
            "registered": round(found.time, 3),
            "remaining": round(found.left, 1),
            "contacts": [
                {"contact": shown(binding.contact), "remaining": round(binding.left, 1)}
                for binding in found.bindings
            ],
            "node_gone": None if self.gone is None else round(self.gone, 1),
        }


@dataclass(slots=True)
class DirectoryStats:
    """What the directory did."""

    registered: int = 0
    unregistered: int = 0
    full: int = 0
    """Registrations for which there was no room."""
    unreadable: int = 0
    """Records of other nodes that could not be read."""
    asked: int = 0


def location_limits(settings: LocationSettings) -> Limits:
    """What one node, and all of them, may have in the replica."""
    users = settings.max_users
    return Limits(
        per_origin=users,
        bytes_per_origin=users * 600,
        total=6 * users,
        max_key=MAX_AOR,
        max_lifetime=7 * 86_400.0,
    )


class UserDirectory:
    """See the module's docstring. It follows the events of a tracker, and answers questions."""

    def __init__(self, settings: LocationSettings, replica: Replica, node: str) -> None:
        self.settings = settings
        self.replica = replica
        self.node = node
        self.stats = DirectoryStats()
        self._users: dict[bytes, bytes | tuple[bytes, ...]] = {}
        """User part to address-of-record, to several if there are several domains."""
        self._gone: dict[str, float] = {}
        """Nodes that went, and when."""
        self.on_move: Callable[[bytes, str, bool], None] = lambda _aor, _server, _online: None
        """Called with address-of-record, server, and whether he came, when a user of this node comes or
        goes; not when he stays."""
        replica.on_change = self._changed
        replica.on_member = self._member
        replica.on_request = self._answer

    # --- what this node sees ----------------------------------------------------------------

    def observe(self, event: SipEvent, now: float) -> None:
        """Follow one event of the tracker."""
        registration = registered(event)
        if registration is None:
            return
        if self.settings.advertise:
            registration = registration._replace(server=self.settings.advertise)
        aor = registration.aor
        if not registration.bindings:
            self._unregistered(aor, now)
            return
        before = self.replica.records.live(aor, now)
        entry = self.replica.put(aor, pack_registration(registration), registration.left, now)
        if entry is None:
            self.stats.full += 1
            return
        self.stats.registered += 1
        self._list(aor)
        if before is None or before.origin != self.node:
            self.on_move(aor, registration.server, True)  # noqa: FBT003 - as its comment says

    def _unregistered(self, aor: bytes, now: float) -> None:
        """Take a user out, unless he is at another node by now: this may be what he left behind here."""
        held = self.replica.records.live(aor, now)
        if held is None or held.origin != self.node:
            return
        self.replica.remove(aor, now)
        self.stats.unregistered += 1
        self._left(aor, held, now)

    # --- questions --------------------------------------------------------------------------

    def whereis(self, user: bytes, now: float) -> list[Place]:
        """Where a user is: ``user@host``, or ``user`` for all domains. The newest first."""
        found = []
        for aor in self._aors(user)[:MAX_FOUND]:
            place = self.place(aor, now)
            if place is not None:
                found.append(place)
        return sorted(found, key=lambda place: -place.registration.time)

    def place(self, aor: bytes, now: float) -> Place | None:
        """Where exactly this address-of-record is."""
        entry = self.replica.records.live(aor, now)
        if entry is None or entry.value is None:
            return None
        since = self._gone_since(entry.origin, now)
        if since is not None and since > self.settings.grace:
            return None
        try:
            registration = read_registration(aor, entry.value, entry.until - now)
        except RemoteError:
            self.stats.unreadable += 1
            return None
        return Place(registration, entry.origin, since) if registration.bindings else None

    def _gone_since(self, node: str, now: float) -> float | None:
        """Seconds since a node went; None while it is there, or while this node is in no cluster."""
        outlet = self.replica.outlet
        if node == self.node or outlet is None or outlet.reachable(node):
            self._gone.pop(node, None)
            return None
        return now - self._gone.setdefault(node, now)

    def places(self, now: float) -> Iterator[Place]:
        """Everybody."""
        for aor, _ in self.replica.records.entries(now):
            place = self.place(aor, now)
            if place is not None:
                yield place

    def as_json(self) -> dict[str, Any]:
        """Totals and counters."""
        stats = self.stats
        return {
            "users": len(self.replica.records),
            "registered": stats.registered,
            "unregistered": stats.unregistered,
            "full": stats.full,
            "unreadable": stats.unreadable,
            "asked": stats.asked,
        }

    def _answer(self, incoming: Incoming, now: float) -> Any:
        """Answer ``("whereis", user)`` with what this node itself registered."""
        body = incoming.body
        if (
            type(body) is not tuple
            or len(body) < 2
            or body[0] != "whereis"
            or type(body[1]) is not bytes
        ):
            raise RemoteError("body", "no question for a user")
        self.stats.asked += 1
        own = [place for place in self.whereis(body[1], now) if place.node == self.node]
        return tuple(
            (place.registration.aor, place.registration.left, pack_registration(place.registration))
            for place in own
        )

    def read_answer(self, node: str, body: Any) -> list[Place]:
        """Take what a node answered; raises RemoteError("body")."""
        if type(body) is not tuple or len(body) > MAX_FOUND:
            raise RemoteError("body")
        found = []
        for item in body:
            if type(item) is not tuple or len(item) < 3:
                raise RemoteError("body")
            aor, left, value = item[:3]
            if type(aor) is not bytes or type(left) is not float or type(value) is not bytes:
                raise RemoteError("body")
            found.append(Place(read_registration(aor, value, left), node, None))
        return found

    # --- what others say --------------------------------------------------------------------

    def _changed(self, key: bytes, entry: Entry, before: Entry | None, now: float) -> None:
        if entry.value is None and before is not None and before.origin == self.node:
            self._left(key, before, now)
        elif entry.value is None:
            self._unlist(key)
        else:
            self._list(key)

    def _member(self, member: Member, now: float) -> None:
        self._gone_since(member.name, now)

    def _left(self, aor: bytes, held: Entry, now: float) -> None:
        """A user of this node is not registered any more."""
        self._unlist(aor)
        with suppress(RemoteError):
            # What has ended says no bindings, and still where it was.
            server = read_registration(aor, held.value or b"", held.until - now).server
            self.on_move(aor, server, False)  # noqa: FBT003

    # --- users by name ----------------------------------------------------------------------

    def _aors(self, user: bytes) -> tuple[bytes, ...]:
        if b"@" in user and self.replica.records.get(user) is not None:
            return (user,)
        found = self._users.get(user, ())
        return (found,) if isinstance(found, bytes) else found

    def _list(self, aor: bytes) -> None:
        user = _user(aor)
        known = self._users.get(user)
        if known is None:
            self._users[user] = aor
        elif isinstance(known, bytes):
            if known != aor:
                self._users[user] = (known, aor)
        elif aor not in known and len(known) < MAX_FOUND:
            self._users[user] = (*known, aor)

    def _unlist(self, aor: bytes) -> None:
        user = _user(aor)
        known = self._users.get(user)
        if known == aor:
            del self._users[user]
        elif isinstance(known, tuple):
            left = tuple(one for one in known if one != aor)
            self._users[user] = left[0] if len(left) == 1 else left


def _user(aor: bytes) -> bytes:
    """User part; a host has no ``@``, a user may."""
    return aor.rpartition(b"@")[0]
