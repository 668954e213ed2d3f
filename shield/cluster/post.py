"""Post: messages of capabilities, from and to this node. How they get to others is the carrier's affair.

The sender of a message is proven before it comes here: by the certificate of a connection, or by the
origin's signature on a parcel.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from shield.cluster.capability import Capability, Incoming, SendResult
from shield.cluster.carrier import Ways
from shield.cluster.member import Member
from shield.cluster.membership import Membership
from shield.cluster.messages import MAX_BODY, Data, Kind, encode_message
from shield.cluster.requests import Answers, Requests
from shield.errors import InputError, RemoteError
from shield.wire import pack_value, unpack_value

__all__ = ["Post", "PostStats"]

ESSENTIAL = frozenset({"cluster", "capabilities"})
"""Capabilities by which nodes manage the cluster itself; they cannot be disabled."""

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class PostStats:
    """Counters of one capability."""

    sent: int = 0
    received: int = 0
    not_sent: int = 0
    """Nobody was reachable, or too much waited already."""
    bytes_sent: int = 0
    """Octets of packed messages, without what a carrier adds."""
    bytes_received: int = 0
    errors: int = 0
    """Messages that made no sense, or met a bug."""


class Post:
    """Sends and delivers for one node. ``start``: the first tag of its requests."""

    def __init__(self, membership: Membership, ways: Ways, start: int) -> None:
        self.capabilities: dict[str, Capability] = {}
        self.stats: dict[str, PostStats] = {}
        self.requests = Requests(start)
        self.errors: Counter[str] = Counter()
        """Messages that were refused, by reason."""
        self.wake: Callable[[], None] = lambda: None
        """Called when there is something to send."""
        self._only: frozenset[str] = frozenset()
        """Capabilities that are enabled from the start; empty: all."""
        self.off: set[str] = set()
        """Capabilities that this node neither sends nor takes."""
        self.refusers: dict[str, frozenset[str]] = {}
        """By member: capabilities that it neither sends nor takes, as it has told."""
        self._membership = membership
        self._ways = ways

    def add(self, capability: Capability) -> None:
        """Let a feature take part; raises ValueError when its name is taken."""
        if capability.name in self.capabilities:
            raise ValueError(f"a capability {capability.name!r} is there already")
        self.capabilities[capability.name] = capability
        self.stats[capability.name] = PostStats()
        self.limit(self._only)

    def limit(self, only: frozenset[str]) -> None:
        """Leave all others disabled, unless ``only`` is empty; those that come later too."""
        self._only = only
        if only:
            self.off |= self.capabilities.keys() - only - ESSENTIAL

    def switch(self, name: str, *, enabled: bool, now: float) -> bool:
        """Enable or disable a capability on this node; False when it was so already.

        Raises InputError for one that is unknown, or that the cluster cannot do without. The capability
        finds the other nodes out of reach from now on, or in reach again.
        """
        if name not in self.capabilities:
            known = ", ".join(sorted(self.capabilities.keys() - ESSENTIAL))
            raise InputError(f"no capability {name[:80]!r}; there are {known}")
        if name in ESSENTIAL:
            raise InputError(f"{name} cannot be disabled: the cluster needs it")
        if enabled is (name not in self.off):
            return False
        (self.off.discard if enabled else self.off.add)(name)
        for member in list(self._membership.members.values()):
            self._try(name, partial(self.capabilities[name].member_changed, member, now))
        return True

    def refuse(self, member: Member, names: frozenset[str], now: float) -> None:
        """A member has told what it takes no part in; for those capabilities it is out of reach."""
        before = self.refusers.pop(member.name, frozenset())
        if names:
            self.refusers[member.name] = names
        for name in before ^ names:
            if capability := self.capabilities.get(name):
                self._try(name, partial(capability.member_changed, member, now))

    def each(self, work: Callable[[Capability], Answer]) -> dict[str, Answer]:
        """Do something with every capability; gives the results of those that did not fail.

        A feature with a bug must stop neither the others nor the timers of the cluster.
        """
        found: dict[str, Answer] = {}
        for name, capability in list(self.capabilities.items()):
            self._try(name, lambda: found.__setitem__(name, work(capability)))  # noqa: B023
        return found

    def _try(self, name: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a feature's own, perhaps a user's
            self._crashed(name, error)

    def _crashed(self, name: str, error: Exception) -> None:
        self.errors[f"{name}: crashed"] += 1
        self.stats[name].errors += 1
        if self.errors[f"{name}: crashed"] == 1:  # whoever can cause it could fill the log
            _log.error("capability %s failed", name, exc_info=error)

    # --- from this node ---------------------------------------------------------------------

    def send(self, node: str, message: Data, now: float) -> SendResult:
        """Send to one node, perhaps this one."""
        return self._send_packed(node, message, None, now)

    def broadcast(self, message: Data, now: float, *, include_self: bool = False) -> SendResult:
        """Send to everybody who can be reached; SENT when at least one got it on its way."""
        if not self._enabled(message.capability):
            return SendResult.LOCAL_DISABLED
        frame = _packed(message)
        if frame is None:
            return self._count(message, SendResult.FAILED)
        results = []
        nodes = self.reachable(message.capability)
        if len(nodes) < len(self.reachable()):
            results += [self._send_packed(node, message, frame, now) for node in nodes]
        elif nodes:
            missed = self._send_to_all(nodes, message, frame, now)
            results.append(SendResult.FAILED if len(missed) == len(nodes) else SendResult.SENT)
        if include_self:
            results.append(self._send_packed(self._membership.name, message, frame, now))
        if not results:
            return self._count(message, SendResult.UNREACHABLE)
        return max(results)

    def ask(
        self,
        nodes: tuple[str, ...],
        capability: str,
        body: Any,
        *,
        timeout: float,
        now: float,
        done: Callable[[Answers], None],
    ) -> SendResult:
        """Ask nodes; ``done`` gets the answers once, at the latest after ``timeout`` seconds.

        It is not called when the result is not SENT.
        """
        if not self._enabled(capability):
            return SendResult.LOCAL_DISABLED
        tag = self.requests.open(nodes, timeout, now, done)
        if tag is None:
            return SendResult.FAILED
        message = Data(capability, Kind.REQUEST, tag, body)
        frame = _packed(message)
        if frame is None or not nodes:
            self.requests.cancel(tag)
            return SendResult.UNREACHABLE if frame is not None else SendResult.FAILED
        sent = {node for node in nodes if self.can_reach(node, capability) or node == self.name}
        if not sent:
            self.requests.cancel(tag)
            return SendResult.UNREACHABLE
        # Everybody is one message where the carrier can do that.
        everybody = set(sent) - {self.name} == set(self.reachable()) and len(sent) > 1
        if everybody:
            for node in self._send_to_all(self.reachable(), message, frame, now):
                self.requests.not_sent(tag, node)
        for node in nodes:
            if everybody and node in sent and node != self.name:
                continue
            if self._send_packed(node, message, frame, now) is not SendResult.SENT:
                self.requests.not_sent(tag, node)
        return SendResult.SENT

    def reachable(self, capability: str = "") -> tuple[str, ...]:
        """Everybody who can be reached and takes part, perhaps in a capability, without this node."""
        return tuple(name for name in self._membership.routes if self.can_reach(name, capability))

    def can_reach(self, node: str, capability: str = "") -> bool:
        """Whether a message can get to the node, perhaps one of a capability."""
        if not self._membership.reachable(node) or capability in self.off:
            return False
        return capability not in self.refusers.get(node, ())

    def _enabled(self, capability: str) -> bool:
        return self._membership.enabled and capability not in self.off

    def knows(self, node: str) -> bool:
        """Whether the node is a member, in reach or not."""
        return node in self._membership.members

    @property
    def name(self) -> str:
        """Name of this node."""
        return self._membership.name

    def _send_packed(self, node: str, message: Data, frame: bytes | None, now: float) -> SendResult:
        if not self._enabled(message.capability):
            return SendResult.LOCAL_DISABLED
        if node == self.name:
            # Through the codec, so that a capability sees the same from itself as from others.
            self.deliver(node, message._replace(body=unpack_value(pack_value(message.body))), now)
            return SendResult.SENT
        if not self.can_reach(node, message.capability):
            return self._count(message, SendResult.UNREACHABLE)
        frame = frame or _packed(message)
        if frame is None:
            return self._count(message, SendResult.FAILED)
        result = self._ways.send(node, message, frame, now)
        self.wake()
        return self._count(message, result, len(frame))

    def _send_to_all(
        self, nodes: tuple[str, ...], message: Data, frame: bytes, now: float
    ) -> Collection[str]:
        """Send to all who can be reached; gives those whom it does not get to."""
        missed = self._ways.broadcast(nodes, message, frame, now)
        self.wake()
        if stats := self.stats.get(message.capability):
            stats.sent += len(nodes) - len(missed)
            stats.bytes_sent += (len(nodes) - len(missed)) * len(frame)
            stats.not_sent += len(missed)
        return missed

    def _count(self, message: Data, result: SendResult, size: int = 0) -> SendResult:
        if stats := self.stats.get(message.capability):
            if result is SendResult.SENT:
                stats.sent += 1
                stats.bytes_sent += size
            else:
                stats.not_sent += 1
        return result

    # --- to this node -----------------------------------------------------------------------

    def reports(self, now: float) -> dict[str, bytes]:
        """What each capability wants the others to know, for a sign of life."""
        found = self.each(lambda capability: capability.report(now))
        return {name: report for name, report in found.items() if report and name not in self.off}

    def reported(self, sender: str, reports: dict[str, bytes], now: float) -> None:
        """Give what came with a sign of life to its capabilities."""
        for name, report in reports.items():
            if (capability := self.capabilities.get(name)) and self.can_reach(sender, name):
                capability.reported(sender, report, now)

    def deliver(self, sender: str, message: Data, now: float, size: int = 0) -> None:
        """Give a message to its capability, or an answer to its question. ``size``: octets, packed."""
        if not self._membership.enabled:
            self.errors["local_disabled"] += 1
            return
        try:
            kind = Kind(message.kind)
        except ValueError:
            raise RemoteError("shape", f"Data: kind {message.kind}") from None
        if kind in (Kind.REPLY, Kind.FAILURE):
            self.requests.answer(sender, kind, message.tag, message.body)
            return
        capability = self.capabilities.get(message.capability)
        incoming = Incoming(sender, kind, message.tag, message.body)
        if capability is None:
            self.errors["no_capability"] += 1
            self.fail(message.capability, incoming, "no such capability", now)
            return
        if message.capability in self.off:
            self.errors[f"{message.capability}: disabled"] += 1
            self.fail("cluster", incoming, f"{message.capability} is disabled here", now)
            return
        stats = self.stats[message.capability]
        stats.received += 1
        stats.bytes_received += size
        try:
            capability.receive(incoming, now)
        except RemoteError as error:
            stats.errors += 1
            self.errors[f"{message.capability}: {error.reason}"] += 1
            self.fail(message.capability, incoming, str(error), now)
        except Exception as error:  # noqa: BLE001 - see each
            self._crashed(message.capability, error)
            self.fail(message.capability, incoming, "failed", now)

    def fail(self, capability: str, incoming: Incoming, why: str, now: float) -> SendResult:
        """Tell somebody who asked that it could not be done; nothing for a message without question."""
        if incoming.kind is not Kind.REQUEST:
            return SendResult.FAILED
        return self.send(incoming.sender, Data(capability, Kind.FAILURE, incoming.tag, why[:200]), now)


def _packed(message: Data) -> bytes | None:
    """The frame, or None when the body cannot be sent."""
    try:
        frame = encode_message(message)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    return frame if len(frame) <= MAX_BODY else None
