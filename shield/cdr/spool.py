"""Spool: reports that not every collector has confirmed yet, in the order in which they were made.

They have numbers without gaps. A collector confirms up to a number; what all known collectors have
confirmed is deleted. While the disk refuses, reports wait in memory, bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from shield.cdr.store import Store
from shield.errors import SystemFailure

__all__ = ["Spool", "SpoolStats", "Spooled"]

LAYOUT = (
    """
    CREATE TABLE report (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
    CREATE TABLE collector (name TEXT PRIMARY KEY, upto INTEGER NOT NULL);
    CREATE TABLE spool (epoch BLOB NOT NULL)
    """,
)
MAX_WAITING = 100_000
"""Reports in memory while the disk refuses."""
EPOCH_OCTETS = 8


class Spooled(NamedTuple):
    """A report with its number."""

    id: int
    body: bytes


@dataclass(slots=True)
class SpoolStats:
    """What the spool did."""

    written: int = 0
    lost: int = 0
    """Reports dropped: more than MAX_WAITING waited for the disk, or ``cdr.max_spool`` was reached."""
    failures: int = 0
    """Transactions that the disk refused; their content waits."""
    problem: str = ""
    """What the disk said last; empty when it works."""


class Spool:
    """One node's reports. ``epoch``: octets that no other spool has, if this one is new."""

    def __init__(self, path: str, limit: int, epoch: bytes) -> None:
        self._store = Store(path, LAYOUT)
        self._limit = limit
        self.stats = SpoolStats()
        found = self._store.rows("SELECT epoch FROM spool")
        if not found:
            with self._store.transaction() as db:
                db.execute("INSERT INTO spool VALUES (?)", (epoch,))
        self.epoch: bytes = found[0][0] if found else epoch
        """Names this spool: numbers begin anew when its file is lost."""
        self.collectors: dict[str, int] = dict(self._store.rows("SELECT name, upto FROM collector"))
        """Up to which number each known collector has confirmed."""
        self._waiting: deque[bytes] = deque()
        bounds = self._store.rows("SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM report")[0]
        sequence = self._store.rows("SELECT seq FROM sqlite_sequence WHERE name = 'report'")
        self.last = int(max(bounds[1], sequence[0][0] if sequence else 0))
        """Number of the newest report on disk."""
        self._first = int(bounds[0] or self.last + 1)

    def __len__(self) -> int:
        """Return how many reports wait, in memory too."""
        return self.last - self._first + 1 + len(self._waiting)

    def put(self, body: bytes) -> None:
        """Add a report; ``flush`` writes it."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self.stats.lost += 1
        self._waiting.append(body)

    def flush(self) -> None:
        """Write what waits, and drop the oldest beyond the limit."""
        if not self._waiting:
            return
        try:
            with self._store.transaction() as db:
                db.executemany("INSERT INTO report (body) VALUES (?)", ((b,) for b in self._waiting))
                last = db.execute("SELECT max(id) FROM report").fetchone()[0]
        except SystemFailure as error:
            self.stats.failures += 1
            self.stats.problem = str(error)
            return
        self.stats.problem = ""
        self.stats.written += len(self._waiting)
        self._waiting.clear()
        self.last = last
        if self.last - self._first + 1 > self._limit:
            first = self.last - self._limit + 1
            if self._delete(first):
                self.stats.lost += first - self._first
                self._first = first

    def after(self, number: int, limit: int) -> Sequence[Spooled]:
        """The next reports after this number, at most so many."""
        rows = self._store.rows(
            "SELECT id, body FROM report WHERE id > ? ORDER BY id LIMIT ?", (number, limit)
        )
        return [Spooled._make(row) for row in rows]

    def know(self, collector: str) -> None:
        """Keep reports for a collector from now on: from the oldest one that is here."""
        if collector not in self.collectors:
            self._note(collector, self._first - 1)

    def confirm(self, collector: str, upto: int) -> None:
        """A collector has written everything up to this number."""
        upto = min(upto, self.last)
        if upto > self.collectors.get(collector, -1):
            self._note(collector, upto)
            self._forget_confirmed()

    def forget(self, collector: str) -> None:
        """Keep nothing for a collector any more."""
        if self.collectors.pop(collector, None) is not None:
            with self._store.transaction() as db:
                db.execute("DELETE FROM collector WHERE name = ?", (collector,))
            self._forget_confirmed()

    def close(self) -> None:
        """Write what waits and close the file."""
        self.flush()
        self._store.close()

    def _note(self, collector: str, upto: int) -> None:
        try:
            with self._store.transaction() as db:
                db.execute("INSERT OR REPLACE INTO collector VALUES (?, ?)", (collector, upto))
        except SystemFailure as error:
            self.stats.problem = str(error)  # it will be told again, which changes nothing
        self.collectors[collector] = upto

    def _forget_confirmed(self) -> None:
        if self.collectors:
            first = min(self.collectors.values()) + 1
            if first > self._first and self._delete(first):
                self._first = first

    def _delete(self, first: int) -> bool:
        try:
            with self._store.transaction() as db:
                db.execute("DELETE FROM report WHERE id < ?", (first,))
        except SystemFailure as error:
            self.stats.problem = str(error)
            return False
        return True
