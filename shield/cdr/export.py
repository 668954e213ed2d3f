"""Export: finished calls as CSV and JSON lines, each call once in each kind of file.

A line is appended, and then noted in the ledger how long the file is and which call was the last one.
After a crash between the two the file is cut back to what was noted, so no call comes twice and none
is left out. A file is named after the moment of its first call; a new one begins each day (UTC) and
when it is large. Programs that collect these files take all but the newest.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shield.cdr.ledger import Ledger
from shield.cdr.rows import COLUMNS, call_json, csv_line
from shield.cdr.settings import CdrSettings
from shield.errors import SystemFailure

__all__ = ["SETTLE", "Exporter"]

SETTLE = 10.0
"""Seconds after its last change until a call is exported: other nodes that it passed add their names."""
PORTION = 1_000
"""Calls in one go: some ten milliseconds."""

_KINDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "csv": csv_line,
    "jsonl": lambda call: json.dumps(call, ensure_ascii=False) + "\n",
}


class Exporter:
    """Writes into ``settings.export``. ``problem`` says what the disk said last."""

    def __init__(self, settings: CdrSettings, ledger: Ledger) -> None:
        self.settings = settings
        self.problem = ""
        self.written = 0
        self._ledger = ledger
        self._folder = Path(settings.export)

    def run(self, wall: float) -> bool:
        """Write what is due; whether there may be more."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            more = [self._one(kind, wall) for kind in _KINDS]
        except (OSError, SystemFailure) as error:
            self.problem = str(error)
            return False
        self.problem = ""
        return any(more)

    def _one(self, kind: str, wall: float) -> bool:
        """Write one portion of one kind of file."""
        name, size, last = self._noted(kind)
        # In the order of their numbers: up to the first one that has not settled yet.
        calls = self._ledger.calls(
            "number > ? AND number < coalesce("
            "(SELECT min(number) FROM call WHERE number > ? AND written > ?), 1 << 62)",
            (last, last, wall - SETTLE),
            order="number",
            limit=PORTION,
        )
        if not calls:
            return False
        if not name or self._is_over(name, size, wall):
            name, size = self._next_name(kind, wall), 0
        lines = [_KINDS[kind](call_json(number, row)) for number, row in calls]
        if kind == "csv" and not size:
            lines.insert(0, ",".join(COLUMNS) + "\n")
        size = self._append(self._folder / name, size, "".join(lines).encode("utf-8"))
        with self._ledger.store.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO export VALUES (?, ?, ?, ?)", (kind, name, size, calls[-1][0])
            )
        self.written += len(calls)
        self._forget_old(kind)
        return len(calls) == PORTION

    def _noted(self, kind: str) -> tuple[str, int, int]:
        query = "SELECT file, size, number FROM export WHERE kind = ?"
        for name, size, number in self._ledger.store.rows(query, (kind,)):
            return name, size, number
        return "", 0, 0

    def _append(self, path: Path, size: int, octets: bytes) -> int:
        """Cut the file back to what was noted, and append; gives its new size."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
        try:
            os.ftruncate(descriptor, min(size, os.fstat(descriptor).st_size))
            os.lseek(descriptor, 0, os.SEEK_END)
            left = memoryview(octets)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def _is_over(self, name: str, size: int, wall: float) -> bool:
        return size >= self.settings.rotate_size or _day(wall) not in name

    def _next_name(self, kind: str, wall: float) -> str:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(wall))
        name, number = f"cdr-{stamp}.{kind}", 1
        while (self._folder / name).exists():
            name, number = f"cdr-{stamp}-{number}.{kind}", number + 1
        return name

    def _forget_old(self, kind: str) -> None:
        keep = self.settings.keep_files
        if keep:
            for path in sorted(self._folder.glob(f"cdr-*.{kind}"))[:-keep]:
                path.unlink(missing_ok=True)


def _day(wall: float) -> str:
    return time.strftime("%Y%m%d", time.gmtime(wall))
