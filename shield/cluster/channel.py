"""Channel: a capability made of plain functions, for features of a few lines."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from shield.cluster.capability import Incoming, Outlet, SendResult
from shield.cluster.member import Member
from shield.cluster.messages import Kind
from shield.errors import RemoteError

__all__ = ["Channel", "Listener", "Responder"]

Listener = Callable[[Any, str], None]
"""Takes the body of a message and its sender."""
Responder = Callable[[Any, str], Any]
"""Takes the body of a request and its sender, gives the reply; an exception becomes a failure."""

_log = logging.getLogger(__name__)


class Channel:
    """Messages and requests of one name. ``outlet`` is set when it joins a cluster."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.outlet: Outlet | None = None
        self.on_message: Listener = lambda _body, _sender: None
        self.on_request: Responder | None = None
        self.on_incoming: Callable[[Incoming, float], bool] = lambda _incoming, _now: False
        """Sees everything first; True when it has taken care of it."""
        self.on_member: Callable[[Member], None] = lambda _member: None

    def message(self, listener: Listener) -> Listener:
        """Call this for each message (a decorator)."""
        self.on_message = listener
        return listener

    def request(self, responder: Responder) -> Responder:
        """Answer requests with what this gives (a decorator)."""
        self.on_request = responder
        return responder

    def send(self, node: str, body: Any, now: float) -> SendResult:
        """Send to one node."""
        return SendResult.LOCAL_DISABLED if self.outlet is None else self.outlet.send(node, body, now)

    def broadcast(self, body: Any, now: float, *, include_self: bool = False) -> SendResult:
        """Send to everybody who can be reached."""
        if self.outlet is None:
            return SendResult.LOCAL_DISABLED
        return self.outlet.broadcast(body, now, include_self=include_self)

    # --- as a capability --------------------------------------------------------------------

    def receive(self, incoming: Incoming, now: float) -> None:
        """Hand a message to its function."""
        if self.on_incoming(incoming, now):
            return
        try:
            if incoming.kind is Kind.MESSAGE:
                self.on_message(incoming.body, incoming.sender)
                return
            if self.on_request is None:
                raise RemoteError("no_answer", "nobody answers here")
            reply = self.on_request(incoming.body, incoming.sender)
        except RemoteError:
            raise
        except Exception as error:  # the function is the user's; the cluster must go on
            _log.exception("channel %s failed", self.name)
            raise RemoteError("handler_failed", repr(error)) from error
        if self.outlet is not None:
            self.outlet.reply(incoming, reply, now)

    def member_changed(self, member: Member, now: float) -> None:  # noqa: ARG002
        """Tell who follows members."""
        self.on_member(member)

    def report(self, now: float) -> bytes:  # noqa: ARG002
        """Nothing to report."""
        return b""

    def reported(self, sender: str, report: bytes, now: float) -> None:
        """Nothing is reported."""

    def tick(self, now: float) -> None:
        """Nothing to do."""
