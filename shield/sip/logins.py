"""Logins: what is remembered of one Call-ID while it authenticates."""

from __future__ import annotations

from collections.abc import Sequence

from shield.errors import RemoteError
from shield.sip.event import SipEvent
from shield.sip.headers import parse_challenge

__all__ = ["Login", "is_stale"]

MAX_REALMS = 4
"""Realms that may challenge one Call-ID before every further challenge counts as a refusal: a chain
of proxies has two or three, and some servers take the realm from what the client sent."""
MAX_WAITING = 32
"""Users that may be challenged at once under one Call-ID: gateways register all their lines so (RFC
3261 section 10.2.4), scanners try thousands."""


class Login:
    """One Call-ID of one client."""

    __slots__ = (
        "_answer",
        "_users",
        "cseq",
        "issued",
        "nonces",
        "realms",
        "tag",
        "unused",
        "waiting",
    )

    def __init__(self, cseq: int, tag: bytes) -> None:
        self.cseq = cseq
        self.tag = tag
        self.nonces: list[bytes] = []
        """Those of the latest challenge."""
        self.realms: tuple[bytes, ...] = ()
        """All that challenged so far."""
        self.issued = 0.0
        self.unused = False
        self._users: tuple[bytes, ...] = ()
        """Who tried to log in; a gateway does it for all its lines."""
        self._answer = (b"", b"", b"")
        """Method, credentials and response of the latest try."""
        self.waiting: dict[bytes, tuple[SipEvent, float]] = {}
        """Challenged requests without credentials since, by user, with the time until when to wait."""

    def challenged(self, nonces: list[bytes], time: float) -> None:
        """Note the nonces of a challenge; the next credentials are its answer."""
        self.nonces, self.issued, self.unused = nonces, time, True

    def stored(self, user: bytes, method: bytes, value: bytes, response: bytes) -> bool:
        """Note a try; whether a phone may have made it with the password of the try before.

        Not if it is the first one of this user, and not if the same nonce, count and cnonce got another
        response: only another password makes that (RFC 2617 section 3.2.2.1).
        """
        before, self._answer = self._answer, (method, value, response)
        if user not in self._users:
            if len(self._users) < MAX_WAITING:
                self._users += (user,)
            return False
        if response == before[2] or method != before[0]:
            return True
        return value.replace(response, b"") != before[1].replace(before[2], b"")

    def wait(self, event: SipEvent, deadline: float) -> SipEvent | None:
        """Wait for credentials; gives the oldest request when too many of this Call-ID wait."""
        self.waiting[event.user] = (event, deadline)
        if len(self.waiting) <= MAX_WAITING:
            return None
        return self.waiting.pop(next(iter(self.waiting)))[0]

    def new_realm(self, realms: set[bytes]) -> bool:
        """Note the realms of a challenge; whether another server of the chain asks for the first time.

        Then the server before it has taken the credentials (RFC 3261 section 22.3).
        """
        if not self.realms:
            self.realms = tuple(sorted(realms))[:MAX_REALMS] if len(realms) > 1 else tuple(realms)
            return False
        fresh = realms.difference(self.realms)
        if len(self.realms) >= MAX_REALMS or not fresh:
            return False
        self.realms += tuple(sorted(fresh))[:MAX_REALMS]
        return fresh == realms


def is_stale(values: Sequence[bytes]) -> bool:
    """Whether a challenge says that the digest was right and only its nonce too old."""
    for value in values:
        if b"stale" not in value.lower():
            continue
        try:
            if parse_challenge(value).stale:
                return True
        except RemoteError:
            continue
    return False
