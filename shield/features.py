"""Features: what this node knows beside its blocklist, as far as the configuration switches it on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from secrets import token_bytes
from typing import Any

from shield.background import spawn
from shield.calls import Calls
from shield.cluster.state_files import StateFiles
from shield.clustering import Feature
from shield.conferences import Conferences
from shield.config import Settings
from shield.control.commands import Actor
from shield.errors import InputError
from shield.hooks.hooks import Hooks
from shield.hub import Hub
from shield.pipeline import Follower, Pipeline
from shield.redirect.responder import Finder, Responder
from shield.redirect.server import RedirectServer
from shield.remote import Remote
from shield.script import Script
from shield.users import Users

__all__ = ["Features"]

Handler = Callable[[dict[str, Any], Actor], Any]

CALLS = ("calls", "cdr.list", "cdr.show", "cdr.stats", "cdr.watch")
"""Commands about calls."""
CONFERENCES = ("conference.list", "conference.show", "conference.release")


class Features:
    """Made with the node; ``node`` is its name in the cluster. Raises SystemFailure."""

    def __init__(
        self,
        settings: Settings,
        node: str,
        *,
        wall: Callable[[], float],
        clock: Callable[[], float],
        pipeline: Pipeline,
    ) -> None:
        self.users: Users | None = None
        if settings.location.track:
            self.users = Users(settings.location, node, wall=wall, clock=clock)
        find = (lambda _user: "") if self.users is None else self.users.own_server
        self.script = Script(settings.script, find)
        if self.users is not None:
            self.users.directory.on_move = self._moved
        self.conferences: Conferences | None = None
        if settings.conference.numbers:
            self.conferences = Conferences(
                settings.conference,
                node,
                pipeline.tracker.dialogs,
                advertise=settings.location.advertise,
                wall=wall,
                clock=clock,
            )
        # A number of a conference is never looked for among the users.
        finders: list[Finder] = [] if self.conferences is None else [self.conferences.find]
        finders += [] if self.users is None else [self.users.find]
        self.redirect: RedirectServer | None = None
        if settings.redirect.listen:
            responder = Responder(
                settings.redirect, finders, salt=token_bytes(32), ours=pipeline.servers.is_ours
            )
            self.redirect = RedirectServer(responder)
        self.calls: Calls | None = None
        if settings.cdr.report or settings.cdr.collect:
            self.calls = Calls(settings.cdr, node, pipeline.tracker.dialogs, wall=wall, clock=clock)
        self.remote = Remote(
            settings.remote,
            StateFiles(Path(settings.cluster.directory)),
            wall=wall,
            clock=clock,
            spawn=spawn,
        )
        self.hooks = Hooks(settings.hooks, node)
        self.all: tuple[Feature, ...] = (self.remote,)
        self.all += () if self.users is None else (self.users,)
        self.all += () if self.calls is None else (self.calls,)
        self.all += () if self.conferences is None else (self.conferences,)
        self.followers: tuple[Follower, ...] = () if self.users is None else (self.users.observe,)
        self.commands: dict[str, Handler] = {
            name: _off("location.track") for name in ("whereis", "users")
        } | dict(self.remote.commands)
        self.commands["hooks.test"] = lambda _a, _who: self.hooks.test()
        self.commands |= {name: _off("cdr.report or cdr.collect") for name in CALLS}
        self.commands |= {name: _off("conference.numbers", '["3xxx"]') for name in CONFERENCES}
        if self.conferences is not None:
            self.commands |= self.conferences.commands
        if self.users is not None:
            self.commands |= self.users.commands
        if self.calls is not None:
            self.commands |= self.calls.commands

    def attach(self, hub: Hub) -> None:
        """Let the traffic and what comes of it reach what follows them."""
        hub.pipeline.followers = self.followers
        hub.hooked, hub.offer = self.hooks.wanted, self._offer
        if self.script.settings.attackers:
            hub.hooked |= {"alert"}

    def _offer(self, event: dict[str, Any]) -> None:
        """Hand an event of the hub to all that want it."""
        if event["event"] in self.hooks.wanted:
            self.hooks.offer(event)
        if event["event"] == "alert":
            self.script.alerted(event)

    def _moved(self, aor: bytes, server: str, online: bool) -> None:
        """Tell where a user came or went."""
        self.script.moved(aor.rpartition(b"@")[0], server.removesuffix(":5060"), online=online)

    async def start(self) -> None:
        """Listen for whoever asks; raises SystemFailure when an address cannot be had."""
        if self.redirect is not None:
            await self.redirect.start()

    async def close(self) -> None:
        """Listen no more."""
        if self.redirect is not None:
            await self.redirect.close()

    def close_files(self) -> None:
        """Write what waits; nothing is taken any more."""
        if self.calls is not None:
            self.calls.close()

    def tick(self, now: float) -> None:
        """Let time pass."""
        if self.users is not None:
            self.users.tick(now)
        if self.calls is not None:
            self.calls.tick(now)
        if self.conferences is not None:
            self.conferences.tick(now)

    def warnings(self) -> list[str]:
        """What an operator should know, one line each."""
        found = self.hooks.warnings()
        found += [] if self.calls is None else self.calls.warnings()
        return found + ([] if self.conferences is None else self.conferences.warnings())

    def short(self) -> dict[str, Any]:
        """What ``status`` tells of those that are on."""
        return {"hooks": self.hooks.short()} if self.hooks.targets else {}

    def stats(self) -> dict[str, Any]:
        """Counters of each that is on."""
        found: dict[str, Any] = {"remote": self.remote.stats}
        if self.users is not None:
            found["location"] = self.users.directory.as_json()
        if self.conferences is not None:
            found["conference"] = self.conferences.as_json()
        if self.redirect is not None:
            found["redirect"] = self.redirect.responder.as_json()
        if self.calls is not None:
            found["cdr"] = self.calls.as_json()
        if self.hooks.targets:
            found["hooks"] = self.hooks.stats()
        return found


def _off(key: str, value: str = "true") -> Handler:
    def refuse(_arguments: dict[str, Any], _actor: Actor) -> Any:
        raise InputError(f"this is switched off on this node ({key} = {value} in the configuration)")

    return refuse
