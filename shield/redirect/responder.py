"""Responder: a request in, a final answer out. No state is kept between two messages.

INVITE, REGISTER, OPTIONS, SUBSCRIBE and MESSAGE are answered with 302 and one Contact, the server at
which the user is registered or the conference runs, or with 404. The asking proxy follows it. Answers
are made as RFC 3261 section 8.2.6 says and without a transaction (section 8.2.7): a request that comes
again is answered again, with the same To tag; an ACK ends there. An answer is hardly longer than its
request, so nobody gains by forging his address.

Sans-IO: bytes and addresses in, bytes out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from shield.errors import RemoteError
from shield.location.registration import aor_of
from shield.net import Network, Transport, unpack
from shield.redirect.settings import DEFAULT_PORT, RedirectSettings
from shield.sip.headers import parse_vias
from shield.sip.message import Request, parse_message

__all__ = ["HERE", "Answer", "Finder", "Responder", "Target"]

METHODS = frozenset({b"INVITE", b"REGISTER", b"OPTIONS", b"SUBSCRIBE", b"MESSAGE"})
COPIED = frozenset({b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Record-Route", b"Timestamp"})
"""Header fields that an answer takes from its request."""
MAX_ASKERS = 4_096
"""Addresses whose questions are counted in one second."""
REASONS = {
    200: b"OK",
    302: b"Moved Temporarily",
    404: b"Not Found",
    405: b"Method Not Allowed",
}


class Target(NamedTuple):
    """Where somebody is to be found."""

    server: str
    """``host``, ``host:port`` or a SIP URI."""
    transport: str
    """``udp``, ``tcp``, ``tls``, ``ws`` or ``wss``."""


HERE = Target("", "")
"""The asking server itself is to deal with it, whatever the finders after this one know."""


class Answer(NamedTuple):
    """An answer and where it goes; over TCP back on the connection."""

    payload: bytes
    address: bytes
    port: int


Finder = Callable[[bytes, float], Target | None]
"""Asked for an address-of-record (``user@host``) at node time."""


class Responder:
    """See the module's docstring. ``finders`` are asked in their order; ``salt`` makes To tags.

    ``ours``: whether an address is one of our own servers, which may ask whatever is configured.
    """

    def __init__(
        self,
        settings: RedirectSettings,
        finders: Sequence[Finder],
        *,
        salt: bytes,
        ours: Callable[[bytes], bool] = lambda _source: False,
    ) -> None:
        self.settings = settings
        self.answers: Counter[int] = Counter()
        """Answers by status."""
        self.ignored: Counter[str] = Counter()
        """What was not answered, by reason."""
        self._finders = finders
        self._salt, self._ours = salt, ours
        self._allowed = [Network.parse(text) for text in settings.allow]
        self._second = 0
        self._asked: Counter[bytes] = Counter()

    def receive(
        self, payload: bytes, source: bytes, port: int, transport: Transport, now: float
    ) -> Answer | None:
        """Answer one message; None when it gets none."""
        if not self._may_ask(source, now):
            return None
        if not payload.strip(b"\r\n\0"):
            return None  # a keepalive
        try:
            message = parse_message(payload)
        except RemoteError as error:
            self.ignored[error.reason] += 1
            return None
        if not isinstance(message, Request):
            self.ignored["response"] += 1
            return None
        if message.method in (b"ACK", b"CANCEL"):
            self.ignored["ack"] += 1  # an answer to an INVITE was final already
            return None
        return self._answer(message, source, port, transport, now)

    def _may_ask(self, source: bytes, now: float) -> bool:
        if not self._ours(source):
            host = Network.host(source)
            if not any(network.contains(host) for network in self._allowed):
                self.ignored["not_allowed"] += 1
                return False
        if int(now) != self._second:
            self._second = int(now)
            self._asked.clear()
        if len(self._asked) < MAX_ASKERS or source in self._asked:
            self._asked[source] += 1
        if self._asked[source] > self.settings.rate:
            self.ignored["rate"] += 1
            return False
        return True

    def _answer(
        self, request: Request, source: bytes, port: int, transport: Transport, now: float
    ) -> Answer | None:
        try:
            vias = parse_vias(b",".join(request.all(b"Via")))
        except RemoteError:
            vias = []
        if not vias or not request.call_id or not request.cseq:
            self.ignored["no_via"] += 1  # nobody to send an answer to
            return None
        status, more = self._judge(request, now)
        self.answers[status] += 1
        first = [b"SIP/2.0 %d %s" % (status, REASONS[status]), *more]
        payload = _reply(request, first, self._tag(request), (source, port))
        if transport is not Transport.UDP or b"rport" in vias[0].params:
            return Answer(payload, source, port)
        return Answer(payload, source, vias[0].port or DEFAULT_PORT)  # RFC 3261 section 18.2.2

    def _judge(self, request: Request, now: float) -> tuple[int, list[bytes]]:
        if request.method not in METHODS:
            return 405, [b"Allow: " + b", ".join(sorted(METHODS | {b"ACK", b"CANCEL"}))]
        wanted = request.to if request.method == b"REGISTER" else request.uri
        aor = aor_of(wanted)
        if aor is None:
            # Without a user it is a proxy that asks whether somebody is here.
            return (200, []) if request.method == b"OPTIONS" else (404, [])
        for find in self._finders:
            target = find(aor, now)
            if target is HERE:
                break
            if target is not None:
                return 302, [b"Contact: <" + contact_uri(aor, target) + b">"]
        return 404, []

    def _tag(self, request: Request) -> bytes:
        """The same for a request that comes again."""
        digest = blake2b(digest_size=8, key=self._salt)
        for part in (request.call_id, request.from_, request.branch, request.cseq):
            digest.update(len(part).to_bytes(4, "big") + part)
        return digest.hexdigest().encode()

    def as_json(self) -> dict[str, dict[str, int]]:
        """Counters."""
        return {
            "answers": {str(status): count for status, count in sorted(self.answers.items())},
            "ignored": dict(self.ignored),
        }


def contact_uri(aor: bytes, target: Target) -> bytes:
    """URI of a user at a server."""
    user = escape_user(aor.rpartition(b"@")[0])
    server = target.server.encode()
    scheme, sip, rest = server.partition(b":")
    if sip and scheme.lower() in (b"sip", b"sips"):
        host = rest.rpartition(b"@")[2]
        return scheme.lower() + b":" + user + b"@" + host
    transport = "" if target.transport == "udp" else f";transport={_TRANSPORTS[target.transport]}"
    return b"sip:" + user + b"@" + server + transport.encode()


_TRANSPORTS = {"tcp": "tcp", "tls": "tls", "ws": "ws", "wss": "ws"}
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()&=+$,;?/")
"""RFC 3261 section 25.1: unreserved and user-unreserved."""


def escape_user(user: bytes) -> bytes:
    """User part of a URI: everything else as ``%XX``."""
    return b"".join(bytes((o,)) if o in _PLAIN else b"%%%02X" % o for o in user)


def _reply(request: Request, first: Sequence[bytes], tag: bytes, seen: tuple[bytes, int]) -> bytes:
    """An answer; ``first`` are its start line and further lines, ``seen`` whom the request came from."""
    lines, top = list(first), True
    for name, value in request.headers:
        if name not in COPIED:
            continue
        kept = value
        if name == b"Via" and top:
            top, kept = False, _seen_from(value, *seen)
        elif name == b"To" and b"tag=" not in value.lower():
            kept = value + b";tag=" + tag
        lines.append(name + b": " + kept)
    return b"\r\n".join([*lines, b"Server: shield", b"Content-Length: 0", b"", b""])


def _seen_from(via: bytes, source: bytes, port: int) -> bytes:
    """Topmost Via with the address that the request came from (RFC 3261 18.2.1, RFC 3581 section 4)."""
    top, comma, others = via.partition(b",")
    host = unpack(source).encode()
    parts = [part.strip() for part in top.split(b";")]
    kept = [part for part in parts if not part.lower().startswith(b"received=")]
    kept = [b"rport=%d" % port if part.lower().partition(b"=")[0] == b"rport" else part for part in kept]
    return b";".join([*kept, b"received=" + host]) + comma + others
