"""Conferences: the node's part in knowing which node hosts which one, and the commands about it."""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_bytes
from typing import Any

from shield.cluster.cluster import Cluster
from shield.cluster.replica import Replica
from shield.conference.directory import (
    CAPABILITY,
    Conference,
    ConferenceDirectory,
    conference_limits,
)
from shield.conference.settings import ConferenceSettings
from shield.control.commands import Actor
from shield.errors import InputError
from shield.redirect.responder import HERE, Target
from shield.sip.dialogs import Dialogs

__all__ = ["Conferences"]

WARNINGS = 5
"""Conferences that warnings name."""

Arguments = dict[str, Any]


class Conferences:
    """``node``: name under which this node hosts conferences. A feature of the cluster."""

    def __init__(
        self,
        settings: ConferenceSettings,
        node: str,
        dialogs: Dialogs,
        *,
        advertise: str = "",
        wall: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        replica = Replica(CAPABILITY, node, token_bytes(32), wall=wall, limits=conference_limits())
        directory = ConferenceDirectory(settings, replica, node, advertise=advertise)
        self.directory = directory
        directory.on_event = self._event
        dialogs.followers = (*dialogs.followers, lambda call: directory.changed(call, clock()))
        self._cluster: Cluster | None = None
        self._now, self._wall = clock, wall
        self.commands: dict[str, Callable[[Arguments, Actor], Any]] = {
            "conference.list": lambda _a, _who: self._list(),
            "conference.show": lambda a, _who: self._wanted(a).as_json(),
            "conference.release": self._release,
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
        """Let time pass, about once a second."""
        if self._cluster is None:
            self.directory.replica.tick(now)
        self.directory.tick(now)

    def find(self, aor: bytes, now: float) -> Target | None:
        """Where proxies find a conference: at its host; here when that is us, or nobody yet."""
        number = aor.rpartition(b"@")[0]
        if not self.directory.settings.matches(number):
            return None
        found = self.directory.find(number, now)
        if found is None or found.node == self.directory.node:
            return HERE
        return Target(found.claim.server, found.claim.transport)

    def as_json(self) -> dict[str, Any]:
        """Totals and counters."""
        return self.directory.as_json(self._now())

    def warnings(self) -> list[str]:
        """What an operator should know."""
        return [
            f"conference {shown['number']} runs at {shown['node']}, {shown['apart']} calls are here"
            for shown in (one.as_json() for one in self.directory.apart(self._now())[:WARNINGS])
        ]

    def _event(self, kind: str, text: str) -> None:
        if self._cluster is not None:
            self._cluster.core.events.add(self._wall(), kind, self.directory.node, text)

    # --- commands ---------------------------------------------------------------------------

    def _list(self) -> list[dict[str, Any]]:
        found = [one.as_json() for one in self.directory.conferences(self._now())]
        return sorted(found, key=lambda row: str(row["number"]))

    def _wanted(self, arguments: Arguments) -> Conference:
        found = self.directory.find(_number(arguments), self._now())
        if found is None:
            raise InputError(f"no conference {arguments['number']!r} is on")
        return found

    def _release(self, arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        found = self._wanted(arguments)
        self.directory.release(found.number, self._now())
        return {"released": found.as_json()}


def _number(arguments: Arguments) -> bytes:
    return str(arguments["number"]).encode("utf-8", "surrogateescape")
