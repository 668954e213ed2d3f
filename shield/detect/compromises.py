"""Compromises: finds accounts whose password was guessed: a success that follows guessing.

Three ways (``How``), with the limits of ``shield.detect.guesses``: the source guessed itself; many did
and it was one of them; many did and the account is then used where it never was. Whoever logged in from
this address before is at home: he comes back each hour, under attack or not.

The requests of a banned source are not read; where nothing enforces the ban he goes on all the same. The
answers to him are seen: ``unread`` tells guesses, successes and calls from these alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from shield.detect.alert import Alert, Proof
from shield.detect.compromise import Compromise, How, Participant, text
from shield.detect.following import Follower
from shield.detect.guesses import TRUSTED_FACTOR, Account, Guessed, Guesser, Guesses
from shield.detect.homes import Homes
from shield.detect.sources import SourceRecord, Sources
from shield.net import Datagram
from shield.sip.calls import Call
from shield.sip.dialogs import Dialogs
from shield.sip.event import NONCE, TCP, SipEvent, proof_names
from shield.sip.headers import fast_auth, fast_tag
from shield.sip.message import Response
from shield.sip.recent import RecentMap
from shield.sip.uri import fast_host, fast_user

__all__ = ["Compromises"]

SOON = 3_600.0
"""Seconds after a crowd's last guess within which a login from a strange place belongs to it."""
SHOWN_SOURCES = 16
"""Sources that a report names."""
MAX_UNREAD = 8_192
"""Call-IDs of banned sources that are challenged."""
UNREAD_TIME = 600.0
MAX_SPRAYERS = 4_096
SPRAY_TIME = 3_600.0
"""Seconds after a proven alert about guessing in which each account that is new to its source is one
that was hit: a spray tries each account once."""
_FOLLOWED = frozenset({b"REGISTER", b"INVITE", b"BYE"})
"""Methods of which the answers to a banned source say something."""
_SILENT = frozenset(b"%d" % status for status in range(300, 700) if status not in (401, 403, 407))
"""Statuses of a REGISTER that say nothing about its password."""
PAIRING_TIME = 4.0
"""Seconds in which an answer to the last request of a source that was read is to be expected: T2 of RFC
3261 section 17.1.2.2, the longest that a server that is there takes to be heard."""


class _Login(NamedTuple):
    """A success."""

    account: Account
    source: bytes
    server: bytes
    method: bytes
    agent: bytes
    time: float
    proofs: int
    call: Call | None
    """What began with it, where the method is INVITE."""
    trusted: bool = False
    """Others log in rightly from this address."""
    incomplete: bool = False


class Compromises:
    """See the module's docstring; what it finds is taken from ``found``."""

    def __init__(self, dialogs: Dialogs) -> None:
        self.origin = ""
        """Name of the node, in the ids of reports."""
        self.homes = Homes()
        self.guesses = Guesses()
        self.follower = Follower(dialogs, self.homes)
        self.reported = 0
        self.banned: Callable[[bytes], bool] = lambda _source: False
        """Whether the requests of a source are skipped."""
        self._dialogs = dialogs
        self._sprayers: RecentMap[bytes, Alert] = RecentMap(MAX_SPRAYERS, SPRAY_TIME)
        self._unread: RecentMap[tuple[bytes, bytes], bytes] = RecentMap(MAX_UNREAD, UNREAD_TIME)

    @property
    def found(self) -> list[Compromise]:
        """What is to be told; whoever takes it clears it."""
        return self.follower.found

    def refused(self, event: SipEvent) -> None:
        """A password was refused that is no repetition of the one before."""
        request = event.request
        if event.auth is None or request is None:
            return
        call_id = request.call_id.partition(b"@")[0]
        self.guesses.add(
            _account(event), event.client, call_id, event.time,
            proofs=event.proofs, agent=request.agent or b"",
        )  # fmt: skip

    def accused(self, alert: Alert) -> None:
        """A rule found a guesser whose address is proven."""
        if alert.kind == "bruteforce" and alert.proof is Proof.PROVEN:
            self._sprayers.put(alert.source, alert)

    def accepted(self, event: SipEvent, record: SourceRecord, half_life: float) -> None:
        """Credentials were accepted; ``half_life`` is that of the trust in its source."""
        assert event.auth is not None
        user = event.auth[0].partition(b"@")[0]
        if record.accused or self.guesses.any_at(user):
            self._judge(self._login(event, trusted=record.trusted(event.time, half_life)))
        self.homes.note(user, event.client, event.time)

    def dull(self, datagram: Datagram, sources: Sources) -> bool:
        """Whether a message to a banned source is an answer that ``unread`` would learn nothing from.

        Asked before the message is parsed: who is banned and goes on gets as many as he sends requests.
        False also where it cannot be said at a glance, and while it may answer a request that was read.
        """
        payload = datagram[6]
        at = payload.find(b"\r\nCSeq: ")
        if at < 0 or not payload.startswith(b"SIP/2.0 "):
            return False
        method = payload[at + 8 : payload.find(b"\r", at + 8)].partition(b" ")[2]
        if method in _FOLLOWED and (method != b"REGISTER" or payload[8:11] not in _SILENT):
            return False
        record = sources.get(datagram[3])
        return record is None or datagram[0] - record.last_seen > PAIRING_TIME

    def unread(self, datagram: Datagram, response: Response) -> None:
        """A response without a request: told from it what a banned source does."""
        client, method, status = datagram[3], response.cseq_method, response.status
        if method not in _FOLLOWED or not self.banned(client):
            return
        if method != b"REGISTER":
            self._dialogs.unread(datagram, response)
        if method == b"BYE" or status < 200:
            return
        challenge = status == 401 or status == 407  # noqa: PLR1714 - half the time of a set
        refused = challenge or (status == 403 and method == b"REGISTER")
        if status >= 300 and not refused:  # says nothing about a password
            return
        key = (client, response.call_id)
        realm = self._unread.get(key)
        if realm is None:
            realm = _realm(response) or _host(response)
            if challenge:  # the first one asks for a password
                self._unread.put(key, realm)
                return
        account = Account(fast_user(_mine(response)) or b"", realm)
        if refused:
            call_id = response.call_id.partition(b"@")[0]
            self.guesses.add(account, client, call_id, datagram[0], proofs=0, agent=b"")
        else:
            call = self._dialogs.find(response.call_id, fast_tag(response.from_) or b"")
            self._judge(
                _Login(account, client, datagram[1], method, b"", datagram[0], 0, call, incomplete=True)
            )

    def tick(self, time: float) -> None:
        """Let event time pass."""
        self.homes.tick(time)
        self.guesses.tick(time)
        self.follower.tick(time)
        self._sprayers.tick(time)
        self._unread.tick(time)

    def _login(self, event: SipEvent, *, trusted: bool) -> _Login:
        request = event.request
        assert request is not None
        call = None
        if request.method == b"INVITE":
            call = self._dialogs.find(request.call_id, event.tag)
        return _Login(
            _account(event), event.client, event.server, request.method, request.agent or b"",
            event.time, event.proofs, call, trusted=trusted,
        )  # fmt: skip

    # --- judging ----------------------------------------------------------------------------

    def _judge(self, login: _Login) -> None:
        """Report a success if it is one of a thief."""
        account, source = login.account, login.source
        if self.follower.follows(account, source):
            return
        guessed = self.guesses.at(account)
        guesser = guessed.guessers.get(source) if guessed is not None else None
        how = self._how(login, guessed, guesser)
        if how is not None:
            self._report(login, how, guessed, guesser)

    def _how(self, login: _Login, guessed: Guessed | None, guesser: Guesser | None) -> How | None:
        """What gives it away; None when nothing does."""
        source, time = login.source, login.time
        home = self.homes.knows(login.account.user, source)
        factor = TRUSTED_FACTOR if home or login.trusted else 1
        if guesser is not None and guesser.alone(time, factor):
            return How.GUESSED
        if home:
            return None
        if self._sprayed(source, time) is not None:
            return How.GUESSED
        if guessed is None or not guessed.crowded(time):
            return None
        if guesser is not None:
            return How.CROWD
        strange = self.homes.settled(time) and not self.homes.near(login.account.user, source)
        return How.ELSEWHERE if strange and time - guessed.last < SOON else None

    def _sprayed(self, source: bytes, time: float) -> Alert | None:
        """The proven alert that says that this source has guessed at others a moment ago."""
        alert = self._sprayers.get(source)
        return alert if alert is not None and time - alert.time < SPRAY_TIME else None

    def _report(self, login: _Login, how: How, guessed: Guessed | None, guesser: Guesser | None) -> None:
        if guessed is not None:
            taken = [_participant(*one) for one in guessed.guessers.items()]
        else:
            alert = self._sprayed(login.source, login.time)
            assert alert is not None
            taken = [Participant(login.source, alert.count, alert.first_seen, alert.time, alert.proofs)]
        proofs = login.proofs | (guesser.proofs if guesser is not None else 0)
        self.reported += 1
        found = Compromise(
            id=f"{self.origin}-{int(login.time * 1000):x}-a{self.reported:x}",
            kind="found",
            time=login.time,
            account=text(login.account.user),
            realm=text(login.account.realm),
            how=how,
            source=login.source,
            server=login.server,
            method=text(login.method),
            user_agent=text(login.agent or (guesser.agent if guesser is not None else b"")),
            succeeded=login.time,
            guesses=sum(one.guesses for one in taken),
            guessers=len(taken),
            first_guess=min(one.first for one in taken),
            last_guess=max(one.last for one in taken),
            # The one that logged in first, then those that guessed most.
            sources=tuple(
                sorted(taken, key=lambda one: (one.source != login.source, -one.guesses))[:SHOWN_SOURCES]
            ),
            proof=Proof.PROVEN if proofs & (NONCE | TCP) else Proof.UNPROVEN,
            proofs=proof_names(proofs),
            incomplete=login.incomplete,
        )
        self.follower.begin(found, login.account, login.call)


def _participant(source: bytes, guesser: Guesser) -> Participant:
    return Participant(source, guesser.total, guesser.first, guesser.last, proof_names(guesser.proofs))


def _account(event: SipEvent) -> Account:
    """Whose credentials the request carries."""
    assert event.auth is not None
    assert event.request is not None
    name, values = event.auth[0], event.request.auth
    user = name.partition(b"@")[0]
    if len(values) == 1 and (at := values[0].find(b'realm="')) >= 0:  # of nearly all: no full reading
        return Account(user, values[0][at + 7 : values[0].find(b'"', at + 7)].lower())
    for value in values:
        auth = fast_auth(value)
        if auth is not None and auth[0] == name and auth[1] == event.auth[1]:
            return Account(user, auth[3].lower())
    return Account(user, event.domain)


def _mine(response: Response) -> bytes:
    """The header field that names whoever sent the request."""
    line = b"\r\nTo: " if response.cseq_method == b"REGISTER" else b"\r\nFrom: "
    return response.usual(line) or b""


def _host(response: Response) -> bytes:
    return (fast_host(_mine(response)) or b"").lower()


def _realm(response: Response) -> bytes:
    """Realm of the first challenge that can be read."""
    for value in response.auth:
        auth = fast_auth(value)
        if auth is not None:
            return auth[3].lower()
    return b""
