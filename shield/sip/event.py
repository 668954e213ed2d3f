"""SipEvent: what happened between a client and a server, as rules see it.

RFC 3261 calls the side that sends a request the client and the side that answers it the server.
Over UDP the client's address may be forged; ``proofs`` says which signs there are that it is not.
"""

from __future__ import annotations

from enum import IntEnum

from shield.net import Datagram, Transport
from shield.sip.headers import fast_tag
from shield.sip.message import Request, Response
from shield.sip.uri import fast_host, fast_user

__all__ = ["NONCE", "TCP", "TO_TAG", "Kind", "SipEvent", "proof_names"]

NONCE = 1
"""Credentials with a nonce that was sent to this client's address and to no other."""
TO_TAG = 2
"""A To tag made by the callee, relayed to this client only, came back in ACK."""
TCP = 4
"""The TCP handshake was seen."""


class Kind(IntEnum):
    """What a SipEvent tells."""

    REQUEST = 0
    """A new request (ACK and CANCEL too)."""
    RETRANSMISSION = 1
    """The same request again (same branch and CSeq, RFC 3261 section 17.2.3)."""
    ANSWER = 2
    """Final status of a request without credentials; a challenge (401, 407) is none."""
    REFUSED = 3
    """Credentials were refused: 403, or a challenge again although the nonce was fresh."""
    ACCEPTED = 4
    """Credentials were accepted."""
    ABANDONED = 5
    """A challenge stayed without credentials; ``status`` is the challenge's."""
    PROGRESS = 6
    """A call without credentials reached its callee: 180 to 183."""
    COMPLETED = 7
    """ACK for a 2xx with its To tag: an answered call."""
    MALFORMED = 8
    """A message that breaks RFC 3261; ``request`` is None when nothing could be read."""


def proof_names(bits: int) -> tuple[str, ...]:
    """Names of the signs in a set of proof bits, as rule files spell them."""
    return tuple(name for bit, name in ((NONCE, "nonce"), (TO_TAG, "totag"), (TCP, "tcp")) if bits & bit)


class SipEvent:
    """One thing that happened; ``user`` and the tags are worked out when first asked for."""

    __slots__ = (
        "_user", "answers_challenge", "auth", "client", "client_port", "foreign_nonce", "kind",
        "payload", "proofs", "repeat", "request", "response", "server", "server_port", "status",
        "time", "transport",
    )  # fmt: skip

    kind: Kind
    time: float
    """Event time, seconds since the epoch."""
    client: bytes
    """Packed address of the side that sent the request."""
    server: bytes
    transport: Transport
    request: Request | None
    response: Response | None
    status: int
    """Status of the response, 0 before there is one."""
    proofs: int
    """Bits of NONCE, TO_TAG, TCP: signs that ``client`` is not forged, for this very request."""
    repeat: bool
    """A refused try that a client makes by itself with its stored password: same Call-ID, same
    From tag, rising CSeq."""
    answers_challenge: bool
    """The credentials follow a challenge in the same Call-ID: with its nonce, or ignoring it. When
    they are challenged again the password was wrong, not the nonce old."""
    foreign_nonce: bool
    """The credentials carry a nonce that was sent to another address: a sign of forging."""
    auth: tuple[bytes, bytes, bytes] | None
    """User name, nonce and response of the credentials."""
    payload: bytes
    """The bytes, for a message that could not be read; else empty."""

    def __init__(self, kind: Kind, datagram: Datagram, request: Request | None) -> None:
        self.kind = kind
        (
            self.time,
            self.client,
            self.client_port,
            self.server,
            self.server_port,
            self.transport,
            self.payload,
            connected,
        ) = datagram
        self.request = request
        if request is not None:
            self.payload = b""
        self.response = None
        self.status = 0
        self.proofs = TCP if connected else 0
        self.repeat = False
        self.answers_challenge = False
        self.foreign_nonce = False
        self.auth = None
        self._user: bytes | None = None

    def then(self, kind: Kind, time: float, response: Response | None, status: int) -> SipEvent:
        """Make a later event of the same request."""
        # One by one and not in a loop: this runs for each answered request.
        event = SipEvent.__new__(SipEvent)
        event.client, event.client_port = self.client, self.client_port
        event.server, event.server_port = self.server, self.server_port
        event.transport, event.payload = self.transport, self.payload
        event.request, event.auth = self.request, self.auth
        event.proofs, event.repeat = self.proofs, self.repeat
        event.answers_challenge, event.foreign_nonce = self.answers_challenge, self.foreign_nonce
        event._user = self._user
        event.kind = kind
        event.time = time
        event.response = response
        event.status = status
        return event

    @property
    def method(self) -> bytes:
        """Method of the request, empty when it could not be read."""
        return self.request.method if self.request is not None else b""

    @property
    def user(self) -> bytes:
        """Who is asked for: user part of To for REGISTER, of the Request-URI otherwise."""
        user = self._user
        if user is None:
            request = self.request
            if request is None:
                user = b""
            elif request.method == b"REGISTER":
                user = fast_user(request.to) or b""
            else:
                user = fast_user(request.uri) or b""
            self._user = user
        return user

    @property
    def tag(self) -> bytes:
        """From tag, empty when missing."""
        request = self.request
        if request is None:
            return b""
        tag = request.tag
        if tag is None:
            tag = request.tag = fast_tag(request.from_) or b""
        return tag

    @property
    def branch(self) -> bytes:
        """Branch of the topmost Via, empty when missing."""
        return self.request.branch if self.request is not None else b""

    @property
    def domain(self) -> bytes:
        """Host of the Request-URI, lower case."""
        return (fast_host(self.request.uri) or b"") if self.request is not None else b""
