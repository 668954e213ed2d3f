"""Store: a small SQLite file with its layout; what the disk refuses raises SystemFailure."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shield.errors import SystemFailure

__all__ = ["Store"]

BUSY_SECONDS = 1.0
"""Wait for a lock at most this long: only a backup program can hold one."""


class Store:
    """``layout``: SQL of each version, in order; a file of an earlier one is brought up to date.

    ``path`` may be ``:memory:``. With ``safe`` what was written survives a power cut. Raises
    SystemFailure naming the file when it cannot be opened.
    """

    def __init__(self, path: str, layout: Sequence[str], *, safe: bool = False) -> None:
        self.path = path
        try:
            if path != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(f"PRAGMA synchronous = {'FULL' if safe else 'NORMAL'}")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > len(layout):
                raise SystemFailure(f"{path}: written by a later version of shield ({version})")
            for number, step in enumerate(layout[version:], start=version + 1):
                self._db.executescript(f"BEGIN; {step}; PRAGMA user_version = {number}; COMMIT;")
        except (sqlite3.Error, OSError) as error:
            raise SystemFailure(f"{path}: {error}") from None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; raises SystemFailure when the disk refuses it."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise SystemFailure(f"{self.path}: {error}") from None

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise SystemFailure(f"{self.path}: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()
