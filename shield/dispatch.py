"""The commands of the control socket, run on a live node. No I/O: times come from two functions.

What each command takes stands in ``shield.control.commands``; the shapes of the answers are those
that ``shield.cli`` prints and ``docs`` shows.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Any

from shield.blocklist.decision import Change, ChangeKind, Decision
from shield.blocklist.filters import parse_filter
from shield.control.commands import COMMANDS, Actor
from shield.durations import MAX_DURATION, format_duration
from shield.errors import InputError, SystemFailure
from shield.health import Health
from shield.hub import Hub
from shield.net import Network

__all__ = ["NodeDispatcher"]

RESULTS = 1000
"""Values that an answer to a mass unban names; beyond, it only says how many there were."""

HISTORY = 50
"""Lines of history, and alerts, that ``show`` gives."""

STEP = 500
"""Decisions looked at before others have a turn: some milliseconds."""

Arguments = dict[str, Any]


@types.coroutine
def _turn() -> Generator[None, None, None]:
    """Let the event loop do other work (a bare yield is what ``asyncio.sleep(0)`` does)."""
    yield


class NodeDispatcher:
    """Runs commands on the parts of a node. ``reload`` reads the files again and says what changed."""

    def __init__(
        self,
        hub: Hub,
        health: Health,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        reload: Callable[[], dict[str, Any]],
        default_duration: float,
    ) -> None:
        self.hub = hub
        self.health = health
        self._now = clock
        self._wall = wall
        self._reload = reload
        self._default = default_duration
        self._commands: dict[str, Callable[[Arguments, Actor], Any]] = {
            "status": lambda _a, _who: health.status(self._now()),
            "stats": lambda _a, _who: health.stats(),
            "list": self._list,
            "export": self._list,
            "show": self._show,
            "rules": self._rules,
            "watch": self._watch,
            "firewall.status": self._firewall,
            "allow.list": self._allow_list,
            "allow.add": self._allow_add,
            "allow.remove": self._allow_remove,
            "ban": self._ban,
            "unban": self._unban,
            "import": self._import,
            "reload": lambda _a, _who: self._reload(),
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

    def _show(self, arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        network = Network.parse(arguments["value"])
        value, now = str(network), self._now()
        pipeline, journal = self.hub.pipeline, self.hub.journal
        self.hub.save(now, self._wall())  # so that the history holds the last moment too
        source = pipeline.explain(network.address, now) if network.is_host else None
        allowed = pipeline.allowlist.covers_network(network)
        decisions = self._covering(network, now)
        known = bool(source and (source.get("source") or source.get("alerts")))
        state = "allowed" if allowed else "banned" if decisions else "watched" if known else "unknown"
        alerts = (source or {}).get("alerts") or journal.alerts(value, HISTORY)
        return {
            "value": value,
            "state": state,
            "decisions": [decision.as_json(now) for decision in decisions],
            "allowlist": allowed.as_json(now) if allowed else None,
            "alerts": alerts,
            "history": [_past(row) for row in journal.history(value, HISTORY)],
            "source": source,
        }

    def _covering(self, network: Network, now: float) -> list[Decision]:
        """Decisions about the network and about larger ones that hold it."""
        blocklist = self.hub.pipeline.blocklist
        outer = [n for n, _ in blocklist.guard.networks.covering(network) if n != network]
        found = (blocklist.get(n, now) for n in (network, *outer))
        return [decision for decision in found if decision is not None]

    def _rules(self, _arguments: Arguments, _actor: Actor) -> list[dict[str, Any]]:
        matched = self.hub.pipeline.engine.stats.by_rule
        return [
            {
                "name": rule.name,
                "description": rule.description,
                "kind": rule.kind,
                "severity": rule.severity,
                "confidence": rule.confidence,
                "max_retry": rule.max_retry,
                "find_time": rule.find_time,
                "ban_time": rule.ban_time,
                "path": str(rule.path),
                "matched": matched[rule.name],
            }
            for rule in self.hub.pipeline.engine.rules
        ]

    def _watch(self, arguments: Arguments, _actor: Actor) -> Any:
        wanted = parse_filter(arguments.get("filter", ""))
        kinds = frozenset(arguments.get("kinds") or ("alert", "change"))
        return self.hub.watchers.subscribe(
            lambda event: event["event"] in kinds and (not wanted or wanted.matches(event, self._wall()))
        )

    def _firewall(self, _arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        state = self.health.firewall()
        feed = self.hub.feed
        if feed is not None and state.get("open"):
            try:
                state["dropped_packets"] = feed.backend.dropped()
            except SystemFailure as error:  # somebody took the table away a moment ago
                state["dropped_packets"], state["problem"] = None, str(error)
        return state

    # --- the allowlist ----------------------------------------------------------------------

    def _allow_list(self, arguments: Arguments, _actor: Actor) -> list[dict[str, Any]]:
        wanted = parse_filter(arguments.get("filter", ""))
        now, wall = self._now(), self._wall()
        rows = self.hub.pipeline.allowlist.as_json(now)
        return [row for row in rows if not wanted or wanted.matches(row, wall)]

    def _allow_add(self, arguments: Arguments, actor: Actor) -> dict[str, Any]:
        now, wall = self._now(), self._wall()
        reason = _line(arguments.get("reason") or f"by {actor.name}")

        def add(value: str) -> dict[str, Any]:
            entry = self.hub.pipeline.allowlist.add(
                value, now, reason=reason, duration=arguments.get("duration"), wall=wall
            )
            if entry.origin in {"builtin", "config"}:
                return {"value": entry.value, "message": f"already, by the {entry.reason}"}
            self.hub.journal.save_allow(entry, now, wall)
            return {"value": entry.value, "entry": entry.as_json(now)}

        results = _each(arguments["values"], add)
        self.hub.allowlist_changed(now)
        return {"results": results}

    def _allow_remove(self, arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        def remove(value: str) -> dict[str, Any]:
            entry = self.hub.pipeline.allowlist.remove(value)
            if entry is None:
                raise InputError("not on the allowlist")
            self.hub.journal.remove_allow(entry.value)
            return {"value": entry.value}

        results = _each(arguments["values"], remove)
        self.hub.allowlist_changed(self._now())
        return {"results": results}

    # --- bans -------------------------------------------------------------------------------

    def _ban(self, arguments: Arguments, actor: Actor) -> dict[str, Any]:
        now, wall = self._now(), self._wall()
        duration = self._duration(arguments.get("duration"))
        reason = _line(arguments.get("reason") or f"by {actor.name}")

        pipeline = self.hub.pipeline
        made: list[Change] = []

        def ban(value: str) -> dict[str, Any]:
            network = Network.parse(value)
            changes = pipeline.ban(network, now, wall, duration=duration, reason=reason, origin="cli")
            made.extend(changes)
            live = pipeline.blocklist.get(network, now)
            if live is None:
                raise InputError("the blocklist is full of longer bans")
            message = {} if changes else {"message": "already banned for longer"}
            return {"value": str(network), "decision": live.as_json(now), **message}

        results = _each(arguments["values"], ban)
        self.hub.take_changes(made, now)
        return {"results": results}

    def _unban(self, arguments: Arguments, actor: Actor) -> Any:
        given = [name for name in ("values", "filter", "all") if arguments.get(name)]
        if len(given) != 1:
            raise InputError("unban: give one of values, filter or all")
        reason = _line(arguments.get("reason") or f"unban by {actor.name}")
        if given == ["values"]:
            now = self._now()
            made: list[Change] = []

            def unban(value: str) -> dict[str, Any]:
                network = Network.parse(value)
                made.extend(self.hub.unban(network, now, reason))
                return {"value": str(network)}

            results = _each(arguments["values"], unban)
            self.hub.take_changes(made, now)
            return {"results": results}
        return self._unban_many(arguments.get("filter", ""), reason)

    async def _unban_many(self, text: str, reason: str) -> dict[str, Any]:
        """End all bans that a filter picks, in steps."""
        wanted, wall = parse_filter(text), self._wall()
        results: list[dict[str, Any]] = []
        made: list[Change] = []
        count, now = 0, self._now()
        for place, decision in enumerate(list(self.hub.pipeline.blocklist.decisions(now))):
            if place % STEP == STEP - 1:
                self.hub.take_changes(made, now)
                made = []
                await _turn()
                now = self._now()
            if wanted and not wanted.matches(decision.as_json(now), wall):
                continue
            changes = self.hub.pipeline.blocklist.remove(decision.network, now, reason)
            made += changes
            count += len(changes)
            if changes and len(results) < RESULTS:
                results.append({"value": decision.value, "ok": True, "message": ""})
        self.hub.take_changes(made, now)
        return {"results": results, "count": count}

    def _import(self, arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        counts = {"added": 0, "extended": 0, "skipped": 0}
        refused: list[dict[str, Any]] = []
        made: list[Change] = []
        for item in arguments["decisions"]:
            try:
                counts[self._import_one(item, arguments, made)] += 1
            except InputError as error:
                refused.append({"value": str(item.get("value", ""))[:100], "message": str(error)})
        self.hub.take_changes(made, self._now())
        return {**counts, "refused": refused, "dry_run": bool(arguments.get("dry_run"))}

    def _import_one(self, item: dict[str, Any], arguments: Arguments, made: list[Change]) -> str:
        """Enter one foreign decision, its changes into ``made``; gives which counter it belongs to."""
        now, wall = self._now(), self._wall()
        value = item.get("value")
        if not isinstance(value, str):
            raise InputError("value is missing")
        if item.get("type", "ban") != "ban":
            raise InputError(f"type {str(item['type'])[:40]!r} is not ban")
        network = Network.parse(value)
        left = arguments.get("duration") or item.get("remaining") or item.get("duration")
        duration = self._duration(left)
        pipeline = self.hub.pipeline
        known = pipeline.blocklist.get(network, now)
        if arguments.get("dry_run"):
            pipeline.blocklist.check(network)
            if (entry := pipeline.allowlist.covers_network(network)) is not None:
                raise InputError(f"on the allowlist ({entry.value})")
            if known is None:
                return "added"
            return "skipped" if known.until >= now + duration else "extended"
        changes = pipeline.ban(
            network,
            now,
            wall,
            duration=duration,
            reason=_line(item.get("reason") or arguments.get("reason") or "imported"),
            origin="import",
            scenario=_line(item.get("scenario") or "import")[:64],
        )
        made += changes
        if not changes:
            return "skipped"
        return "extended" if changes[-1].kind is ChangeKind.EXTENDED else "added"

    def _duration(self, given: Any) -> float:
        """Seconds of a new ban; raises InputError for what is no sensible duration."""
        if given is None:
            return self._default
        if (
            isinstance(given, bool)
            or not isinstance(given, int | float)
            or not 0 < given <= MAX_DURATION
        ):
            raise InputError(
                f"duration: {str(given)[:40]} is not between 0 and {format_duration(MAX_DURATION)}"
            )
        return float(given)


def _each(values: Iterable[str], run: Callable[[str], dict[str, Any]]) -> list[dict[str, Any]]:
    """Do something with each value; one that is refused keeps nothing from the others."""
    results = []
    for value in values:
        try:
            results.append({"ok": True, "message": "", **run(value)})
        except InputError as error:
            results.append({"value": value[:260], "ok": False, "message": str(error)})
    return results


def _past(row: dict[str, Any]) -> dict[str, Any]:
    """Bring a line of history into the keys of a decision, with the time of the change."""
    return {**row, "time": row["at"], "kind": row["change"], "reason": row["why"] or row["reason"]}


def _line(text: Any) -> str:
    """One printable line of foreign text."""
    return "".join(c if c.isprintable() else " " for c in str(text))[:200]
