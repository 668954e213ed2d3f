"""The SQLite file under the journal: opened, laid out, written, set aside when it is damaged.

Work is handed over as jobs. What the disk refuses waits here, bounded, and is tried again.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from shield.blocklist.journal_schema import SALVAGED, ForeignFileError, check_version, migrate
from shield.errors import SystemFailure

__all__ = ["MAX_PENDING", "JournalFile", "JournalStats"]

_log = logging.getLogger(__name__)

MAX_PENDING = 200_000
"""Changes, alerts and allowlist entries that wait in memory for a disk that refuses: about 100 MB."""

BUSY_SECONDS = 1.0
"""Wait for a lock at most this long: only a second daemon or a backup program can hold one."""

CHECKPOINT_PAGES = 250
"""Pages of the log that are brought into the file in one go, in the event loop: the 1000 that SQLite
does by itself take up to 30 ms, these 4 ms."""

_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

Row = tuple[Any, ...]
Job = Callable[[sqlite3.Connection], object]


@dataclass(slots=True)
class JournalStats:
    """What happened since the journal was opened."""

    written: int = 0
    """Changes, alerts and allowlist entries on disk."""
    write_failures: int = 0
    """Transactions that the disk refused; their content waits and is tried again."""
    read_failures: int = 0
    pending: int = 0
    """Waiting in memory now."""
    lost: int = 0
    """Dropped: more than MAX_PENDING waited, or SQLite cannot hold the value."""
    rows_skipped: int = 0
    """Stored rows that could not be understood."""
    files_set_aside: int = 0
    """Damaged files that were replaced by a new one."""

    def as_json(self) -> dict[str, int]:
        """All counters by name."""
        return asdict(self)


class JournalFile:
    """The open file. Raises SystemFailure only when it is opened; all else is counted in ``stats``."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        self.stats = JournalStats()
        self._readonly = readonly
        self._pending: deque[tuple[int, Job]] = deque()
        self._failing = False
        self._damage: sqlite3.Error | None = None
        self._db: sqlite3.Connection | None
        if readonly:
            self._db = _open_readonly(path)
        else:
            self._db, self.stats.files_set_aside = _open(path)

    def write(self, count: int, job: Job) -> None:
        """Run ``job``, which stands for ``count`` records, in a transaction: now, or when it can be."""
        self._pending.append((count, job))
        self.stats.pending += count
        self.flush()
        while self.stats.pending > MAX_PENDING or len(self._pending) > MAX_PENDING:
            self._lose()

    def flush(self) -> bool:
        """Try again what waits; True when nothing waits any more."""
        while self._pending:
            try:
                self._commit(self._pending[0][1])
            except (sqlite3.OperationalError, SystemFailure) as error:
                self._refused(error)
                return False
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    self._lose()  # such a value is refused each time and must not block the others
                    continue
                self._refused(error)
                self._damage = error
                if not self.repair():
                    return False
            except (sqlite3.Error, OverflowError, ValueError):
                self._lose()
            else:
                count = self._pending.popleft()[0]
                self.stats.pending -= count
                self.stats.written += count
        if self._failing:
            self._failing = False
            _log.warning("journal %s can be written again, nothing waits", self.path)
        return True

    def rows(self, query: str, values: Sequence[object] = ()) -> Iterator[Row]:
        """Yield rows to the end, or until the file breaks: then ``repair`` has something to do."""
        if self._db is None:
            return
        try:
            yield from self._db.execute(query, values)
        except sqlite3.Error as error:
            self.stats.read_failures += 1
            _log.warning("journal %s cannot be read: %s", self.path, error)
            if _is_damage(error):
                self._damage = error

    def repair(self) -> bool:
        """Put a file that was found damaged aside; True when ``flush`` may begin a new one."""
        if self._damage is None or self._readonly:
            return False
        why, self._damage = str(self._damage), None
        saved = self._salvage()
        self.close()
        try:
            _set_aside(self.path, why)
        except SystemFailure as error:
            _log.error("%s", error)
            return False
        self.stats.files_set_aside += 1
        # Before all that waits, and like it tried again when the disk refuses.
        self._pending.appendleft((0, lambda db: [db.executemany(query, rows) for query, rows in saved]))
        return True

    def close(self) -> None:
        """Close the file; what waits is gone."""
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def _commit(self, job: Job) -> None:
        if self._db is None:
            self._db, more = _open(self.path)
            self.stats.files_set_aside += more
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            job(db)
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")

    def _refused(self, error: Exception) -> None:
        self.stats.write_failures += 1
        if not self._failing:
            self._failing = True
            _log.error("journal %s cannot be written, changes wait in memory: %s", self.path, error)

    def _lose(self) -> None:
        count = self._pending.popleft()[0]
        self.stats.pending -= count
        self.stats.lost += max(count, 1)

    def _salvage(self) -> list[tuple[str, list[Row]]]:
        saved = []
        for table, key in SALVAGED.items():
            rows: list[Row] = []
            names: list[str] = []
            for order in ("", " DESC"):  # from the other end too: what comes after the damaged pages
                if self._db is None:
                    break
                try:
                    found = self._db.execute(f"SELECT * FROM {table} ORDER BY {key}{order}")  # noqa: S608
                    names = [column[0] for column in found.description]
                    rows.extend(found)
                    break
                except sqlite3.Error:
                    continue
            if rows:
                marks = ",".join("?" * len(names))
                into = f"{table} ({','.join(names)})"
                saved.append((f"INSERT OR IGNORE INTO {into} VALUES ({marks})", rows))  # noqa: S608
        return saved


def _is_damage(error: sqlite3.Error) -> bool:
    """Tell a broken file from trouble that passes (full disk, lock)."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _DAMAGE


def _open(path: Path) -> tuple[sqlite3.Connection, int]:
    """Open or begin the file; returns it and how many damaged files were moved aside (0 or 1).

    Raises SystemFailure when the directory cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemFailure(f"cannot make the journal's directory {path.parent}: {error}") from error
    try:
        return _connect(path), 0
    except SystemFailure as error:
        raise SystemFailure(f"cannot use the journal {path}: {error}") from error
    except sqlite3.Error as error:
        if not isinstance(error, ForeignFileError) and not _is_damage(error):
            raise SystemFailure(f"cannot open the journal {path}: {error}") from error
        _set_aside(path, str(error))
    try:
        return _connect(path), 1
    except sqlite3.Error as error:
        raise SystemFailure(f"cannot open the journal {path}: {error}") from error


def _open_readonly(path: Path) -> sqlite3.Connection:
    """Open an existing journal to look at it; raises SystemFailure when that is not possible."""
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            check_version(connection)
        except (sqlite3.Error, SystemFailure):
            connection.close()
            raise
    except (sqlite3.Error, SystemFailure) as error:
        raise SystemFailure(f"cannot read the journal {path}: {error}") from error
    return connection


def _set_aside(path: Path, why: str) -> None:
    """Move a damaged file and what belongs to it to ``<path>.corrupt-<n>``; raises SystemFailure."""
    number = 1
    while (target := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    _log.warning("journal %s is damaged (%s): moved to %s, a new one is begun", path, why, target)
    try:
        for suffix in ("-wal", "-shm", ""):
            # The log of a damaged file must not be replayed into its successor.
            side = path.with_name(path.name + suffix)
            if side.exists():
                side.rename(target.with_name(target.name + suffix))
    except OSError as error:
        raise SystemFailure(f"cannot move the damaged journal {path} aside: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    with suppress(OSError):  # SQLite says better what is wrong
        # Evidence holds what callers sent, digests of passwords too: for the owner only.
        path.touch(mode=0o600)
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        # With WAL a lost machine may cost the last transactions; a killed process costs none.
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        migrate(connection)
    except (sqlite3.Error, SystemFailure):
        connection.close()
        raise
    return connection
