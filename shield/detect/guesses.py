"""Guesses: which passwords of which account were refused, from where: kept until one is accepted.

What counts as guessing has the limits of the rules that ban for it, so one truth holds for both: what
a forgetful user, a phone with an old password, or the four devices of an account whose password was
changed do is below them (``rules/password-guessing.toml``, ``rules/distributed-*.toml``).
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from shield.sip.recent import RecentMap

__all__ = ["Account", "Guessed", "Guesser", "Guesses"]

MAX_USERS = 16_384
"""User names that are guessed at, at a time."""
MAX_REALMS = 16
"""Realms of one user name: each customer of a provider may have an extension 100."""
MAX_GUESSERS = 64
"""Sources remembered for each of them; a crowd is known by 16."""
MAX_ALL_GUESSERS = 20_000
"""Sources of all accounts in a generation, 20 MB: who forges addresses may make one with each try."""
MAX_CALL_IDS = 256
"""Call-IDs remembered for each account."""
MAX_CALL_ID = 64
"""Bytes of each."""
MEMORY = 86_400.0
"""Seconds that guessing is remembered at least."""

FEW, FEW_TIME = 5, 600.0
"""Guesses of one source within ten minutes: people give up, or ask, after three or four; the same number
spoils the trust that a success would earn (``REFUSED_SPOILS``)."""
SLOW, SLOW_TIME = 10, 7_200.0
"""The same within two hours, as in password-guessing."""
TRUSTED_FACTOR = 4
"""So many times as much behind an address where the account, or others, log in rightly."""
_KEEP = SLOW * TRUSTED_FACTOR
"""Times remembered of each source: as many as the highest of these limits asks for."""

CROWDS = ((5, 2, 3_600.0), (16, 1, 3_600.0), (5, 6, 86_400.0))
"""So many sources with so many Call-IDs of their own in so many seconds are a crowd, as in
distributed-guessing, distributed-trickle and distributed-slow-guessing."""

_KEEP_OWN = max(each for _, each, _ in CROWDS)


class Account(NamedTuple):
    """Whose password it is."""

    user: bytes
    """User name of the credentials without a domain."""
    realm: bytes
    """Realm of the credentials, lower case."""


class Guesser:
    """One source that guesses at one account."""

    __slots__ = ("agent", "first", "last", "own", "proofs", "times", "total")

    def __init__(self, time: float) -> None:
        self.first = self.last = time
        self.total = 0
        self.proofs = 0
        """Signs that the address is not forged, of all guesses together."""
        self.times: deque[float] = deque(maxlen=_KEEP)
        self.own: deque[float] = deque(maxlen=_KEEP_OWN)
        """When it showed Call-IDs that nobody had shown before."""
        self.agent = b""

    def alone(self, time: float, factor: int) -> bool:
        """Whether it has guessed enough by itself."""
        return (
            _within(self.times, time, FEW_TIME) >= FEW * factor
            or _within(self.times, time, SLOW_TIME) >= SLOW * factor
        )


class Guessed:
    """One account that is guessed at."""

    __slots__ = ("_call_ids", "guessers")

    def __init__(self) -> None:
        self.guessers: dict[bytes, Guesser] = {}
        self._call_ids: dict[bytes, None] = {}

    def add(self, source: bytes, call_id: bytes, time: float, proofs: int, agent: bytes) -> bool:
        """Count a guess; whether its source is a new one."""
        guesser = self.guessers.get(source)
        new = guesser is None
        if guesser is None:
            if len(self.guessers) >= MAX_GUESSERS:
                del self.guessers[next(iter(self.guessers))]
            guesser = self.guessers[source] = Guesser(time)
        guesser.total += 1
        guesser.last = time
        if agent:
            guesser.agent = agent
        guesser.proofs |= proofs
        guesser.times.append(time)
        # A phone that moves takes its Call-ID along, and stays one guesser (shield.detect.crowd).
        if call_id not in self._call_ids:
            self._call_ids[call_id] = None
            guesser.own.append(time)
            if len(self._call_ids) > MAX_CALL_IDS:
                del self._call_ids[next(iter(self._call_ids))]
        return new

    def crowded(self, time: float) -> bool:
        """Whether a crowd guesses at it."""
        return any(
            sum(_within(one.own, time, within) >= each for one in self.guessers.values()) >= sources
            for sources, each, within in CROWDS
        )

    @property
    def last(self) -> float:
        """Event time of the latest guess."""
        return max(one.last for one in self.guessers.values())


class Guesses:
    """All accounts that are guessed at, by user name and realm."""

    def __init__(self) -> None:
        self._users: RecentMap[bytes, dict[bytes, Guessed]] = RecentMap(MAX_USERS, MEMORY)
        self._guessers = 0

    def add(
        self, account: Account, source: bytes, call_id: bytes, time: float, *, proofs: int, agent: bytes
    ) -> None:
        """A password of the account was refused, and it was no repetition."""
        user, realm = account
        realms = self._users.young.get(user)
        if realms is None:
            realms = self._users.get(user) or {}
            self._users.put(user, realms)
        guessed = realms.get(realm)
        if guessed is None:
            if len(realms) >= MAX_REALMS:
                del realms[next(iter(realms))]
            guessed = realms[realm] = Guessed()
        if guessed.add(source, call_id[:MAX_CALL_ID], time, proofs, agent):
            self._guessers += 1
            if self._guessers > MAX_ALL_GUESSERS:
                self._users.turn()
                self._guessers = 0

    def at(self, account: Account) -> Guessed | None:
        """Who guesses at this account."""
        return (self._users.get(account.user) or {}).get(account.realm)

    def any_at(self, user: bytes) -> bool:
        """Whether somebody guesses at a user of this name in some realm: asked for each success."""
        users = self._users
        return user in users.young or user in users.old

    def tick(self, time: float) -> None:
        """Let event time pass."""
        self._users.tick(time)


def _within(times: deque[float], time: float, seconds: float) -> int:
    return sum(time - then <= seconds for then in times)
