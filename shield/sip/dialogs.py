"""Dialogs: which calls there are, from the INVITE to the BYE, with all their forks.

A *call* is what one INVITE outside a dialog begins: Call-ID and From tag of the caller. Each response
with a To tag of its own makes a *dialog* of it (RFC 3261 section 12.1), so a call that is forked has
several, and each ends by itself: early ones with the final failure of the INVITE (section 12.3),
confirmed ones with their BYE, from either side. A proxy passes a call on under the same Call-ID and tag,
so both halves of what a sensor sees are one call; a B2BUA makes two.

The requests of a banned source are not read. Its calls are then known by the responses that go to it and
by what proxies pass on, and are marked ``incomplete``. Sans-IO, on event time; bounded.
"""

from __future__ import annotations

from collections.abc import Callable

from shield.net import Datagram
from shield.sip.calls import Call, State
from shield.sip.event import SipEvent
from shield.sip.headers import fast_tag
from shield.sip.message import Response
from shield.sip.uri import fast_user

__all__ = ["Dialogs"]

MAX_RINGING = 16_384
"""Calls that are not answered yet, about 1.5 kB each while their INVITE is at hand. Who forges INVITEs
makes one with each; then the oldest go."""
MAX_TALKING = 65_536
"""Answered calls: more than one proxy carries."""
MAX_FORKS = 16
"""Dialogs of one call: phones of one user, and a hunt group. A further To tag is not followed."""
SETUP_TIME = 600.0
"""Seconds without a sign until an unanswered call is given up; timer C of proxies is above three minutes
(RFC 3261 section 16.6), each provisional response starts it anew."""
TALK_TIME = 12 * 3_600.0
"""Seconds without a sign until an answered call counts as ended: its BYE was lost. A session timer
(RFC 4028) gives a sign each half hour."""

ROUGHLY = 30.0
"""Seconds within which a further sign changes nothing: of patience there is much more."""

_TO = b"\r\nTo: "
_RINGING, _ANSWERED = State.RINGING, State.ANSWERED  # a member of an enum is no plain attribute
_GONE = frozenset({408, 481})
"""Answers to a request inside a dialog that end it (RFC 3261 section 12.2.1.2)."""

Key = tuple[bytes, bytes]
"""Call-ID, and From tag of the caller."""


class Dialogs:
    """All calls that are not over; see the module's docstring."""

    def __init__(self, servers: set[bytes] | frozenset[bytes] = frozenset()) -> None:
        self._servers = servers
        self._ringing: dict[Key, Call] = {}
        self._talking: dict[Key, Call] = {}
        self._at_once: dict[tuple[bytes, bytes], int] = {}
        """Live calls by source and account."""
        self.forgotten = 0
        """Calls dropped before their end because there were too many."""
        self.on_call: Callable[[Call], None] | None = None
        """Told of each call, and again when its account becomes known; None while nobody asks."""
        self.followers: tuple[Callable[[Call], None], ...] = ()
        """Told when a call rings, is answered, and is over."""
        self.on_stray: Callable[[SipEvent], None] = lambda _event: None
        """Told of a BYE of a call that is not known here, or not any more."""

    def __len__(self) -> int:
        return len(self._ringing) + len(self._talking)

    def at_once(self, source: bytes, account: bytes) -> int:
        """Calls of this account from this source that ring or are answered now."""
        return self._at_once.get((source, account), 0)

    def find(self, call_id: bytes, one: bytes, other: bytes = b"") -> Call | None:
        """The call with this Call-ID whose caller has one of the tags."""
        key = call_id, one
        call = self._talking.get(key) or self._ringing.get(key)
        return self.find(call_id, other) if call is None and other else call

    # --- what happens -----------------------------------------------------------------------

    def request(self, event: SipEvent) -> None:
        """Take an INVITE or a BYE; no repetition."""
        request = event.request
        assert request is not None
        # Nearly no first INVITE has parameters in its To.
        to_tag = fast_tag(request.to) if b";" in request.to else None
        if request.method == b"BYE":
            self._bye(event, to_tag or b"")
        elif to_tag is None:
            self._invite(event)
        elif (call := self.find(request.call_id, event.tag, to_tag)) is not None:
            self._sign(call, event.time)  # a session timer, or the call is put on hold

    def progress(self, event: SipEvent, response: Response, time: float) -> None:
        """Take a 101 to 199 of an INVITE."""
        call = self.find(response.call_id, event.tag)
        if call is not None:
            self._early(call, fast_tag(response.usual(_TO) or b"") or b"", time)

    def final(self, event: SipEvent, response: Response, time: float, to_tag: bytes) -> None:
        """Take a final response of an INVITE that is no challenge, the second 2xx of a fork too."""
        assert event.request is not None
        inside = fast_tag(event.request.to) if b";" in event.request.to else None
        call = self.find(response.call_id, event.tag, inside or b"")
        if call is None:
            return
        if inside is not None:
            self._inside(call, event.tag, inside, response.status, time)
        else:
            self._finally(call, to_tag, response.status, time)

    def unread(self, datagram: Datagram, response: Response) -> Call | None:
        """Take a response to an INVITE or BYE that was not seen, since its sender is banned."""
        time, status, tag = datagram[0], response.status, fast_tag(response.from_) or b""
        to_tag = fast_tag(response.to) or b""
        call = self.find(response.call_id, tag, to_tag)
        if response.cseq_method == b"BYE":
            if call is not None and 200 <= status < 300:
                self._hang_up(call, to_tag if call.tag == tag else tag, time)
            return call
        if call is None:
            call = self._new(response.call_id, tag, time)
            call.named(fast_user(response.from_) or b"", fast_user(response.to) or b"")
        if not call.source or call.source in self._servers:  # so far only what a proxy passed on
            call.source, call.server, call.port = datagram[3], datagram[1], datagram[4]
            call.incomplete = True
            if self.on_call is not None:
                self.on_call(call)
        if 100 < status < 200:
            self._early(call, to_tag, time)
        elif status >= 200 and status not in (401, 407):
            self._finally(call, to_tag, status, time)
        return call

    def tick(self, time: float) -> None:
        """Let event time pass: give up calls that show no sign any more."""
        for table, patience in ((self._ringing, SETUP_TIME), (self._talking, TALK_TIME)):
            while table:
                call = next(iter(table.values()))
                if call.seen + patience > time:
                    break
                call.incomplete = True
                self._over(call, call.seen)

    # --- what it means ----------------------------------------------------------------------

    def _invite(self, event: SipEvent) -> None:
        """A new call, or the same again: with credentials, or passed on by a proxy."""
        request = event.request
        assert request is not None
        call = self.find(request.call_id, event.tag)
        account = event.auth[0].partition(b"@")[0] if event.auth is not None else b""
        if call is None:
            call = self._new(request.call_id, event.tag, event.time)
            call.begin(event)
        elif call.source != event.client or not account or account == call.account:
            return
        call.account = account
        if self.on_call is not None:
            self.on_call(call)

    def _new(self, call_id: bytes, tag: bytes, time: float) -> Call:
        if len(self._ringing) >= MAX_RINGING:
            self._forget(self._ringing)
        call = self._ringing[call_id, tag] = Call(call_id, tag, time)
        return call

    def _early(self, call: Call, to_tag: bytes, time: float) -> None:
        if to_tag and to_tag not in call.dialogs and len(call.dialogs) < MAX_FORKS:
            call.dialogs[to_tag] = _RINGING
        if not call.rang:
            call.rang = time
            self._count(call)
            self._happened(call)
        self._sign(call, time)

    def _finally(self, call: Call, to_tag: bytes, status: int, time: float) -> None:
        """The INVITE that made the call has a final response."""
        if status >= 300:
            for tag, state in list(call.dialogs.items()):
                if state is _RINGING:
                    call.dialogs[tag] = State.FAILED
            if not call.answered:
                call.status = status
                self._over(call, time)
            return
        if to_tag in call.dialogs or len(call.dialogs) < MAX_FORKS:
            if call.dialogs.get(to_tag) is State.ENDED:
                return  # the 2xx came late once more
            call.dialogs[to_tag] = _ANSWERED
        if not call.answered:
            call.answered, call.status = time, status
            call.settle()
            self._count(call)
            self._ringing.pop((call.call_id, call.tag), None)
            if len(self._talking) >= MAX_TALKING:
                self._forget(self._talking)
            self._talking[call.call_id, call.tag] = call
            self._happened(call)
        self._sign(call, time)

    def _inside(self, call: Call, from_tag: bytes, to_tag: bytes, status: int, time: float) -> None:
        """A re-INVITE has a final response."""
        if status in _GONE:
            self._hang_up(call, to_tag if call.tag == from_tag else from_tag, time)
        else:
            self._sign(call, time)

    def _bye(self, event: SipEvent, to_tag: bytes) -> None:
        assert event.request is not None
        call = self.find(event.request.call_id, event.tag, to_tag)
        if call is not None:
            self._hang_up(call, to_tag if call.tag == event.tag else event.tag, event.time)
        else:
            self.on_stray(event)

    def _hang_up(self, call: Call, remote: bytes, time: float) -> None:
        """The dialog with this tag of the callee is over; the call is when it was the last one."""
        state = call.dialogs.get(remote)
        if state is None:
            return  # a tag that was never given
        call.dialogs[remote] = State.ENDED if state is _ANSWERED else State.FAILED
        if _ANSWERED not in call.dialogs.values() and call.answered:
            self._over(call, time)

    def _sign(self, call: Call, time: float) -> None:
        """The call shows a sign: it is looked after for as long again."""
        if time - call.seen > ROUGHLY:
            key = (call.call_id, call.tag)
            table = self._talking if call.answered else self._ringing
            if table.pop(key, None) is not None:
                table[key] = call
            call.seen = time
        if call.follow is not None:
            call.follow(call)

    def _over(self, call: Call, time: float) -> None:
        call.ended = time
        key = (call.call_id, call.tag)
        self._ringing.pop(key, None)
        self._talking.pop(key, None)
        self._uncount(call)
        self._happened(call)
        if call.follow is not None:
            call.follow(call)

    def _happened(self, call: Call) -> None:
        for follow in self.followers:
            follow(call)

    def live(self) -> list[Call]:
        """Calls that ring or are answered."""
        return [*filter(lambda call: call.rang, self._ringing.values()), *self._talking.values()]

    def _forget(self, table: dict[Key, Call]) -> None:
        self.forgotten += 1
        call = next(iter(table.values()))
        call.incomplete = True
        self._over(call, call.seen)

    def _count(self, call: Call) -> None:
        if call.counted is None:
            who = call.counted = (call.source, call.account)
            self._at_once[who] = self._at_once.get(who, 0) + 1

    def _uncount(self, call: Call) -> None:
        who, call.counted = call.counted, None
        if who is not None:
            left = self._at_once.pop(who, 1) - 1
            if left:
                self._at_once[who] = left
