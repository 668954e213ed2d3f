"""Reload: which settings take effect on a running node, how, and which wait for a restart. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from shield.blocklist.allowlist import Allowlist
from shield.config import NAMED, Mode, Settings
from shield.detect.rule import Rule
from shield.errors import ConfigError, ShieldError, SystemFailure
from shield.health import Health
from shield.hub import Hub
from shield.orders import Orders

__all__ = ["Reload", "apply", "complain", "leave_firewall", "plan"]

_log = logging.getLogger("shield")

NOTHING: frozenset[str] = frozenset()

FIXED: dict[str, frozenset[str]] = {
    "node": frozenset({"name"}),
    "detect": NOTHING,
    "policy": NOTHING,
    "allowlist": NOTHING,
    "blocklist": frozenset({"max_decisions", "max_unproven", "max_networks", "max_unproven_networks"}),
    "journal": frozenset({"path"}),
    "control": frozenset({"socket", "mode", "group"}),
}
"""Keys of each table that only a start can apply; of a table that is not named here all of them."""


@dataclass(frozen=True, slots=True)
class Reload:
    """What a reload does."""

    settings: Settings
    """What is in force afterwards."""
    changed: tuple[str, ...]
    """``table.key`` of what takes effect."""
    waiting: tuple[str, ...]
    """``table.key`` of what differs in the files and needs a restart."""

    def as_json(self, **counts: int) -> dict[str, Any]:
        """The answer to ``reload``."""
        return {**counts, "changed": list(self.changed), "restart": list(self.waiting)}


def plan(old: Settings, fresh: Settings) -> Reload:
    """Compare what is in force with what was read; raises ConfigError when they cannot be mixed."""
    tables: dict[str, Any] = {}
    changed: list[str] = []
    waiting: list[str] = []
    for part in fields(fresh):
        before, after = getattr(old, part.name), getattr(fresh, part.name)
        if part.name in NAMED:
            tables[part.name] = before
            waiting += [part.name] if before != after else []
            continue
        keys = [key.name for key in fields(after)]
        fixed = FIXED.get(part.name, frozenset(keys))
        if part.name == "firewall" and old.node.mode is Mode.OBSERVE:
            fixed = NOTHING  # there is none yet
        for key in keys:
            if getattr(before, key) != getattr(after, key):
                (waiting if key in fixed else changed).append(f"{part.name}.{key}")
        tables[part.name] = replace(after, **{key: getattr(before, key) for key in fixed})
    return Reload(Settings(**tables), tuple(changed), tuple(waiting))


def apply(
    settings: Settings, rules: Sequence[Rule], orders: Orders, local: Iterable[bytes], now: float
) -> None:
    """Put settings and rules in force; raises ConfigError, and changes nothing, if one is wrong.

    The mode is not changed here (``leave_firewall``), nor what ``FIXED`` names.
    """
    hub, pipeline = orders.hub, orders.hub.pipeline
    Allowlist(settings.allowlist)  # finds what is wrong before anything has changed
    ended = pipeline.use_settings(settings.detect, settings.policy, local, now)
    pipeline.use_rules(rules)
    pipeline.allowlist.use(settings.allowlist)
    pipeline.blocklist.settings = settings.blocklist
    hub.take_changes(ended, now)
    hub.allowlist_changed(now)
    hub.journal.settings = settings.journal
    orders.default_duration = settings.control.ban_time
    logging.getLogger().setLevel(settings.node.log_level.upper())


def leave_firewall(hub: Hub, health: Health, settings: Settings) -> bool:
    """Take the firewall away where the mode or other settings want that; tell whether to open one.

    In mode ``observe`` nobody is blocked, so table, sets and rules go too. Call it only while no other
    thread reads the kernel.
    """
    feed, mode = hub.feed, settings.node.mode
    if feed is not None and (mode is Mode.OBSERVE or feed.settings != settings.kernel()):
        hub.feed = None
        try:
            feed.close(remove=True)
        except SystemFailure as error:
            health.problems["firewall"] = f"may still block, it cannot be removed: {error}"
            _log.error("firewall: %s", health.problems["firewall"])
        else:
            _log.warning("mode %s: the firewall was removed, nobody is blocked", mode.value)
    begin = hub.feed is None and mode is Mode.ENFORCE
    if begin:
        health.problems.pop("firewall", None)
        _log.warning("mode %s: the firewall drops what is banned", mode.value)
    return begin


def complain(reload: Callable[[], object], problems: dict[str, str]) -> None:
    """Reload where nobody waits for an answer: what is wrong is logged and shown by ``status``."""
    try:
        reload()
    except ConfigError as error:
        problems["reload"] = "; ".join(error.problems)
        for problem in error.problems:
            _log.error("reload: %s (the old settings stay)", problem)
    except ShieldError as error:
        problems["reload"] = str(error)
        _log.error("reload: %s (the old settings stay)", error)
