"""Switchboard: which capabilities each node takes part in, and how far their data is equal.

Every node tells every other about its own, so that nothing is sent to where it is not taken, and an
operator sees the state of all on one.

Message: ``("states", [[name, enabled, word, percent, source], ...])``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from shield.cluster.capability import Incoming, Outlet, Progress, Synced, SyncState, SyncWord
from shield.cluster.core import Core
from shield.cluster.member import Member
from shield.cluster.messages import MAX_REPORTS, MAX_TEXT
from shield.errors import RemoteError

__all__ = ["CAPABILITY", "CapabilityState", "Switchboard"]

CAPABILITY = "capabilities"

AGAIN = 30.0
"""Seconds after which our states are told again although they are the same: a message may get lost."""

CALM = 2.0
"""Seconds between two messages about states of synchronisation: they change with every push. That
something was enabled or disabled is told at once."""

_WORDS = {"", *SyncWord}


class CapabilityState(NamedTuple):
    """One capability of one node, as it travels."""

    name: str
    enabled: bool
    word: str
    """One of ``SyncWord``; empty for a capability that keeps nothing."""
    percent: int
    source: str

    @classmethod
    def read(cls, row: Any) -> CapabilityState:
        """Check what another node says; raises RemoteError."""
        match row:
            case (str(name), bool(enabled), str(word), int(percent), str(source), *_) if (
                0 < len(name) <= MAX_TEXT and word in _WORDS and 0 <= percent <= 100
            ):
                return cls(name, enabled, word, percent, source[:MAX_TEXT])
        raise RemoteError("shape", "state of a capability")


class Switchboard:
    """A capability of every node."""

    name = CAPABILITY

    def __init__(self, core: Core) -> None:
        self._core = core
        self._told: tuple[CapabilityState, ...] = ()
        self._told_at = float("-inf")
        self._nodes: dict[str, dict[str, tuple[CapabilityState, float]]] = {}
        """By node and capability: state, and node time since which it is so."""
        core.post.limit(frozenset(core.settings.capabilities))
        self._outlet: Outlet = core.add(self)

    def switch(self, name: str, *, enabled: bool, now: float) -> bool:
        """Enable or disable a capability on this node; raises InputError, see ``Post.switch``."""
        changed = self._core.post.switch(name, enabled=enabled, now=now)
        if changed:
            word = "enabled" if enabled else "disabled"
            self._core.events.add(self._core.wall(now), "capability", self._core.name, f"{name} {word}")
            self._tell(now)
        return changed

    def rows(self, now: float, node: str = "") -> list[dict[str, Any]]:
        """One row for each capability of each node, this one's first; those of one ``node`` only."""
        self._note(self._core.name, self._own(now), now)
        order = sorted(self._nodes, key=lambda name: (name != self._core.name, name))
        return [
            {
                "node": owner,
                "name": state.name,
                "enabled": state.enabled,
                "state": state.word,
                "percent": state.percent if state.word else None,
                "source": state.source,
                "since": round(now - since, 3),
            }
            for owner in order
            if node in ("", owner)
            for state, since in self._nodes[owner].values()
        ]

    # --- as a capability --------------------------------------------------------------------

    def receive(self, incoming: Incoming, now: float) -> None:
        """Take the states of another node."""
        match incoming.body:
            case ("states", tuple(rows), *_) if len(rows) <= MAX_REPORTS:
                states = tuple(map(CapabilityState.read, rows))
            case _:
                raise RemoteError("shape", "states of capabilities")
        self._note(incoming.sender, states, now)
        member = self._core.membership.members.get(incoming.sender)
        if member is not None:
            off = frozenset(state.name for state in states if not state.enabled)
            self._core.post.refuse(member, off, now)

    def member_changed(self, member: Member, now: float) -> None:
        """Tell who has come; forget the states of who is out of reach."""
        if self._outlet.reachable(member.name):
            self._outlet.send(member.name, ("states", self._own(now)), now)
        else:
            self._nodes.pop(member.name, None)
            self._core.post.refuse(member, frozenset(), now)

    def report(self, now: float) -> bytes:  # noqa: ARG002
        """Nothing: states are told when they change."""
        return b""

    def reported(self, sender: str, report: bytes, now: float) -> None:
        """Nothing is reported."""

    def tick(self, now: float) -> None:
        """Tell all what has changed here, and now and then what has not."""
        age = now - self._told_at
        if age >= AGAIN or (age >= CALM and self._own(now) != self._told):
            self._tell(now)

    # --- inside -----------------------------------------------------------------------------

    def _own(self, now: float) -> tuple[CapabilityState, ...]:
        post, found = self._core.post, []
        for name, capability in post.capabilities.items():
            enabled = name not in post.off
            word, percent, source = "", 0, ""
            if isinstance(capability, Synced):
                sync: Progress | None = capability.sync
                state = SyncState(SyncWord.NOT_SYNCED) if sync is None else sync.sync_state(now)
                word, percent, source = state
            found.append(CapabilityState(name, enabled, str(word), percent, source))
        return tuple(found[:MAX_REPORTS])

    def _tell(self, now: float) -> None:
        self._told, self._told_at = self._own(now), now
        self._outlet.broadcast(("states", self._told), now)

    def _note(self, node: str, states: tuple[CapabilityState, ...], now: float) -> None:
        """Keep the states of a node; what it enabled or disabled is an event."""
        before = self._nodes.get(node, {})
        kept: dict[str, tuple[CapabilityState, float]] = {}
        for state in states:
            old, since = before.get(state.name, (None, now))
            same = old is not None and old[1:3] == state[1:3]
            kept[state.name] = (state, since if same else now)
            if old is not None and old.enabled is not state.enabled and node != self._core.name:
                word = "enabled" if state.enabled else "disabled"
                self._core.events.add(self._core.wall(now), "capability", node, f"{state.name} {word}")
        self._nodes[node] = kept
