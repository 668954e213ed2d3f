"""Call: one call and its dialogs, as ``shield.sip.dialogs`` keeps them."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from shield.net import Transport
from shield.sip.event import SipEvent
from shield.sip.uri import fast_user

__all__ = ["Call", "State"]


class State(StrEnum):
    """How far a call or a dialog is."""

    TRYING = "trying"
    """No dialog yet; a call that is challenged (401, 407) waits here for credentials."""
    RINGING = "ringing"
    """Early dialog."""
    ANSWERED = "answered"
    """Confirmed dialog."""
    ENDED = "ended"
    """Was answered and is over."""
    FAILED = "failed"
    """Is over and was never answered."""


class Call:
    """One call. Times are event times, 0.0 for what has not happened.

    What most calls never have stands in the class: one is made for each INVITE, of attackers too.
    """

    rang = answered = ended = 0.0
    status = 0
    """Final status of the INVITE, 0 before it and while it waits for credentials."""
    source = server = b""
    """Packed addresses of the caller and of the server that was asked."""
    port = 0
    server_port, transport = 5060, Transport.UDP
    """Where the server was asked; of an answered call."""
    account = b""
    """User name of the credentials, without a domain."""
    incomplete = False
    """Some of its messages were not seen: the caller is banned, or the end did not come."""
    counted: tuple[bytes, bytes] | None = None
    """Under which source and account it counts as one of the calls at once."""
    follow: Callable[[Call], None] | None = None
    """Told of each change."""
    _invite: SipEvent | None = None
    _named = (b"", b"", b"")

    def __init__(self, call_id: bytes, tag: bytes, time: float) -> None:
        self.call_id, self.tag = call_id, tag
        self.started = self.seen = time
        self.dialogs: dict[bytes, State] = {}
        """State by To tag."""

    @property
    def state(self) -> State:
        """How far the call is: as far as the dialog that came farthest."""
        if self.ended:
            return State.ENDED if self.answered else State.FAILED
        if self.answered:
            return State.ANSWERED
        return State.RINGING if self.rang else State.TRYING

    @property
    def caller(self) -> bytes:
        """User part of From."""
        return self._names()[0]

    @property
    def called(self) -> bytes:
        """User part of the Request-URI."""
        return self._names()[1]

    @property
    def agent(self) -> bytes:
        """User-Agent of the caller."""
        return self._names()[2]

    def duration(self, time: float) -> float:
        """Seconds from the answer to the end, or to ``time``."""
        return max(0.0, (self.ended or time) - self.answered) if self.answered else 0.0

    def begin(self, event: SipEvent) -> None:
        """Take over what the INVITE says; it is kept until ``settle``, and only then read."""
        self.source, self.port, self.server = event.client, event.client_port, event.server
        self._invite = event

    def named(self, caller: bytes, called: bytes) -> None:
        """Name who calls whom, where there is no INVITE to be read."""
        self._named = (caller, called, b"")

    def settle(self) -> None:
        """Let go of the INVITE: the call may last for hours."""
        event = self._invite
        if event is not None:
            self.server_port, self.transport = event.server_port, event.transport
        self._named, self._invite = self._names(), None

    def _names(self) -> tuple[bytes, bytes, bytes]:
        event = self._invite
        if event is None or event.request is None:
            return self._named
        return fast_user(event.request.from_) or b"", event.user, event.request.agent or b""
