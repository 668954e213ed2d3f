"""The commands of the control socket, run on a live node. No I/O: times come from two functions.

What each command takes stands in ``shield.control.commands``; the shapes of the answers are those
that ``shield.cli`` prints and ``docs`` shows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from shield.blocklist.decision import Decision
from shield.blocklist.filters import parse_filter
from shield.blocklist.sharing_report import sharing_of
from shield.blocklist.story import story
from shield.control.commands import COMMANDS, Actor
from shield.errors import InputError, SystemFailure
from shield.explain import explain
from shield.health import Health
from shield.hub import Ask, Hub
from shield.net import Network
from shield.orders import Orders

__all__ = ["NodeDispatcher"]

HISTORY = 50
"""Lines of history, and alerts, that ``show`` gives."""

Arguments = dict[str, Any]


class NodeDispatcher:
    """Runs commands on the parts of a node. ``reload`` reads the files again and says what changed.

    ``more`` are commands that others run.
    """

    def __init__(
        self,
        hub: Hub,
        health: Health,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        reload: Callable[[], dict[str, Any]],
        default_duration: float,
        more: Mapping[str, Callable[[Arguments, Actor], Any]] | None = None,
    ) -> None:
        self.hub = hub
        self.health = health
        self._now = clock
        self._wall = wall
        self._reload = reload
        self.orders = orders = Orders(hub, clock=clock, wall=wall, default_duration=default_duration)
        self._commands: dict[str, Callable[[Arguments, Actor], Any]] = {
            "status": lambda _a, _who: health.status(self._now()),
            "stats": lambda _a, _who: health.stats(self._now()),
            "list": self._list,
            "export": self._list,
            "show": self._show,
            "rules": self._rules,
            "watch": self._watch,
            "firewall.status": self._firewall,
            "allow.list": self._allow_list,
            "allow.add": orders.allow_add,
            "allow.remove": orders.allow_remove,
            "ban": orders.ban,
            "unban": orders.unban,
            "import": orders.enter,
            "compromised": self._compromised,
            "compromised.clear": self._clear,
            "reload": lambda _a, _who: self._reload(),
            **(more or {}),
        }

    async def handle(self, command: str, arguments: Arguments, actor: Actor) -> Any:
        """Run one command whose arguments have been checked."""
        run = self._commands.get(command)
        if run is None:
            raise InputError(f"unknown command: {command[:40]!r}")
        result = run(arguments, actor)
        if isinstance(result, Awaitable):
            result = await result
        if COMMANDS[command].changes:
            # What an operator was told is done must outlive a kill -9 in the next moment.
            self.hub.save(self._now(), self._wall())
        return result

    # --- looking ----------------------------------------------------------------------------

    def _list(self, arguments: Arguments, _actor: Actor) -> Iterator[dict[str, Any]]:
        wanted = parse_filter(arguments.get("filter", ""))
        now, wall = self._now(), self._wall()
        rows = (decision.as_json(now) for decision in self.hub.pipeline.blocklist.decisions(now))
        limit = arguments.get("limit") or None
        return islice((row for row in rows if not wanted or wanted.matches(row, wall)), limit)

    def _show(self, arguments: Arguments, _actor: Actor) -> Any:
        network = Network.parse(arguments["value"])
        decisions = self._covering(network, self._now())
        ask, sharing = self.hub.ask_origin, self.hub.sharing
        if ask is not None and sharing is not None:
            origin = next((d.origin for d in decisions if not sharing.owners.is_local(d.origin)), "")
            if origin and not self.hub.journal.alerts(str(network), 1):
                return self._show_asked(network, origin, ask)
        return self._shown(network)

    async def _show_asked(self, network: Network, origin: str, ask: Ask) -> dict[str, Any]:
        """Ask the node that decided why, then show what is known."""
        body = await ask(origin, ("explain", str(network)))
        if body is not None and self.hub.sharing is not None:
            self.hub.sharing.alerts.explained(origin, network, body)
        return self._shown(network)

    def _shown(self, network: Network) -> dict[str, Any]:
        value, now = str(network), self._now()
        pipeline, journal, sharing = self.hub.pipeline, self.hub.journal, self.hub.sharing
        self.hub.save(now, self._wall())  # so that the history holds the last moment too
        source = explain(pipeline, network.address, now) if network.is_host else None
        alerts = journal.alerts(value, HISTORY)
        if remembered := (source or {}).get("alerts"):
            # Those know what became of them; the journal knows what other nodes saw.
            alerts = remembered + [alert for alert in alerts if alert.get("origin")]
        decisions = self._covering(network, now)
        decided = next((one for one in decisions if one.network == network), None)
        return story(
            value,
            now,
            decisions=decisions,
            allowed=pipeline.allowlist.covers_network(network),
            alerts=alerts,
            history=journal.history(value, HISTORY),
            source=source,
            shared=() if sharing is None else sharing_of(sharing, network, now, decided),
        )

    def _covering(self, network: Network, now: float) -> list[Decision]:
        """Decisions about the network and about larger ones that hold it."""
        blocklist = self.hub.pipeline.blocklist
        outer = [n for n, _ in blocklist.guard.networks.covering(network) if n != network]
        found = (blocklist.get(n, now) for n in (network, *outer))
        return [decision for decision in found if decision is not None]

    def _rules(self, _arguments: Arguments, _actor: Actor) -> list[dict[str, Any]]:
        matched = self.hub.pipeline.engine.stats.by_rule
        rules = self.hub.pipeline.engine.rules
        return [{**rule.as_json(), "matched": matched[rule.name]} for rule in rules]

    def _watch(self, arguments: Arguments, _actor: Actor) -> Any:
        wanted = parse_filter(arguments.get("filter", ""))
        kinds = frozenset(arguments.get("kinds") or ("alert", "change", "compromised"))
        return self.hub.watchers.subscribe(
            lambda event: event["event"] in kinds and (not wanted or wanted.matches(event, self._wall()))
        )

    def _compromised(self, arguments: Arguments, _actor: Actor) -> list[dict[str, Any]]:
        if about := arguments.get("about"):
            return self.hub.accounts.show(about)
        return self.hub.accounts.rows(arguments.get("limit") or 0)

    def _clear(self, arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        if bool(arguments.get("values")) == bool(arguments.get("all")):
            raise InputError("compromised.clear: give either values or all")
        return self.hub.accounts.clear(arguments.get("values") or None)

    def _firewall(self, _arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        state = self.health.firewall(self._now())
        feed = self.hub.feed
        if feed is not None and state.get("open"):
            try:
                state["dropped_packets"] = feed.backend.dropped()
            except SystemFailure as error:  # somebody took the table away a moment ago
                state["dropped_packets"], state["problem"] = None, str(error)
        return state

    def _allow_list(self, arguments: Arguments, _actor: Actor) -> list[dict[str, Any]]:
        wanted = parse_filter(arguments.get("filter", ""))
        now, wall = self._now(), self._wall()
        rows = self.hub.pipeline.allowlist.as_json(now)
        return [row for row in rows if not wanted or wanted.matches(row, wall)]
