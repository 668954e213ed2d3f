"""Journal: what survives a restart or kill -9: live decisions, their history, alerts, allowlist.

Each ``record`` is one transaction, so 100,000 changes are as good as free. Node time stands still or
starts anew when the machine restarts, so ends are stored as wall time and turned back on ``load``.
What cannot be written (full disk) waits in memory, is tried again with the next call, and is
counted: a broken disk must not stop the blocking.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from shield.blocklist.allowlist import AllowEntry
from shield.blocklist.decision import Change, ChangeKind, Decision
from shield.blocklist.journal_accounts import PUT_ACCOUNT, account_columns, read_account
from shield.blocklist.journal_file import JournalFile
from shield.blocklist.journal_prune import forget, trim_alerts
from shield.blocklist.journal_rows import (
    UNREADABLE,
    Row,
    alert_document,
    alert_row,
    allow_row,
    decision_row,
    read_alert,
    read_allowed,
    read_decision,
    read_history,
)
from shield.blocklist.journal_shared import (
    FORGET_SHARED,
    PUT_SHARED,
    SharedRow,
    read_shared,
    shared_columns,
)
from shield.detect.alert import Alert
from shield.errors import ConfigError

__all__ = ["Journal", "JournalSettings", "Snapshot"]

_log = logging.getLogger(__name__)
T = TypeVar("T")

TRIM_EVERY = 256
"""Alerts between two checks of ``max_alerts``: counting them each time would cost more than storing."""

_BEGUN = frozenset({ChangeKind.ADDED, ChangeKind.EXTENDED})
_PUT = "INSERT OR REPLACE INTO decisions VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
_HISTORY = "INSERT INTO history VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_ALLOW = "INSERT OR REPLACE INTO allowed VALUES (?,?,?,?,?,?,?)"


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Section ``[journal]`` of the configuration: what survives a restart."""

    path: str = "/var/lib/shield/journal.db"
    """SQLite file. Its directory is made when it is missing."""
    history_days: float = 90.0
    """Days that ended decisions and alerts are kept."""
    max_history: int = 1_000_000
    """Changes of decisions that are kept, about 0.3 kB each; unproven ones go first."""
    max_alerts: int = 100_000
    """Alerts that are kept, about 2 kB each with their evidence; unproven ones go first."""
    max_alerts_per_source: int = 20
    """Alerts that are kept of one address, the newest."""

    def __post_init__(self) -> None:
        problems = []
        if not self.path.startswith("/"):
            problems.append(f"journal.path: {self.path!r} must be an absolute path")
        if not 0 < self.history_days <= 3660:
            problems.append(
                f"journal.history_days: {self.history_days} must be more than 0, at most 3660"
            )
        problems += [
            f"journal.{name}: {getattr(self, name)} must be at least 1"
            for name in ("max_history", "max_alerts", "max_alerts_per_source")
            if getattr(self, name) < 1
        ]
        if problems:
            raise ConfigError(*problems)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was live when the journal was read, ends in node time."""

    decisions: list[Decision]
    allowed: list[AllowEntry]


class Journal:
    """The open journal. Threads may share it, one call at a time. Raises SystemFailure only here."""

    def __init__(self, settings: JournalSettings, *, readonly: bool = False) -> None:
        self.settings = settings
        self._file = JournalFile(Path(settings.path), readonly=readonly)
        self.stats = self._file.stats
        self._untrimmed = 0

    @classmethod
    def open_readonly(cls, path: str | Path) -> Journal:
        """Look at the journal of a daemon, running or not; raises SystemFailure when there is none."""
        return cls(JournalSettings(path=str(Path(path).absolute())), readonly=True)

    def record(
        self, changes: Sequence[Change], now: float, wall: float, *, shared: bool = False
    ) -> None:
        """Store changes of the blocklist, in their order, as one transaction.

        ``shared``: other nodes decided; what is live is among the shared records, not stored twice.
        """
        if not changes:
            self.flush()
            return
        shift = wall - now
        history: list[Row] = []
        replaced: dict[tuple[str, str], None] = {}
        live: dict[tuple[str, str], Row] = {}
        for change in changes:
            row = decision_row(change.decision, shift)
            history.append((wall, change.kind.value, change.reason, *row))
            value, proof = row[:2]
            if shared and change.kind is ChangeKind.ADDED:
                continue
            if change.kind in _BEGUN and proof == "unproven" and not shared:
                live[value, proof] = row
                continue
            # An ended ban ends both kinds; a proven decision takes the place of an unproven one.
            for kind in ("proven", "unproven"):
                replaced[value, kind] = None
                live.pop((value, kind), None)
            if change.kind in _BEGUN and not shared:
                live[value, proof] = row

        def write(db: sqlite3.Connection) -> None:
            db.executemany(_HISTORY, history)
            db.executemany("DELETE FROM decisions WHERE value = ? AND proof = ?", replaced)
            db.executemany(_PUT, live.values())

        self._file.write(len(changes), write)

    def record_alert(self, alert: Alert, wall: float) -> None:
        """Store an alert with its evidence; the oldest of the same source make room."""
        self.record_document(alert_document(alert, wall))

    def record_document(self, document: Mapping[str, Any]) -> None:
        """Store an alert in the shape of ``alert_document``; one from another node names its origin."""
        row = alert_row(document)
        value, keep = row[1], self.settings.max_alerts_per_source

        def write(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO alerts VALUES (?,?,?,?)", row)
            db.execute(
                "DELETE FROM alerts WHERE value = ? AND rowid NOT IN "
                "(SELECT rowid FROM alerts WHERE value = ? ORDER BY rowid DESC LIMIT ?)",
                (value, value, keep),
            )

        self._file.write(1, write)
        self._untrimmed += 1
        if self._untrimmed >= TRIM_EVERY:
            self._untrimmed = 0
            most = self.settings.max_alerts
            self._file.write(0, lambda db: trim_alerts(db, most))

    def save_allow(self, entry: AllowEntry, now: float, wall: float) -> None:
        """Store an allowlist entry, in place of one with the same value."""
        row = allow_row(entry, wall - now)
        self._file.write(1, lambda db: db.execute(_ALLOW, row))

    def remove_allow(self, value: str) -> None:
        """Forget an allowlist entry."""
        self._file.write(1, lambda db: db.execute("DELETE FROM allowed WHERE value = ?", (value,)))

    def record_shared(self, rows: Sequence[SharedRow], gone: Sequence[bytes]) -> None:
        """Store records of the replicated map and forget those whose keys are ``gone``."""
        columns, keys = list(shared_columns(rows)), [(key,) for key in gone]

        def write(db: sqlite3.Connection) -> None:
            db.executemany(FORGET_SHARED, keys)
            db.executemany(PUT_SHARED, columns)

        if columns or keys:
            self._file.write(len(columns) + len(keys), write)

    def record_accounts(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Store reports of taken over accounts, in place of earlier states of them."""
        columns = list(account_columns(documents))
        self._file.write(len(columns), lambda db: db.executemany(PUT_ACCOUNT, columns))

    def forget_account(self, id_: str) -> None:
        """Forget one report."""
        self._file.write(1, lambda db: db.execute("DELETE FROM compromised WHERE id = ?", (id_,)))

    def accounts(self, limit: int) -> list[dict[str, Any]]:
        """Return reports of taken over accounts, newest first; -1: all."""
        query = "SELECT * FROM compromised ORDER BY at DESC LIMIT ?"
        return self._read(read_account, query, limit)

    def flush(self) -> bool:
        """Try again what the disk refused; True when nothing waits any more."""
        return self._file.flush()

    def load(self, now: float, wall: float) -> Snapshot:
        """Read what has not ended. A damaged file is replaced by a new one with what can be read."""
        snapshot = self._load(now, wall)
        if self._file.repair() and self._file.flush():
            return self._load(now, wall)
        return snapshot

    def load_shared(self, wall: float) -> list[SharedRow]:
        """Read the records of the replicated map that have not ended."""
        return self._read(read_shared, "SELECT * FROM shared WHERE until > ?", wall)

    def history(self, value: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Return changes of one address or network (None: of all), newest first."""
        return self._newest(read_history, "history", value, limit)

    def alerts(self, value: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Return alerts of one address (None: of all) with their evidence, newest first."""
        return self._newest(read_alert, "alerts", value, limit)

    def past_bans(self, since_wall: float) -> dict[str, int]:
        """How often each value was banned since then, for ban escalation. Reads the whole history.

        Only proven bans count, for anybody can forge an address, and none that an unban or the allowlist
        took back.
        """
        counts: dict[str, int] = {}
        banned: set[str] = set()
        query = "SELECT value, change, proof FROM history WHERE at >= ? ORDER BY rowid"
        for value, change, proof in self._file.rows(query, (since_wall,)):
            begun = change in _BEGUN
            if begun and proof == "proven" and (change == "added" or value not in banned):
                counts[value] = counts.get(value, 0) + 1
                banned.add(value)
            elif change == "removed" and value in banned:
                counts[value] -= 1
            if not begun or (change == "added" and proof != "proven"):
                banned.discard(value)
        return {value: count for value, count in counts.items() if count}

    def prune(self, wall: float) -> Iterator[None]:
        """Forget what is older than ``history_days`` or beyond the limits. Begin it about hourly.

        A million rows take half a second, so a portion is done with each step (see ``journal_prune``).
        """
        settings = self.settings
        oldest = wall - settings.history_days * 86400
        return forget(
            self._file,
            wall,
            oldest,
            max_history=settings.max_history,
            max_alerts=settings.max_alerts,
        )

    def close(self) -> None:
        """Write what waits and close the file."""
        if not self.flush():
            _log.error("journal %s: %d records are lost", self.settings.path, self.stats.pending)
        self._file.close()

    def _load(self, now: float, wall: float) -> Snapshot:
        shift = wall - now
        decisions = "SELECT * FROM decisions WHERE until > ?"
        allowed = "SELECT * FROM allowed WHERE until IS NULL OR until > ?"
        return Snapshot(
            self._read(lambda row: read_decision(row, shift, wall), decisions, wall),
            self._read(lambda row: read_allowed(row, shift), allowed, wall),
        )

    def _newest(
        self, reader: Callable[[Row], dict[str, Any]], table: str, value: str | None, limit: int
    ) -> list[dict[str, Any]]:
        where = "" if value is None else "WHERE value = ?"
        query = f"SELECT * FROM {table} {where} ORDER BY rowid DESC LIMIT ?"  # noqa: S608
        values = (limit,) if value is None else (value, limit)
        return self._read(reader, query, *values)

    def _read(self, reader: Callable[[Row], T], query: str, *values: object) -> list[T]:
        found = []
        for row in self._file.rows(query, values):
            try:
                found.append(reader(row))
            except UNREADABLE as error:
                if not self.stats.rows_skipped:
                    _log.warning("journal %s: row %.200r skipped: %s", self.settings.path, row, error)
                self.stats.rows_skipped += 1
        return found
