"""Tracker: pairs responses with requests and tells what became of each request.

It answers, per request: the final status, whether credentials were accepted or refused, whether
the nonce in them was sent to this client and to nobody else, whether a challenge was taken up, and
whether a 2xx was acknowledged with the To tag that came with it. Everything is bounded; what is
forgotten early is counted.

Sans-IO: messages and event time go in, SipEvents come out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from shield.errors import InputError, RemoteError
from shield.net import Datagram, pack
from shield.sip.event import NONCE, TO_TAG, Kind, SipEvent
from shield.sip.grammar import split_values
from shield.sip.headers import fast_auth, fast_branch, fast_tag, parse_challenge, parse_via
from shield.sip.message import Request, Response
from shield.sip.recent import RecentMap
from shield.sip.servers import Servers

__all__ = ["Tracker", "TrackerStats"]

TRANSACTION_TIME = 32.0
"""Timer B and F of RFC 3261 (64 * T1): after this a client has given up."""
MAX_TRANSACTIONS = 65_536
MAX_DIALOGS = 32_768
"""Call-IDs with a challenge or credentials under way."""
DIALOG_TIME = 600.0
"""Phones with an old password come back after up to two minutes with the same Call-ID."""
MAX_NONCES = 65_536
NONCE_TIME = 3_600.0
"""Servers let nonces live from seconds to an hour."""
MAX_TAGS = 16_384
TAG_PREFIX = 12
"""Kamailio's own To tags share 33 characters; random ones rarely share two or three."""
CHALLENGE_GRACE = 3.0
"""A phone answers a challenge within a round trip; lost packets are repeated after 0.5, 1 and
2 s (timer E), so three seconds after the last challenge nobody is still about to answer."""
NONCE_FRESH = 30.0
"""A nonce older than this may have expired at the server: its refusal is no wrong password."""
MAX_REALMS = 4
"""Realms that may challenge one Call-ID before every further challenge counts as a refusal: a chain
of proxies has two or three, and some servers take the realm from what the client sent."""

_SHARED = b""
_CHALLENGES = (b"WWW-Authenticate", b"Proxy-Authenticate")
_CREDENTIALS = (b"Authorization", b"Proxy-Authorization")
_ANSWER_CODES_AFTER_LOGIN = frozenset({408, 480, 486, 487, 600, 603})
"""A call with credentials that ends so was let through to its callee."""


@dataclass(slots=True)
class TrackerStats:
    """What could not be paired."""

    unmatched_responses: int = 0
    stray_responses: int = 0
    """Responses from another address than the request went to."""
    abandoned: int = 0
    unwatched_challenges: int = 0
    """Challenges whose taking up was not watched to the end because there were too many."""


class _Dialog:
    """What is remembered of one Call-ID of one client while it authenticates."""

    __slots__ = (
        "attempts",
        "challenge",
        "cseq",
        "deadline",
        "issued",
        "nonces",
        "realms",
        "tag",
        "unused",
    )

    def __init__(self, cseq: int, tag: bytes) -> None:
        self.cseq = cseq
        self.tag = tag
        self.attempts = 0
        self.nonces: tuple[bytes, ...] = ()
        """Those of the latest challenge."""
        self.realms: tuple[bytes, ...] = ()
        """All that challenged so far."""
        self.issued = 0.0
        self.unused = False
        self.challenge: SipEvent | None = None
        self.deadline = 0.0


class Tracker:
    """Follows the transactions of all clients; see the module's docstring."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.stats = TrackerStats()
        self._pending: RecentMap[tuple[bytes, bytes, bytes, bytes], SipEvent] = RecentMap(
            MAX_TRANSACTIONS, TRANSACTION_TIME
        )
        self._dialogs: RecentMap[tuple[bytes, bytes], _Dialog] = RecentMap(MAX_DIALOGS, DIALOG_TIME)
        self._answered: RecentMap[tuple[bytes, bytes], bytes] = RecentMap(MAX_DIALOGS, TRANSACTION_TIME)
        self._nonces: RecentMap[bytes, bytes] = RecentMap(MAX_NONCES, NONCE_TIME)
        self._tags: RecentMap[bytes, bytes] = RecentMap(MAX_TAGS, DIALOG_TIME)
        self._challenges: deque[tuple[float, tuple[bytes, bytes]]] = deque(maxlen=MAX_DIALOGS)

    @property
    def forgotten(self) -> int:
        """Entries that were dropped before their time because a table was full."""
        maps = (self._pending, self._dialogs, self._answered, self._nonces, self._tags)
        return sum(table.dropped for table in maps) + self.stats.unwatched_challenges

    def request(self, datagram: Datagram, request: Request) -> SipEvent:
        """Take a request; gives its REQUEST, RETRANSMISSION or COMPLETED event."""
        branch = fast_branch(request.via) or b""
        if request.method == b"ACK":
            return self._ack(SipEvent(Kind.REQUEST, datagram, request, branch))
        key = (datagram.source, request.call_id, request.cseq.lstrip(b"0"), branch)
        if self._pending.get(key) is not None:
            return SipEvent(Kind.RETRANSMISSION, datagram, request, branch)
        event = SipEvent(Kind.REQUEST, datagram, request, branch)
        self._pending.put(key, event)
        fields = request.fields
        if b"Authorization" in fields or b"Proxy-Authorization" in fields:
            self._credentials(event, request)
        if event.client not in self.servers.known:
            self._relay(event, request)
        return event

    def response(self, datagram: Datagram, response: Response) -> SipEvent | None:
        """Take a response; gives the event that it makes of its request, if any."""
        branch = fast_branch(response.via) or b""
        # Some servers write the CSeq number anew, without the zeros that a client put before it.
        cseq = response.cseq.lstrip(b"0")
        event = self._pending.get((datagram.destination, response.call_id, cseq, branch))
        if event is None or event.server != datagram.source:
            self._unpaired(event)
            return None
        status = response.status
        if status < 200:
            return self._provisional(event, response, datagram.time)
        if event.status:
            self._challenged_again(event, status, datagram.time)
            return None
        event.status = status
        if event.client not in self.servers.known:
            self.servers.answered(event.server, event.client, event.method)
        if status in (401, 407):
            return self._challenged(event, response, datagram.time)
        return self._final(event, response, datagram.time)

    def tick(self, time: float) -> list[SipEvent]:
        """Let event time pass; gives ABANDONED events for challenges that nobody took up."""
        for table in (self._pending, self._dialogs, self._answered, self._nonces, self._tags):
            table.tick(time)
        events: list[SipEvent] = []
        queue = self._challenges
        while queue and queue[0][0] <= time:
            _, key = queue.popleft()
            dialog = self._dialogs.get(key)
            if dialog is None or dialog.challenge is None:
                continue
            if dialog.deadline > time:
                queue.append((dialog.deadline, key))
                continue
            self.stats.abandoned += 1
            events.append(dialog.challenge.then(Kind.ABANDONED, time, None, dialog.challenge.status))
            dialog.challenge = None
        return events

    def _unpaired(self, event: SipEvent | None) -> None:
        if event is None:
            self.stats.unmatched_responses += 1
        else:
            self.stats.stray_responses += 1

    def _provisional(self, event: SipEvent, response: Response, time: float) -> SipEvent | None:
        if response.status > 100 and event.auth is None and event.method == b"INVITE":
            return event.then(Kind.PROGRESS, time, response, response.status)
        return None

    def _final(self, event: SipEvent, response: Response, time: float) -> SipEvent:
        status, invite = response.status, event.method == b"INVITE"
        if invite and status < 300:
            tag = fast_tag(response.to) or b""
            self._answered.put((event.client, response.call_id), tag)
            self._remember_tag(tag, event.client)
        if event.auth is None:
            return event.then(Kind.ANSWER, time, response, status)
        if status < 300 or (invite and status in _ANSWER_CODES_AFTER_LOGIN):
            self._dialogs.pop((event.client, response.call_id))
            return event.then(Kind.ACCEPTED, time, response, status)
        return event.then(Kind.REFUSED if status == 403 else Kind.ANSWER, time, response, status)

    def _challenged(self, event: SipEvent, response: Response, time: float) -> SipEvent | None:
        """401 or 407 (RFC 3261 section 22): note whom the nonces went to; wait for credentials."""
        lines = _values(response, _CHALLENGES, b"-authenticate")
        challenges = [auth for auth in map(fast_auth, lines) if auth is not None]
        nonces = tuple(auth[1] for auth in challenges if auth[1])
        for nonce in nonces:
            owner = self._nonces.get(nonce)
            self._nonces.put(nonce, event.client if owner is None or owner == event.client else _SHARED)
        key = (event.client, response.call_id)
        dialog = self._dialogs.get(key)
        if dialog is None:
            dialog = _Dialog(_number(response.cseq), event.tag)
        self._dialogs.put(key, dialog)  # also a known one: it is young again
        elsewhere = _new_realm(dialog, {auth[3] for auth in challenges})
        refused = event.auth is not None and event.answers_challenge and not elsewhere
        dialog.nonces, dialog.issued, dialog.unused = nonces, time, True
        if refused and not _stale(lines):
            dialog.challenge = None
            return event.then(Kind.REFUSED, time, response, response.status)
        dialog.challenge = event
        dialog.deadline = time + CHALLENGE_GRACE
        if len(self._challenges) >= MAX_DIALOGS:
            self.stats.unwatched_challenges += 1
        self._challenges.append((dialog.deadline, key))
        return None

    def _challenged_again(self, event: SipEvent, status: int, time: float) -> None:
        """Give the client as long again to answer: the same challenge was sent again."""
        if status in (401, 407) and event.request is not None:
            dialog = self._dialogs.get((event.client, event.request.call_id))
            if dialog is not None and dialog.challenge is not None:
                dialog.deadline = time + CHALLENGE_GRACE

    def _credentials(self, event: SipEvent, request: Request) -> None:
        """Note what the credentials prove and whether the client guesses or repeats."""
        lines = _values(request, _CREDENTIALS, b"authorization")
        found = [auth for auth in map(fast_auth, lines) if auth is not None]
        if not found:
            return
        owners = [self._nonces.get(auth[1]) for auth in found]
        if event.client in owners:
            event.proofs |= NONCE
            event.auth = found[owners.index(event.client)][:3]
        else:
            event.foreign_nonce = any(owners)
            event.auth = found[0][:3]
        key = (event.client, request.call_id)
        number = _number(request.cseq)
        dialog = self._dialogs.get(key)
        if dialog is None:
            dialog = _Dialog(number, event.tag)
        else:
            event.repeat = dialog.attempts > 0 and number > dialog.cseq and event.tag == dialog.tag
            taken_up = any(auth[1] in dialog.nonces for auth in found)
            fresh = taken_up and event.time - dialog.issued < NONCE_FRESH
            ignores = bool(dialog.nonces) and not taken_up
            event.answers_challenge = dialog.unused and (fresh or ignores)
            dialog.cseq, dialog.tag = number, event.tag
        dialog.unused = False
        dialog.attempts += 1
        dialog.challenge = None
        self._dialogs.put(key, dialog)

    def _ack(self, event: SipEvent) -> SipEvent:
        """ACK for a 2xx repeats the To tag of the callee (RFC 3261 section 13.2.2.4)."""
        assert event.request is not None
        key = (event.client, event.request.call_id)
        tag = self._answered.get(key)
        if tag is None or fast_tag(event.request.to) != tag:
            return event
        self._answered.pop(key)
        event.kind = Kind.COMPLETED
        if tag and self._tags.get(tag[:TAG_PREFIX]) == event.client:
            event.proofs |= TO_TAG
        return event

    def _remember_tag(self, tag: bytes, client: bytes) -> None:
        owner = self._tags.get(tag[:TAG_PREFIX])
        self._tags.put(tag[:TAG_PREFIX], client if owner is None or owner == client else _SHARED)

    def _relay(self, event: SipEvent, request: Request) -> None:
        """Learn a proxy: its second Via belongs to a request which it had received before."""
        if request.head.lower().count(b"\nv") == 1 and b"," not in request.via:
            return
        values = [value for line in request.all(b"Via") for value in split_values(line)]
        if len(values) < 2:
            return
        below = values[1]
        origin = _sent_from(below)
        branch = fast_branch(below) or b""
        first = self._pending.get((origin, request.call_id, request.cseq.lstrip(b"0"), branch))
        if first is not None and first.server == event.client:
            self.servers.relayed(event.client, origin)


def _values(message: Request | Response, names: tuple[bytes, bytes], mark: bytes) -> list[bytes]:
    """Values of all header fields of two names; ``mark`` is what both contain, in lower case.

    Several lines are read one by one only when there seem to be several: one for each realm, or one
    for each algorithm (RFC 8760).
    """
    if message.head.lower().count(mark) > 1:
        return [value for name, value in message.headers if name in names]
    value = message.fields.get(names[0]) or message.fields.get(names[1])
    return [value] if value else []


def _new_realm(dialog: _Dialog, realms: set[bytes]) -> bool:
    """Whether another server of the chain asks for the first time (RFC 3261 section 22.3).

    Then the server before it has taken the credentials.
    """
    fresh = realms.difference(dialog.realms)
    if len(dialog.realms) >= MAX_REALMS or not fresh:
        return False
    another = bool(dialog.realms) and fresh == realms
    dialog.realms += tuple(sorted(fresh))[:MAX_REALMS]
    return another


def _stale(lines: list[bytes]) -> bool:
    """Whether a challenge says that the digest was right and only its nonce too old."""
    for value in lines:
        try:
            if parse_challenge(value).stale:
                return True
        except RemoteError:
            continue
    return False


def _number(cseq: bytes) -> int:
    digits = cseq.partition(b" ")[0]
    return int(digits) if digits.isdigit() and len(digits) <= 10 else 0


def _sent_from(value: bytes) -> bytes:
    """Packed address in ``received`` or in the sent-by of a Via value; empty when it is a name."""
    try:
        via = parse_via(value)
        return pack((via.received or via.host).decode("ascii", "replace"))
    except (InputError, RemoteError):
        return b""
