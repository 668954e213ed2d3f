"""Conversation: texts between nodes, sent and answered from the command line and from scripts.

The seed of shield was a routing script that broadcast texts, asked nodes and collected their replies;
``shield cluster ask``, ``broadcast`` and ``listen`` are the same. Texts travel in the capability
``script``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shield.cluster.capability import Incoming, SendResult
from shield.cluster.channel import Channel
from shield.cluster.cluster import Cluster
from shield.cluster.messages import Kind
from shield.control.watchers import Watch, Watchers
from shield.errors import InputError, RemoteError

__all__ = ["CAPABILITY", "Conversation"]

CAPABILITY = "script"

MAX_TEXT = 4096
"""Characters of a text, as in the control protocol: a line of a script, not a file."""

MAX_OPEN = 1000
"""Requests that wait for ``reply``; the oldest goes first."""


class Conversation:
    """Texts of one node. Requests get an id under which somebody who listens can reply."""

    def __init__(self) -> None:
        self.watchers = Watchers()
        self.answers: Callable[[str], str | None] = lambda _text: None
        """Gives the reply to a request that needs nobody who listens; None when there is none."""
        self._channel = Channel(CAPABILITY)
        self._channel.on_incoming = self._incoming
        self._cluster: Cluster | None = None
        self._open: dict[int, Incoming] = {}
        self._last = 0

    def join(self, cluster: Cluster) -> None:
        """Take part in a cluster."""
        self._cluster = cluster
        self._channel.outlet = cluster.add(self._channel)

    def part(self) -> None:
        """Take part no more."""
        self._cluster = self._channel.outlet = None
        self._open.clear()

    def listen(self) -> Watch:
        """What others say from now on, as events with ``id``, ``node``, ``kind`` and ``text``."""
        return self.watchers.subscribe(lambda _event: True)

    def broadcast(self, text: str, node: str | None, *, include_self: bool) -> SendResult:
        """Say something to all, or to one node."""
        cluster, body = self._joined(), _checked(text)
        if node is not None:
            return cluster.send(node, CAPABILITY, body)
        return cluster.broadcast(CAPABILITY, body, include_self=include_self)

    async def ask(
        self, text: str, node: str | None, *, seconds: float, include_self: bool
    ) -> dict[str, Any]:
        """Ask all, or one node, and wait for the replies."""
        result, answers = await self._joined().ask(
            CAPABILITY, _checked(text), node=node, timeout=seconds, include_self=include_self
        )
        return {
            "result": result.name.lower(),
            "code": int(result),
            "replies": {name: _shown(body) for name, body in answers.replies.items()},
            "failures": answers.failures,
            "missing": list(answers.missing),
        }

    def reply(self, number: int, text: str, now: float) -> SendResult:
        """Answer a request that was listened to; raises InputError when it is not open."""
        incoming = self._open.pop(number, None)
        outlet = self._channel.outlet
        if incoming is None or outlet is None:
            raise InputError(f"no request {number} is open: replied already, or too old")
        return outlet.reply(incoming, _checked(text), now)

    def _incoming(self, incoming: Incoming, now: float) -> bool:
        number = 0
        if incoming.kind is Kind.REQUEST:
            reply = self.answers(incoming.body) if isinstance(incoming.body, str) else None
            if reply is not None and self._channel.outlet is not None:
                self._channel.outlet.reply(incoming, reply, now)
                return True
            if not self.watchers:
                raise RemoteError("nobody listens on this node")
            self._last += 1
            number = self._last
            self._open[number] = incoming._replace(body=None)  # may have half a megabyte
            if len(self._open) > MAX_OPEN:
                del self._open[next(iter(self._open))]
        kind = "request" if number else "message"
        text = _shown(incoming.body)
        self.watchers.publish({"kind": kind, "id": number, "node": incoming.sender, "text": text})
        return True

    def _joined(self) -> Cluster:
        if self._cluster is None:
            raise InputError("this node is in no cluster (shield cluster init, or join)")
        return self._cluster


def _checked(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise InputError(f"a text is at most {MAX_TEXT} characters long")
    return text


def _shown(body: Any) -> str:
    """A text for a terminal; what a program sent that is none is shown as Python writes it."""
    text = body if isinstance(body, str) else repr(body)
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text[:MAX_TEXT])
