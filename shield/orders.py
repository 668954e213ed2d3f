"""Orders: what operators change on a live node: allowlist, bans, unbans, imports.

Every order reaches the kernel as one commit and the journal before it is answered. No I/O: times
come from two functions.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Generator, Iterable
from typing import Any

from shield.blocklist.allowlist import AllowEntry
from shield.blocklist.decision import BAN, LIMIT, Change, ChangeKind, read_ports
from shield.blocklist.filters import parse_filter
from shield.control.commands import Actor
from shield.durations import MAX_DURATION, format_duration
from shield.errors import InputError
from shield.hub import Hub
from shield.net import Network

__all__ = ["Orders"]

RESULTS = 1000
"""Values that an answer to a mass unban names; beyond, it only says how many there were."""

STEP = 500
"""Decisions looked at before others have a turn: some milliseconds."""

PAST = {BAN: "banned", LIMIT: "limited"}
"""What has been done by a decision of each type."""

Arguments = dict[str, Any]


@types.coroutine
def _turn() -> Generator[None, None, None]:
    """Let the event loop do other work (a bare yield is what ``asyncio.sleep(0)`` does)."""
    yield


class Orders:
    """Carries out changes on the parts behind ``hub``; arguments as in ``shield.control.commands``."""

    def __init__(
        self,
        hub: Hub,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        default_duration: float,
    ) -> None:
        self.hub = hub
        self._now = clock
        self._wall = wall
        self.default_duration = default_duration
        """Seconds of a ban that names no duration."""

    # --- the allowlist ----------------------------------------------------------------------

    def allow_add(self, arguments: Arguments, actor: Actor) -> dict[str, Any]:
        """Allow values; bans of them end at once."""
        now, wall = self._now(), self._wall()
        reason = _line(arguments.get("reason") or f"by {actor.name}")

        def add(value: str) -> dict[str, Any]:
            entry = self.hub.pipeline.allowlist.add(
                value, now, reason=reason, duration=arguments.get("duration"), wall=wall
            )
            if entry.origin in {"builtin", "config"}:
                return {"value": entry.value, "message": f"already, by the {entry.reason}"}
            self.hub.journal.save_allow(entry, now, wall)
            made.append(entry)
            return {"value": entry.value, "entry": entry.as_json(now)}

        made: list[AllowEntry] = []
        results = _each(arguments["values"], add)
        self.hub.allowlist_changed(now)
        if self.hub.sharing is not None:
            for entry in made:  # after the unbans, so that the others see one end of each ban
                self.hub.sharing.allowed(entry, now)
        return {"results": results}

    def allow_remove(self, arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        """Take values out of the allowlist."""

        def remove(value: str) -> dict[str, Any]:
            entry = self.hub.pipeline.allowlist.remove(value)
            if entry is None:
                raise InputError("not on the allowlist")
            self.hub.journal.remove_allow(entry.value)
            if self.hub.sharing is not None:
                self.hub.sharing.disallowed(entry.value, self._now())
            return {"value": entry.value}

        results = _each(arguments["values"], remove)
        self.hub.allowlist_changed(self._now())
        return {"results": results}

    # --- bans -------------------------------------------------------------------------------

    def ban(self, arguments: Arguments, actor: Actor) -> dict[str, Any]:
        """Ban values, or limit them."""
        now, wall = self._now(), self._wall()
        kind = LIMIT if arguments.get("limit") else BAN
        duration = self._duration(arguments.get("duration"))
        reason = _line(arguments.get("reason") or f"by {actor.name}")

        pipeline = self.hub.pipeline
        made: list[Change] = []

        def ban(value: str) -> dict[str, Any]:
            network = Network.parse(value)
            changes = pipeline.ban(network, now, wall, duration=duration, reason=reason, kind=kind)
            made.extend(changes)
            live = pipeline.blocklist.get(network, now)
            if live is None:
                raise InputError("the blocklist is full of longer bans")
            known = "banned" if kind != live.type else f"{PAST[kind]} for longer"
            message = {} if changes else {"message": f"already {known}"}
            return {"value": str(network), "decision": live.as_json(now), **message}

        results = _each(arguments["values"], ban)
        self.hub.take_changes(made, now)
        return {"results": results}

    def unban(self, arguments: Arguments, actor: Actor) -> Any:
        """End bans by value, by filter, or all."""
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

    def enter(self, arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        """Enter decisions made elsewhere (command ``import``)."""
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
        kind = item.get("type", BAN)
        if kind not in PAST:
            raise InputError(f"type {str(kind)[:40]!r} is neither ban nor limit")
        network = Network.parse(value)
        ports = read_ports(str(item.get("ports", ""))) if kind == LIMIT else ()
        if kind == LIMIT and not network.is_host:
            raise InputError("only a single address can be limited")
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
            stronger = known.type != kind and kind == BAN
            return "skipped" if known.until >= now + duration and not stronger else "extended"
        changes = pipeline.ban(
            network,
            now,
            wall,
            duration=duration,
            reason=_line(item.get("reason") or arguments.get("reason") or "imported"),
            origin="import",
            scenario=_line(item.get("scenario") or "import")[:64],
            kind=kind,
            ports=ports,
        )
        made += changes
        if not changes:
            return "skipped"
        return "extended" if changes[-1].kind is ChangeKind.EXTENDED else "added"

    def _duration(self, given: Any) -> float:
        """Seconds of a new ban; raises InputError for what is no sensible duration."""
        if given is None:
            return self.default_duration
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


def _line(text: Any) -> str:
    """One printable line of foreign text."""
    return "".join(c if c.isprintable() else " " for c in str(text))[:200]
