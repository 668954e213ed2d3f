"""What is remembered of each client address, in little memory and bounded in number.

UDP sources can be forged by the million, so a record that did nothing suspicious must cost at most
300 bytes, and records with a history (trust earned, counters of a rule) outlive those without.
"""

from __future__ import annotations

from shield.detect.counters import Counters

__all__ = ["ENOUGH", "RATE_WINDOW", "SourceRecord", "Sources"]

RATE_WINDOW = 60
"""Seconds over which requests of a source are counted for ``rate``."""
MAX_CREDIT = 100.0
ENOUGH = 0.5
"""Credit from which on a source is trusted."""
REFUSED_SPOILS = 5
"""After this many refused passwords a success is no sign of a good client any more."""
MANY_ACCOUNTS = 4
"""Behind one address a few phones may have old passwords; who is refused for so many accounts sprays."""


_MANY = 4 * MANY_ACCOUNTS


def _mark(account: int) -> bytes:
    return (account & 0xFFFFFFFF).to_bytes(4, "big")


class SourceRecord:
    """One client address."""

    __slots__ = (
        "_before", "_minute", "_now", "accused", "counters", "credit", "credit_time", "crowded",
        "first_seen", "guessed", "last_seen", "messages", "progress_time", "refused",
    )  # fmt: skip

    def __init__(self, time: float) -> None:
        self.first_seen = time
        self.last_seen = time
        self.messages = 0
        self.credit = 0.0
        self.credit_time = 0.0
        self.refused = 0
        self.guessed = b""  # the accounts of these, four bytes of each
        self.progress_time = 0.0
        self.counters: Counters = None
        self.crowded = False  # whether some crowd counts it too
        self.accused = 0.0
        # Counted from first_seen: small numbers are no objects of their own.
        self._minute = 0
        self._now = 0
        self._before = 0

    def count(self, time: float) -> int:
        """Count one request; gives the requests of the last RATE_WINDOW seconds.

        Two buckets; the older one counts by the part of it that is still inside the window.
        """
        self.messages += 1
        self.last_seen = time
        minute = int((time - self.first_seen) // RATE_WINDOW)
        last = self._minute
        # Packets of the minute before arrive late and count now; a clock set back begins anew.
        if minute != last and (minute > last or minute < last - 1):
            self._before = self._now if minute == last + 1 else 0
            self._minute = minute
            self._now = 0
        self._now += 1
        return self._now if not self._before else self.rate(time)

    def rate(self, time: float) -> int:
        """Requests of the last RATE_WINDOW seconds, right after one was counted."""
        age = (time - self.first_seen) % RATE_WINDOW
        return self._now + int(self._before * (1.0 - age / RATE_WINDOW))

    def guessed_at(self, account: int) -> None:
        """Note that a password was refused which is no repetition."""
        self.refused += 1
        mark = _mark(account)
        if mark not in self.guessed and len(self.guessed) < _MANY:
            self.guessed += mark

    def succeeded(self, time: float, half_life: float, account: int | None = None) -> bool:
        """Credentials of ``account`` were accepted, or a call was answered; whether that earned credit.

        A success that follows guessing earns nothing: it may be the guess that hit. Another account
        than the few that were guessed at is not what was hit: one phone with an old password behind the
        NAT of an office does not cost the office its trust.
        """
        if self.refused < REFUSED_SPOILS:
            self.guessed = b""
        elif account is None or len(self.guessed) >= _MANY or _mark(account) in self.guessed:
            self.refused //= 2
            return False
        self.credit = min(MAX_CREDIT, self.trust(time, half_life) + 1.0)
        self.credit_time = time
        return True

    def trust(self, time: float, half_life: float) -> float:
        """Credit left at ``time``: 1 for each success, halved every ``half_life`` seconds."""
        if not self.credit:
            return 0.0
        return float(self.credit * 0.5 ** (max(0.0, time - self.credit_time) / half_life))

    def trusted(self, time: float, half_life: float) -> bool:
        """Whether successes outweigh weak evidence: one success counts for one half-life."""
        return self.credit > 0.0 and self.trust(time, half_life) >= ENOUGH


class Sources:
    """All records: two generations of a dict (see RecentMap), history is carried over."""

    def __init__(self, limit: int) -> None:
        self.limit(limit)
        self.young: dict[bytes, SourceRecord] = {}
        self.old: dict[bytes, SourceRecord] = {}
        self.forgotten = 0
        """Records dropped because there were too many sources."""

    def limit(self, limit: int) -> None:
        """Remember at most so many sources; a lower limit holds after the next generations."""
        self._half = max(2, limit // 2)

    def touch(self, address: bytes, time: float) -> SourceRecord:
        """Give the record of an address, made if missing."""
        record = self.young.get(address)
        if record is None:
            record = self.old.pop(address, None)
            if record is None:
                record = SourceRecord(time)
            if len(self.young) >= self._half:
                self._rotate()
            self.young[address] = record
        return record

    def get(self, address: bytes) -> SourceRecord | None:
        """Give the record of an address, if there is one."""
        return self.young.get(address) or self.old.get(address)

    def _rotate(self) -> None:
        room = self._half // 2
        kept: dict[bytes, SourceRecord] = {}
        for wanted in (_has_credit, _has_counters):
            for address, record in self.old.items():
                if len(kept) >= room:
                    break
                if wanted(record):
                    kept[address] = record
        self.forgotten += len(self.old) - len(kept)
        self.old = self.young
        self.young = kept

    def __len__(self) -> int:
        return len(self.young) + len(self.old)


def _has_credit(record: SourceRecord) -> bool:
    return record.credit > 0.0


def _has_counters(record: SourceRecord) -> bool:
    return record.counters is not None
