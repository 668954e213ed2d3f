"""Users: the node's part in knowing where users are registered, and the commands about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from secrets import token_bytes
from typing import Any

from shield.cluster.cluster import Cluster
from shield.cluster.replica import Replica
from shield.control.commands import Actor
from shield.errors import InputError, RemoteError
from shield.location.directory import CAPABILITY, Place, UserDirectory, location_limits
from shield.location.registration import aor_of
from shield.location.settings import LocationSettings
from shield.redirect.responder import Target
from shield.sip.uri import unescape

__all__ = ["Users"]

ASK_SECONDS = 2.0
"""How long ``--ask`` waits when it is not told."""

Arguments = dict[str, Any]


class Users:
    """``node``: name under which this node registers users. A feature of the cluster."""

    def __init__(
        self,
        settings: LocationSettings,
        node: str,
        *,
        wall: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        replica = Replica(CAPABILITY, node, token_bytes(32), wall=wall, limits=location_limits(settings))
        self.directory = UserDirectory(settings, replica, node)
        self._cluster: Cluster | None = None
        self._now = clock
        self.observe = self.directory.observe
        self.commands: dict[str, Callable[[Arguments, Actor], Any]] = {
            "whereis": self._whereis,
            "users": lambda _a, _who: self._users(),
        }

    # --- as a feature of the cluster --------------------------------------------------------

    def join(self, cluster: Cluster, now: float) -> None:
        """Take part in a cluster."""
        self.directory.replica.join(cluster, now)
        self._cluster = cluster

    def part(self) -> None:
        """Take part no more."""
        self._cluster = None
        self.directory.replica.disconnect()

    def forget(self, node: str, now: float) -> None:
        """A node was put out."""
        self.directory.replica.forget(node, now)

    def tick(self, now: float) -> None:
        """Let time pass while this node is in no cluster, which does it otherwise."""
        if self._cluster is None:
            self.directory.replica.tick(now)

    def find(self, aor: bytes, now: float) -> Target | None:
        """Where proxies find a user. A domain where nobody is registered may be the proxy's address."""
        places = self.directory.whereis(aor, now)
        if not places:
            places = self.directory.whereis(aor.rpartition(b"@")[0], now)
            places = places if len(places) == 1 else []
        if not places:
            return None
        return Target(places[0].registration.server, places[0].registration.transport)

    def own_server(self, user: bytes) -> str:
        """Server at which this very node has registered a user; empty when it has not."""
        places = self.directory.whereis(user, self._now())
        own = [place for place in places if place.node == self.directory.node]
        return own[0].registration.server.removesuffix(":5060") if own else ""

    # --- commands ---------------------------------------------------------------------------

    async def _whereis(self, arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        user = wanted(arguments["user"])
        if not arguments.get("ask"):
            places = self.directory.whereis(user, self._now())
            return {"places": [place.as_json() for place in places]}
        if self._cluster is None:
            raise InputError("this node is in no cluster (shield cluster init, or join)")
        found = [p for p in self.directory.whereis(user, self._now()) if p.node == self.directory.node]
        _, answers = await self._cluster.ask(
            CAPABILITY, ("whereis", user), timeout=arguments.get("timeout", ASK_SECONDS)
        )
        failures = dict(answers.failures)
        for node, body in answers.replies.items():
            try:
                found += self.directory.read_answer(node, body)
            except RemoteError as error:
                failures[node] = str(error)
        return {
            "places": [place.as_json() for place in _newest_first(found)],
            "asked": sorted([*answers.replies, *failures, *answers.missing]),
            "failures": failures,
            "missing": list(answers.missing),
        }

    def _users(self) -> Iterator[dict[str, Any]]:
        now = self._now()
        return (place.as_json() for place in list(self.directory.places(now)))


def wanted(text: str) -> bytes:
    """User or ``user@host`` of what somebody typed; a SIP URI is fine too. Raises InputError."""
    octets = text.encode("utf-8", "surrogateescape").strip()
    if octets.lower().startswith((b"sip:", b"sips:", b"<")):
        aor = aor_of(octets)
        if aor is None:
            raise InputError(f"{text!r} names no user")
        return aor
    user, at, host = octets.rpartition(b"@")
    found = unescape(user) + at + host.lower() if at else unescape(octets)
    if not found:
        raise InputError("give a user, such as alice or alice@example.com")
    return found


def _newest_first(places: list[Place]) -> list[Place]:
    return sorted(places, key=lambda place: -place.registration.time)
