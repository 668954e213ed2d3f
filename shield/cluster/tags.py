"""Sharing tags: for each tag at most one node is active, all others are backup.

A proxy pair, a collector, a bridge: something that one node at a time may do. The newest claim wins, so
two nodes that were both active while they could not see each other are one as soon as they can. Claims
are signed and handed on by everybody, so a node that comes back learns what was claimed meanwhile also
when whoever claimed it is gone.

Messages: ``("claims", [signed claim, ...], [[tag, priority], ...], digest)`` and ``("digest", digest)``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from shield.cluster.capability import Incoming, Outlet
from shield.cluster.clock import Clock
from shield.cluster.core import Core
from shield.cluster.member import Member, MemberState
from shield.cluster.tag_claim import MAX_REASON, Claim, Signed, read_candidacy
from shield.cluster.tag_plan import TagPlan
from shield.cluster.tag_state import Tag, TagState, digest, reason_of, stored
from shield.errors import InputError, RemoteError, ShieldError

__all__ = ["CAPABILITY", "Follower", "Tags"]

CAPABILITY = "tags"

MAX_TAGS = 256
"""Tags that are known: each is a service with one active node. Those of the configuration always fit."""
MAX_PER_NODE = 32
"""Tags that one other node may have made, so that one that went mad leaves room."""

SETTLE = 2.0
"""Seconds after the start in which nothing is claimed and no old claim counts: connections come up, and
others may have claimed what was ours."""
SILENCE = 5.0
"""Seconds without a ping of a member after which it is told our digest: it is reached over others."""
AGAIN = 30.0
"""Seconds until a member is told the same again: it may not know a node whose claim we know."""

_log = logging.getLogger(__name__)

Follower = Callable[[bool, str], None]
"""Called when this node becomes active (True) or backup for a tag, with the reason."""


class Tags:
    """A capability of every node. ``keep`` is given what ``tag_state.restore`` takes.

    ``known``: what was kept before the last stop.
    """

    name = CAPABILITY

    def __init__(
        self,
        core: Core,
        plans: Mapping[str, TagPlan],
        known: Mapping[str, Tag],
        keep: Callable[[dict[str, Any]], None],
    ) -> None:
        self.problem = ""
        """Why the state could not be kept, if so."""
        self._core = core
        self._plans = dict(plans)
        self._keep = keep
        self._clock = Clock()
        self._tags = {name: Tag(name) for name in plans} | dict(known)
        self._followers: dict[str, list[Follower]] = {}
        self._candidates: dict[str, dict[str, int]] = {}
        """By node: the tags that it would take over, and with which priority."""
        self._heard: dict[str, float] = {}  # when the last ping or digest of a member came
        self._told: dict[str, tuple[bytes, bytes, float]] = {}
        """By member: its digest and ours when it was last told all claims, and when that was."""
        self._said: tuple[tuple[str, int], ...] = ()
        """What the others were told last that this node would take over."""
        self._settled_at: float | None = None
        self._unkept = False
        self._outlet: Outlet = core.add(self)

    # --- for other features -----------------------------------------------------------------

    def active(self, tag: str) -> bool:
        """Whether this node is the one that does what the tag stands for."""
        held = self._tags.get(tag)
        return held is not None and held.state is TagState.ACTIVE and self._core.membership.enabled

    def follow(self, tag: str, follower: Follower) -> None:
        """Call a function whenever this node becomes active or backup."""
        self._followers.setdefault(tag, []).append(follower)

    def take_part(self, tag: str, plan: TagPlan) -> None:
        """Have this node take part in a tag that is not in its configuration."""
        self._plans[tag] = plan
        self._tags.setdefault(tag, Tag(tag))

    # --- orders -----------------------------------------------------------------------------

    def claim(self, tag: str, reason: str, now: float) -> Claim:
        """Become active for a tag; who was steps down as soon as it hears. Raises InputError."""
        if not self._core.membership.enabled:
            raise InputError("this node is disabled (shield cluster enable)")
        held = self._tags.get(tag)
        if held is None:
            if len(self._tags) >= MAX_TAGS:
                raise InputError(f"there are {MAX_TAGS} tags already")
            held = self._tags[tag] = Tag(tag)
        above = 0 if held.claim is None else held.claim.stamp
        stamp = self._clock.next(self._core.wall(now), above)
        claim = Claim(tag, stamp, self._core.name, active=True, reason=reason[:MAX_REASON])
        self._say(held, claim, now)
        return claim

    def release(self, tag: str, reason: str, now: float) -> Claim:
        """Give a tag back: nobody is active then. Raises InputError when this node is not."""
        held = self._tags.get(tag)
        if held is None or held.claim is None or held.holder != self._core.name:
            other = f", {held.holder} is" if held is not None and held.holder else ""
            raise InputError(f"this node is not active for {tag}{other}")
        claim = Claim(
            tag, held.claim.stamp + 1, self._core.name, active=False, reason=reason[:MAX_REASON]
        )
        self._say(held, claim, now)
        return claim

    # --- looking ----------------------------------------------------------------------------

    def rows(self, now: float) -> list[dict[str, Any]]:
        """One row for each tag, by name."""
        return [
            {
                **held.row(),
                "reachable": self._in_reach(held.holder),
                "lost": None if held.lost_at is None else round(now - held.lost_at, 3),
                "configured": name in self._plans,
                "candidates": [node for _, node in self._ranked(name)],
            }
            for name, held in sorted(self._tags.items())
        ]

    def history(self, tag: str) -> list[dict[str, Any]]:
        """Changes of a tag as this node saw them, the latest last; raises InputError."""
        held = self._tags.get(tag)
        if held is None:
            raise InputError(f"no tag {tag!r} is known")
        return [dict(zip(("time", "state", "node", "reason"), row, strict=True)) for row in held.history]

    def warnings(self) -> list[str]:
        """Tags of this node's configuration whose active node is away, and nobody takes over."""
        found = [f"cluster: tags cannot be kept: {self.problem}"] if self.problem else []
        for name, plan in sorted(self._plans.items()):
            held = self._tags[name]
            if held.holder and held.lost_at is not None and not plan.takeover:
                what = f"cluster: tag {name}: {held.holder} is active and cannot be reached"
                found.append(f"{what} (shield cluster tag set {name} active)")
        return found

    # --- as a capability --------------------------------------------------------------------

    def receive(self, incoming: Incoming, now: float) -> None:
        """Take claims and digests; what makes no sense is a RemoteError, and costs nothing else."""
        match incoming.body:
            case ("claims", tuple(claims), tuple(wanted), bytes(theirs), *_):
                self._heard[incoming.sender] = now
                self._candidates[incoming.sender] = read_candidacy(wanted)
                self._take(claims, now)
                if theirs and theirs != digest(self._tags.values()):
                    self._tell(incoming.sender, b"", now)
            case ("digest", bytes(theirs), *_):
                self.reported(incoming.sender, theirs, now)
            case _:
                raise RemoteError("garbled_tags", "unknown message")

    def member_changed(self, member: Member, now: float) -> None:
        """Tell somebody who has come what we know."""
        if not self._outlet.reachable(member.name):
            for kept in (self._candidates, self._heard, self._told):
                kept.pop(member.name, None)
        elif self._tags:
            self._tell(member.name, digest(self._tags.values()), now)

    def report(self, now: float) -> bytes:  # noqa: ARG002
        """The digest, when there are tags at all."""
        return digest(self._tags.values()) if self._tags else b""

    def reported(self, sender: str, report: bytes, now: float) -> None:
        """Tell a member with another digest all that we know, and get what it knows."""
        self._heard[sender] = now
        own = digest(self._tags.values())
        if report == own:
            return
        told = self._told.get(sender)
        if told is None or told[:2] != (report, own) or now - told[2] >= AGAIN:
            self._told[sender] = (report, own, now)
            self._tell(sender, own, now)

    def tick(self, now: float) -> None:
        """Let claims count after the start, take over what nobody does, tell who hears no pings."""
        if not self._core.membership.enabled:
            self._pause()
        elif self._settled_at is None:
            self._settled_at = now + (SETTLE if self._core.membership.members else 0.0)
        for held in list(self._tags.values()):
            self._evaluate(held, now)
            if self._settled_at is not None and now >= self._settled_at:
                self._look_after(held, now)
        if self._wanted() != self._said:
            self._said = self._wanted()
            self._outlet.broadcast(("claims", (), self._said, b""), now)
        for node in self._outlet.members() if self._tags else ():
            if now - self._heard.get(node, -SILENCE) >= SILENCE:
                self._heard[node] = now
                self._outlet.send(node, ("digest", digest(self._tags.values())), now)
        if self._unkept:
            self._store()

    def forget(self, node: str, now: float) -> None:
        """A node was put out of the cluster: what it claimed counts no more."""
        for held in self._tags.values():
            if held.claim is not None and held.claim.node == node != self._core.name:
                held.claim = held.signed = None
                self._evaluate(held, now, f"{node} was put out of the cluster")

    def _pause(self) -> None:
        """While this node takes no part others may take over: it begins anew then, as after a start."""
        self._settled_at = None
        for held in self._tags.values():
            held.old = held.holder == self._core.name

    # --- claims -----------------------------------------------------------------------------

    def _say(self, held: Tag, claim: Claim, now: float) -> None:
        """Make a claim of this node, store it, and tell everybody."""
        held.claim, held.signed, held.old = claim, claim.sign(self._core.identity), False
        self._evaluate(held, now)
        self._store()
        self._outlet.broadcast(("claims", (held.signed,), self._wanted(), b""), now)

    def _take(self, claims: Iterable[Any], now: float) -> None:
        """Take what is newer than what is known; raises what was wrong last when all is done."""
        wrong: RemoteError | None = None
        for signed in claims:
            try:
                claim = Claim.read(signed)
                if self._is_news(claim, signed, self._core.wall(now)):
                    held = self._tags.setdefault(claim.tag, Tag(claim.tag))
                    held.claim, held.signed = claim, signed
                    held.old = claim.node == self._core.name  # it had forgotten its own
                    self._evaluate(held, now)
            except RemoteError as error:
                wrong = error
        if wrong is not None:
            raise wrong

    def _is_news(self, claim: Claim, signed: Signed, wall: float) -> bool:
        """Whether a claim replaces the one that is known; raises RemoteError for a forged one."""
        held = self._tags.get(claim.tag)
        if held is not None and held.claim is not None and claim.rank <= held.claim.rank:
            return False
        if claim.stamp > self._clock.horizon(wall):
            raise RemoteError("future_stamp", f"a claim of {claim.tag} by {claim.node}")
        certificate = self._core.membership.certificate_of(claim.node)
        if certificate is None:
            return False  # nobody that is known here can have signed it
        claim.prove(signed, certificate)
        theirs = [1 for tag in self._tags.values() if tag.claim and tag.claim.node == claim.node]
        if held is None and (len(self._tags) >= MAX_TAGS or len(theirs) >= MAX_PER_NODE):
            raise RemoteError("too_many_tags", f"{claim.tag} by {claim.node}")
        return True

    def _evaluate(self, held: Tag, now: float, why: str = "") -> None:
        """Find out what this node is for a tag now; note and tell what has changed."""
        if held.holder != self._core.name:
            held.state = TagState.BACKUP
        elif not self._core.membership.enabled:
            held.state = TagState.DISABLED
        elif held.old and (self._settled_at is None or now < self._settled_at):
            held.state = TagState.PENDING
        else:
            held.state = TagState.ACTIVE
        why = why or reason_of(held.state, held.claim)
        if held.changed():
            wall = self._core.wall(now)
            held.history.append([round(wall, 3), held.state.value, held.holder, why])
            held.lost_at, self._unkept = None, True
            who = f", {held.holder} is active" if held.holder not in ("", self._core.name) else ""
            self._core.events.add(wall, "tag", held.name, f"{held.state.value} here{who}: {why}")
        active = held.state is TagState.ACTIVE
        if active is not held.told:
            held.told = active
            for follower in self._followers.get(held.name, ()):
                try:
                    follower(active, why)
                except Exception:  # noqa: BLE001 - a feature's own; the others must hear of it all the same
                    _log.exception("tag %s: a follower failed", held.name)

    # --- taking over ------------------------------------------------------------------------

    def _look_after(self, held: Tag, now: float) -> None:
        """Claim what this node is configured for, or may take over because nobody is active."""
        plan = self._plans.get(held.name)
        if held.claim is None and plan is not None and plan.active:
            self.claim(held.name, "active by configuration", now)
            return
        # An operator who gives a tag back wants nobody; shield itself wants somebody else.
        released = held.claim is not None and not held.claim.active and ":" not in held.name
        if released or self._in_reach(held.holder):
            held.lost_at = None
            return
        held.lost_at = now if held.lost_at is None else held.lost_at
        if plan is None or not plan.takeover or self._ranked(held.name)[0][1] != self._core.name:
            return
        member = self._core.membership.members.get(held.holder)
        left = member is not None and member.state is MemberState.LEFT
        if left or now - held.lost_at >= plan.takeover:
            how = "has left" if left else f"out of reach for {now - held.lost_at:.1f} s"
            self.claim(held.name, f"{held.holder} {how}" if held.holder else "nobody is active", now)

    def _ranked(self, tag: str) -> list[tuple[int, str]]:
        """Who would take a tag over, the first first."""
        found = [(wanted[tag], node) for node, wanted in self._candidates.items() if tag in wanted]
        found = [(priority, node) for priority, node in found if self._outlet.reachable(node)]
        plan = self._plans.get(tag)
        if plan is not None and plan.takeover:
            found.append((plan.priority, self._core.name))
        return sorted(found)

    def _in_reach(self, node: str) -> bool:
        return node == self._core.name or self._outlet.reachable(node)

    # --- telling and keeping ----------------------------------------------------------------

    def _tell(self, node: str, own: bytes, now: float) -> None:
        claims = tuple(held.signed for held in self._tags.values() if held.signed is not None)
        self._outlet.send(node, ("claims", claims, self._wanted(), own), now)

    def _wanted(self) -> tuple[tuple[str, int], ...]:
        return tuple((tag, plan.priority) for tag, plan in self._plans.items() if plan.takeover)

    def _store(self) -> None:
        """Keep the state; a disk that is full now is asked again later."""
        try:
            self._keep(stored(self._tags.values()))
        except ShieldError as error:
            self._unkept, self.problem = True, str(error)
        else:
            self._unkept, self.problem = False, ""
