"""Links: all connections of one node, at most one that works to each member."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from shield.cluster.identity import Certificate
from shield.cluster.link import Link
from shield.cluster.messages import Hello, Message, encode_message
from shield.cluster.settings import ClusterSettings
from shield.errors import RemoteError

__all__ = ["Links"]

MAX_OPENING = 256
"""Connections on which no hello has come yet."""


class Links:
    """See the module's docstring. ``own``: name of this node."""

    def __init__(self, own: str, settings: ClusterSettings) -> None:
        self.up: dict[str, Link] = {}
        """Connections that work, by peer."""
        self.opening: set[Link] = set()
        self._ready: dict[Link, None] = {}
        self._own = own
        self._settings = settings
        self._closing: list[Link] = []

    def __iter__(self) -> Iterator[Link]:
        """Yield all that are not closed, from a copy."""
        return iter([*self.up.values(), *self.opening])

    def peers(self) -> set[str]:
        """Name those with whom there is a connection, or will be one as soon as they say hello."""
        return {*self.up, *(link.peer for link in self.opening)}

    def open(self, peer: Certificate, hello: Hello, *, dialed: bool, now: float) -> Link:
        """Begin with a connection; raises RemoteError when there are too many."""
        if len(self.opening) >= MAX_OPENING:
            raise RemoteError("too_many_links", peer.name)
        budget = self._settings.send_budget
        link = Link(peer.name, peer.issued, dialed, hello, now, budget, ready=self._ready)
        self.opening.add(link)
        return link

    def rival(self, peer: str, *, dialed: bool, now: float) -> Link | None:
        """Give the connection to the same peer that a new one replaces.

        Both ends must keep the same of two: that dialed by the name that comes first. A peer that
        dials twice has lost the first; that we dial twice is somebody's wrong address. Raises
        RemoteError("duplicate") when the new one is not wanted.
        """
        rival = self.up.get(peer) or next((link for link in self.opening if link.peer == peer), None)
        if rival is None or rival.silent(now) >= 2 * self._settings.ping_interval:
            return rival
        ours_wins = min(self._own, peer) == self._own
        if dialed if rival.dialed is dialed else dialed is not ours_wins:
            raise RemoteError("duplicate", peer)
        return rival

    def worked(self, link: Link) -> None:
        """Both sides have said hello."""
        self.opening.discard(link)
        self.up[link.peer] = link

    def drop(self, link: Link) -> bool:
        """Forget a connection; True when it was the one that worked."""
        self.opening.discard(link)
        if self.up.get(link.peer) is not link:
            return False
        del self.up[link.peer]
        return True

    def overdue(self, now: float) -> Iterator[tuple[Link, str]]:
        """Yield what is silent for too long, and why that matters."""
        for link in self:
            if why := link.overdue(now, self._settings.link_timeout):
                yield link, why

    def flood(self, message: Message, but: Collection[str] = ()) -> None:
        """Send to all neighbours, but not to some who know it."""
        frame = encode_message(message)
        for peer, link in self.up.items():
            if peer not in but:
                link.send_frame(frame)

    def ready(self) -> list[Link]:
        """Give those on which something was queued since the last call."""
        found = list(self._ready)
        self._ready.clear()
        return found

    def end(self, link: Link, why: str) -> None:
        """Have the carrier close a connection after its last bytes are sent."""
        link.close(why)
        self._closing.append(link)

    def closing(self) -> list[Link]:
        """Give what shall be closed."""
        found, self._closing = self._closing, []
        return found
