"""Tracker: pairs responses with requests and tells what became of each request.

It answers, per request: the final status, whether credentials were accepted or refused, whether
the nonce in them was sent to this client and to nobody else, whether a challenge was taken up, and
whether a 2xx was acknowledged with the To tag that came with it. Everything is bounded; what is
forgotten early is counted.

Sans-IO: messages and event time go in, SipEvents come out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shield.errors import InputError, RemoteError
from shield.net import Datagram, pack
from shield.sip.dialogs import Dialogs
from shield.sip.event import NONCE, TO_TAG, Kind, SipEvent
from shield.sip.grammar import split_values
from shield.sip.headers import fast_auth, fast_branch, fast_tag, parse_via
from shield.sip.logins import Login, is_stale
from shield.sip.message import Request, Response
from shield.sip.recent import RecentMap
from shield.sip.servers import Servers

__all__ = ["Tracker", "TrackerStats"]

TRANSACTION_TIME = 32.0
"""Timer B and F of RFC 3261 (64 * T1): after this a client has given up."""
MAX_TRANSACTIONS = 65_536
MAX_LOGINS = 32_768
"""Call-IDs with a challenge or credentials under way."""
LOGIN_TIME = 3_600.0
"""Phones with an old password come back with the same Call-ID: soon, or when the usual hour between
two registrations is over. Accepted logins are not kept, so this is a table of what failed."""
MAX_NONCES = 65_536
NONCE_TIME = 3_600.0
"""Servers let nonces live from seconds to an hour."""
MAX_TAGS = 16_384
TAG_TIME = 600.0
"""A 2xx is acknowledged at once; a tag is remembered longer to see whom else it went to."""
TAG_PREFIX = 12
"""Kamailio's own To tags share 33 characters; random ones rarely share two or three."""
CHALLENGE_GRACE = 3.0
"""A phone answers a challenge within a round trip; lost packets are repeated after 0.5, 1 and
2 s (timer E), so three seconds after the last challenge nobody is still about to answer."""
NONCE_FRESH = 30.0
"""A nonce older than this may have expired at the server: its refusal is no wrong password."""
_SHARED = b""
_REQUEST, _ANSWER = Kind.REQUEST, Kind.ANSWER  # a member of an enum is no plain attribute
_OF_CALLS = frozenset({b"INVITE", b"ACK", b"BYE"})
"""What makes and ends calls; of CANCEL the 487 to its INVITE tells what it did."""
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


class Tracker:
    """Follows the transactions of all clients; see the module's docstring."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.stats = TrackerStats()
        self.dialogs = Dialogs(servers.known)
        self.on_unread: Callable[[Datagram, Response], None] = lambda _datagram, _response: None
        """Takes responses whose request was not seen."""
        self._pending: RecentMap[tuple[bytes, bytes, bytes, bytes], SipEvent] = RecentMap(
            MAX_TRANSACTIONS, TRANSACTION_TIME
        )
        self._logins: RecentMap[tuple[bytes, bytes], Login] = RecentMap(MAX_LOGINS, LOGIN_TIME)
        self._answered: RecentMap[tuple[bytes, bytes], bytes] = RecentMap(MAX_LOGINS, TRANSACTION_TIME)
        self._nonces: RecentMap[bytes, bytes] = RecentMap(MAX_NONCES, NONCE_TIME)
        self._tags: RecentMap[bytes, bytes] = RecentMap(MAX_TAGS, TAG_TIME)
        self._challenges: deque[tuple[float, tuple[bytes, bytes], bytes]] = deque()

    @property
    def forgotten(self) -> int:
        """Entries that were dropped before their time because a table was full."""
        maps = (self._pending, self._logins, self._answered, self._nonces, self._tags)
        return sum(table.dropped for table in maps) + self.stats.unwatched_challenges

    def request(self, datagram: Datagram, request: Request) -> SipEvent:
        """Take a request; gives its REQUEST, RETRANSMISSION or COMPLETED event.

        A retransmission is the same header again: tools that guess with one branch and CSeq for all
        their tries get each try looked at by a stateless server.
        """
        event = SipEvent(_REQUEST, datagram, request)
        of_calls = request.method in _OF_CALLS
        if of_calls and request.method == b"ACK":
            return self._ack(event)
        key = (event.client, request.call_id, request.cseq.lstrip(b"0"), request.branch)
        pending = self._pending
        first = pending.young.get(key) or pending.old.get(key)
        if first is not None and first.request is not None and first.request.head == request.head:
            event.kind = Kind.RETRANSMISSION
            return event
        pending.put(key, event)
        if request.auth:
            self._credentials(event, request)
        if request.vias and event.client not in self.servers.known:
            self._relay(event, request)
        if of_calls:
            self.dialogs.request(event)
        return event

    def response(self, datagram: Datagram, response: Response) -> SipEvent | None:
        """Take a response; gives the event that it makes of its request, if any."""
        # Some servers write the CSeq number anew, without the zeros that a client put before it.
        cseq = response.cseq.lstrip(b"0")
        key = (datagram[3], response.call_id, cseq, response.branch)
        pending = self._pending
        event = pending.young.get(key) or pending.old.get(key)
        if event is None or event.server != datagram[1]:
            self._unpaired(event, datagram, response)
            return None
        status = response.status
        if status < 200:
            return self._provisional(event, response, datagram.time)
        if event.status:
            self._answered_again(event, response, datagram.time)
            return None
        event.status = status
        known = self.servers.known
        if event.server not in known and event.client not in known:
            self.servers.answered(event.server, event.client, event.method)
        if status == 401 or status == 407:  # noqa: PLR1714 - half the time of a set
            return self._challenged(event, response, datagram.time)
        return self._final(event, response, datagram.time)

    def tick(self, time: float) -> list[SipEvent]:
        """Let event time pass; gives ABANDONED events for challenges that nobody took up."""
        for table in (self._pending, self._logins, self._answered, self._nonces, self._tags):
            table.tick(time)
        self.dialogs.tick(time)
        events: list[SipEvent] = []
        queue = self._challenges
        while queue and queue[0][0] <= time:
            _, key, user = queue.popleft()
            login = self._logins.get(key)
            waiting = login.waiting.get(user) if login is not None else None
            if login is None or waiting is None:
                continue
            event, deadline = waiting
            if deadline > time:
                queue.append((deadline, key, user))
                continue
            del login.waiting[user]
            events.append(self._abandoned(event, time))
        return events

    def _abandoned(self, event: SipEvent, time: float) -> SipEvent:
        self.stats.abandoned += 1
        return event.then(Kind.ABANDONED, time, None, event.status)

    def _unwatch(self) -> None:
        """Let go of the challenge that has waited longest."""
        _, key, user = self._challenges.popleft()
        login = self._logins.get(key)
        if login is not None and login.waiting.pop(user, None) is not None:
            self.stats.unwatched_challenges += 1

    def _unpaired(self, event: SipEvent | None, datagram: Datagram, response: Response) -> None:
        if event is None:
            self.stats.unmatched_responses += 1
            self.on_unread(datagram, response)
        else:
            self.stats.stray_responses += 1

    def _provisional(self, event: SipEvent, response: Response, time: float) -> SipEvent | None:
        if response.status > 100 and event.method == b"INVITE":
            self.dialogs.progress(event, response, time)
            if event.auth is None:
                return event.then(Kind.PROGRESS, time, response, response.status)
        return None

    def _final(self, event: SipEvent, response: Response, time: float) -> SipEvent:
        status, invite = response.status, event.method == b"INVITE"
        if invite:
            tag = fast_tag(response.usual(b"\r\nTo: ") or b"") or b""
            self.dialogs.final(event, response, time, tag)
            if status < 300:
                self._answered.put((event.client, response.call_id), tag)
                self._remember_tag(tag, event.client)
        if event.auth is None:
            return event.then(_ANSWER, time, response, status)
        if status < 300 or (invite and status in _ANSWER_CODES_AFTER_LOGIN):
            self._logins.pop((event.client, response.call_id))
            return event.then(Kind.ACCEPTED, time, response, status)
        return event.then(Kind.REFUSED if status == 403 else Kind.ANSWER, time, response, status)

    def _challenged(self, event: SipEvent, response: Response, time: float) -> SipEvent | None:
        """401 or 407 (RFC 3261 section 22): note whom the nonces went to; wait for credentials."""
        nonces, realms = self._read_challenges(event, response.auth)
        key = (event.client, response.call_id)
        login = self._logins.get(key)
        if login is None:
            login = Login(_number(response.cseq), event.tag)
        self._logins.put(key, login)  # also a known one: it is young again
        elsewhere = login.new_realm(realms)
        refused = event.auth is not None and event.answers_challenge and not elsewhere
        login.challenged(nonces, time)
        if refused and not is_stale(response.auth):
            login.waiting.pop(event.user, None)
            return event.then(Kind.REFUSED, time, response, response.status)
        if len(self._challenges) >= MAX_LOGINS:
            self._unwatch()
        deadline = time + CHALLENGE_GRACE
        self._challenges.append((deadline, key, event.user))
        given_up = login.wait(event, deadline)
        return self._abandoned(given_up, time) if given_up is not None else None

    def _answered_again(self, event: SipEvent, response: Response, time: float) -> None:
        """Take a challenge of a retransmission: the client has a nonce, and as long again to answer.

        A second 2xx of an INVITE is another fork that was answered (RFC 3261 section 13.2.2.4).
        """
        if response.status not in (401, 407):
            if response.status < 300 and event.method == b"INVITE":
                self.dialogs.final(event, response, time, fast_tag(response.to) or b"")
            return
        nonces, realms = self._read_challenges(event, response.auth)
        login = self._logins.get((event.client, response.call_id))
        if login is not None:
            login.new_realm(realms)
            login.challenged(nonces, time)
            if event.user in login.waiting:
                login.waiting[event.user] = (event, time + CHALLENGE_GRACE)

    def _read_challenges(
        self, event: SipEvent, values: Sequence[bytes]
    ) -> tuple[list[bytes], set[bytes]]:
        """Nonces and realms of the challenges; notes whom the nonces went to."""
        nonces: list[bytes] = []
        realms: set[bytes] = set()
        for value in values:
            auth = fast_auth(value)
            if auth is None:
                continue
            nonce = auth[1]
            realms.add(auth[3])
            if nonce:
                nonces.append(nonce)
                owner = self._nonces.get(nonce)
                own = owner is None or owner == event.client
                self._nonces.put(nonce, event.client if own else _SHARED)
        return nonces, realms

    def _credentials(self, event: SipEvent, request: Request) -> None:
        """Note what the credentials prove and whether the client guesses or repeats."""
        found: list[tuple[bytes, bytes, bytes, bytes, bytes]] = []
        values: list[bytes] = []
        for value in request.auth:
            auth = fast_auth(value)
            if auth is not None:
                found.append(auth)
                values.append(value)
        if not found:
            return
        owners = [self._nonces.get(auth[1]) for auth in found]
        if event.client in owners:
            event.proofs |= NONCE
            at = owners.index(event.client)
        else:
            event.foreign_nonce = any(owners)
            at = 0
        event.auth = found[at][:3]
        key = (event.client, request.call_id)
        number = _number(request.cseq)
        login = self._logins.get(key)
        known = login is not None
        if login is None:
            login = Login(number, event.tag)
        stored = login.stored(found[at][0], request.method, values[at], found[at][2])
        if known:
            event.repeat = stored and number > login.cseq and event.tag == login.tag
            taken_up = not {auth[1] for auth in found}.isdisjoint(login.nonces)
            fresh = taken_up and event.time - login.issued < NONCE_FRESH
            ignores = bool(login.nonces) and not taken_up
            event.answers_challenge = login.unused and (fresh or ignores)
            login.cseq, login.tag = number, event.tag
        login.unused = False
        if login.waiting:
            login.waiting.pop(event.user, None)
        self._logins.put(key, login)

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
        values = [value for line in request.all(b"Via") for value in split_values(line)]
        if len(values) < 2:
            return
        below = values[1]
        origin = _sent_from(below)
        branch = fast_branch(below) or b""
        first = self._pending.get((origin, request.call_id, request.cseq.lstrip(b"0"), branch))
        if first is not None and first.server == event.client:
            self.servers.relayed(event.client, origin)


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
