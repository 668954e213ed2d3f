"""Post: messages of capabilities, from and to this node. How they get to others is the carrier's affair.

The sender of a message is proven before it comes here: by the certificate of a connection, or by the
origin's signature on a parcel.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

from shield.cluster.capability import Capability, Incoming, SendResult
from shield.cluster.carrier import Ways
from shield.cluster.membership import Membership
from shield.cluster.messages import MAX_BODY, Data, Kind, encode_message
from shield.cluster.requests import Answers, Requests
from shield.errors import RemoteError
from shield.wire import pack_value, unpack_value

__all__ = ["Post", "PostStats"]

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class PostStats:
    """Counters of one capability."""

    sent: int = 0
    received: int = 0
    not_sent: int = 0
    """Nobody was reachable, or too much waited already."""


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
        self._membership = membership
        self._ways = ways

    def add(self, capability: Capability) -> None:
        """Let a feature take part; raises ValueError when its name is taken."""
        if capability.name in self.capabilities:
            raise ValueError(f"a capability {capability.name!r} is there already")
        self.capabilities[capability.name] = capability
        self.stats[capability.name] = PostStats()

    def each(self, work: Callable[[Capability], Answer]) -> dict[str, Answer]:
        """Do something with every capability; gives the results of those that did not fail.

        A feature with a bug must stop neither the others nor the timers of the cluster.
        """
        found = {}
        for name, capability in list(self.capabilities.items()):
            try:
                found[name] = work(capability)
            except Exception as error:  # noqa: BLE001 - a feature's own, perhaps a user's
                self._crashed(name, error)
        return found

    def _crashed(self, name: str, error: Exception) -> None:
        self.errors[f"{name}: crashed"] += 1
        if self.errors[f"{name}: crashed"] == 1:  # whoever can cause it could fill the log
            _log.error("capability %s failed", name, exc_info=error)

    # --- from this node ---------------------------------------------------------------------

    def send(self, node: str, message: Data, now: float) -> SendResult:
        """Send to one node, perhaps this one."""
        return self._send_packed(node, message, None, now)

    def broadcast(self, message: Data, now: float, *, include_self: bool = False) -> SendResult:
        """Send to everybody who can be reached; SENT when at least one got it on its way."""
        if not self._membership.enabled:
            return SendResult.LOCAL_DISABLED
        frame = _packed(message)
        if frame is None:
            return self._count(message, SendResult.FAILED)
        results = []
        if nodes := self.reachable():
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
        if not self._membership.enabled:
            return SendResult.LOCAL_DISABLED
        tag = self.requests.open(nodes, timeout, now, done)
        if tag is None:
            return SendResult.FAILED
        message = Data(capability, Kind.REQUEST, tag, body)
        frame = _packed(message)
        if frame is None or not nodes:
            self.requests.cancel(tag)
            return SendResult.UNREACHABLE if frame is not None else SendResult.FAILED
        sent = {node for node in nodes if self._membership.reachable(node) or node == self.name}
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

    def reachable(self) -> tuple[str, ...]:
        """Everybody who can be reached and takes part, without this node."""
        membership = self._membership
        return tuple(name for name in membership.routes if membership.reachable(name))

    def can_reach(self, node: str) -> bool:
        """Whether a message can get to the node."""
        return self._membership.reachable(node)

    def knows(self, node: str) -> bool:
        """Whether the node is a member, in reach or not."""
        return node in self._membership.members

    @property
    def name(self) -> str:
        """Name of this node."""
        return self._membership.name

    def _send_packed(self, node: str, message: Data, frame: bytes | None, now: float) -> SendResult:
        membership = self._membership
        if not membership.enabled:
            return SendResult.LOCAL_DISABLED
        if node == membership.name:
            # Through the codec, so that a capability sees the same from itself as from others.
            self.deliver(node, message._replace(body=unpack_value(pack_value(message.body))), now)
            return SendResult.SENT
        if not membership.reachable(node):
            return self._count(message, SendResult.UNREACHABLE)
        frame = frame or _packed(message)
        if frame is None:
            return self._count(message, SendResult.FAILED)
        result = self._ways.send(node, message, frame, now)
        self.wake()
        return self._count(message, result)

    def _send_to_all(
        self, nodes: tuple[str, ...], message: Data, frame: bytes, now: float
    ) -> Collection[str]:
        """Send to all who can be reached; gives those whom it does not get to."""
        missed = self._ways.broadcast(nodes, message, frame, now)
        self.wake()
        if stats := self.stats.get(message.capability):
            stats.sent += len(nodes) - len(missed)
            stats.not_sent += len(missed)
        return missed

    def _count(self, message: Data, result: SendResult) -> SendResult:
        if stats := self.stats.get(message.capability):
            if result is SendResult.SENT:
                stats.sent += 1
            else:
                stats.not_sent += 1
        return result

    # --- to this node -----------------------------------------------------------------------

    def deliver(self, sender: str, message: Data, now: float) -> None:
        """Give a message to its capability, or an answer to its question."""
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
        self.stats[message.capability].received += 1
        try:
            capability.receive(incoming, now)
        except RemoteError as error:
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
