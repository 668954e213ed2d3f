"""Health: what ``status`` and ``stats`` tell about a running node, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from shield.blocklist.sharing import Sharing
from shield.blocklist.sharing_report import sharing_json, sharing_short, sharing_warnings
from shield.capture.stats import LiveStats
from shield.clustering import Clustering
from shield.config import Settings
from shield.features import Features
from shield.hub import Hub

__all__ = ["Capture", "Health", "software"]

DROPPED_SHARE = 0.001
"""Share of frames that the kernel may drop before it is a warning: an attack may start in them."""


class Capture(Protocol):
    """What is asked of the live source."""

    stats: LiveStats

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Names of the interfaces that are open now."""
        ...


@dataclass
class Health:
    """Looks at the parts; raises nothing and changes nothing."""

    settings: Settings
    hub: Hub
    capture: Capture
    started: float
    """Node time."""
    clustering: Clustering | None = None
    features: Features | None = None
    control: Any = None
    """The counters of the control socket."""
    problems: dict[str, str] = field(default_factory=dict)
    """What went wrong and still is, by subject: ``reload``, a name that does not resolve."""

    def status(self, now: float) -> dict[str, Any]:
        """Give the state in short."""
        pipeline, live = self.hub.pipeline, self.capture.stats
        counts = pipeline.blocklist.counts()
        return {
            "name": pipeline.origin,
            "mode": self.settings.node.mode.value,
            "version": _version(),
            "uptime": round(now - self.started, 3),
            "interfaces": list(self.capture.interfaces),
            "capture": {
                "received": live.received,
                "dropped": live.dropped,
                "messages": pipeline.decoder.stats.messages,
                "skipped": pipeline.decoder.stats.skipped,
                "errors": sum(pipeline.decoder.stats.errors.values()),
            },
            "bans": {
                "total": counts["banned"],
                "limited": counts["limited"],
                "proven": counts["proven"] + counts["proven_networks"] - counts["limited"],
                "unproven": counts["unproven"] + counts["unproven_networks"],
                "networks": counts["proven_networks"] + counts["unproven_networks"],
            },
            "alerts": sum(self.hub.matched.values()),
            "compromised": {
                "reported": self.hub.accounts.reported,
                "followed": len(pipeline.engine.compromises.follower),
            },
            "calls": len(pipeline.tracker.dialogs),
            "allowlist": {"entries": len(pipeline.allowlist)},
            **({} if self.features is None else self.features.short()),
            "firewall": self.firewall(now),
            "journal": self.hub.journal.stats.as_json() | {"unsaved": self.hub.unsaved},
            **self._sharing(sharing_short),
            "warnings": self.warnings(),
        }

    def firewall(self, now: float) -> dict[str, Any]:
        """Give the state of the firewall; of ``observe`` that there is none."""
        mode = self.settings.node.mode.value
        if self.hub.feed is None:
            return {"mode": mode, "backend": None}
        state = self.hub.feed.status()
        for name in ("last_error", "last_repair"):
            # Node time means nothing to a reader; how long ago it was does.
            moment = state.pop(f"{name}_time")
            state[f"{name}_age"] = None if moment is None else round(now - moment, 3)
        return {"mode": mode, **state}

    def _sharing(self, shown: Callable[[Sharing], dict[str, Any]]) -> dict[str, Any]:
        """What other nodes say, when there are any."""
        return {} if self.hub.sharing is None else {"sharing": shown(self.hub.sharing)}

    def _evidence(self) -> dict[str, Any]:
        """What was counted together with other nodes."""
        pooling = None if self.clustering is None else self.clustering.pooling
        return {} if pooling is None else {"evidence": pooling.as_json()}

    def stats(self, now: float) -> dict[str, Any]:
        """Give all counters, by part."""
        hub, pipeline = self.hub, self.hub.pipeline
        return {
            "capture": _plain(self.capture.stats),
            "decoder": _plain(pipeline.decoder.stats),
            "pipeline": pipeline.stats.as_json(),
            "scenarios": dict(hub.matched),
            "detection": _plain(pipeline.engine.stats),
            "policy": _plain(pipeline.policy.stats),
            "blocklist": pipeline.blocklist.stats.as_json() | pipeline.blocklist.counts(),
            "firewall": self.firewall(now),
            "journal": hub.journal.stats.as_json()
            | {"unsaved": hub.unsaved, "alerts_dropped": hub.alerts_unsaved_lost},
            **self._sharing(sharing_json),
            **self._evidence(),
            **({} if self.features is None else self.features.stats()),
            "watch": {
                "watchers": len(hub.watchers),
                "events": hub.watchers.events,
                "dropped": hub.watchers.dropped,
            },
            "control": _plain(self.control),
        }

    def warnings(self) -> list[str]:
        """List what an operator should know, one line each; empty when all is well."""
        hub, live = self.hub, self.capture.stats
        found = [f"{subject}: {text}" for subject, text in self.problems.items()]
        if not self.capture.interfaces and self.settings.capture.interfaces:
            found.append("capture: no interface is open")
        if live.dropped > DROPPED_SHARE * live.received:
            found.append(
                f"capture: the kernel dropped {live.dropped:,} of {live.received:,} frames "
                "(capture.buffer_bytes)"
            )
        if hub.feed is not None and hub.feed.stats.failing:
            found.append(f"firewall: {hub.feed.stats.last_error}")
        journal = hub.journal.stats
        if journal.pending or journal.lost:
            found.append(f"journal: {journal.pending:,} records wait, {journal.lost:,} are lost")
        evicted = hub.pipeline.blocklist.stats.evicted_proven
        if evicted:
            found.append(
                f"blocklist: {evicted:,} proven bans had to make room (blocklist.max_decisions)"
            )
        if hub.sharing is not None:
            found += sharing_warnings(hub.sharing)
        if self.clustering is not None:
            found += self.clustering.warnings()
        if self.features is not None:
            found += self.features.warnings()
        if hub.watchers.dropped:
            found.append(f"watch: {hub.watchers.dropped:,} events were lost by slow watchers")
        return found


def _plain(stats: Any) -> dict[str, Any]:
    """Counters as JSON takes them."""
    if stats is None:
        return {}
    # Not asdict(): of a Counter it makes a Counter of pairs (before Python 3.12).
    names = [f.name for f in fields(stats)] if is_dataclass(stats) else list(vars(stats))
    values = ((name, getattr(stats, name)) for name in names)
    return {name: dict(value) if isinstance(value, dict) else value for name, value in values}


def software() -> str:
    """Name and version of this program."""
    return f"shield {_version()}"


def _version() -> str:
    try:
        return version("shield-sip")
    except PackageNotFoundError:
        return "not installed"
