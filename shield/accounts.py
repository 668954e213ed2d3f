"""Accounts that were taken over: told to everybody, kept, listed and cleared. No I/O of its own.

The hub hands on what the pipeline finds; operators see it with ``shield compromised``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from shield.blocklist.journal import Journal
from shield.errors import InputError

__all__ = ["Accounts"]

LISTED = 100
"""Reports that a list holds when it is not asked for more."""
MAX_WAITING = 1_000
"""Reports that wait for the journal; each is replaced by its later states."""

_log = logging.getLogger("shield")

Document = Mapping[str, Any]
"""What ``Compromise.as_json`` gives; of another node with its ``node``."""


class Accounts:
    """The reports of one node. ``publish`` takes events for watchers and hooks."""

    def __init__(self, journal: Journal, publish: Callable[[dict[str, Any]], None]) -> None:
        self._journal, self._publish = journal, publish
        self._waiting: dict[str, Document] = {}
        self.reported = 0
        """Reports since the start."""
        self.share: Callable[[Document], None] = lambda _document: None
        """Tells other nodes."""

    def __len__(self) -> int:
        """How many wait for the journal."""
        return len(self._waiting)

    def take(self, document: Document) -> None:
        """Tell what this node found."""
        self._tell(document)
        self.share(document)

    def take_shared(self, document: Document, node: str) -> None:
        """Tell what another node found."""
        self._tell({**document, "node": node})

    def save(self) -> None:
        """Give the journal what has changed."""
        if self._waiting:
            self._journal.record_accounts(list(self._waiting.values()))
            self._waiting.clear()

    def rows(self, limit: int = 0) -> list[dict[str, Any]]:
        """Reports, newest first."""
        self.save()
        return self._journal.accounts(limit or LISTED)

    def clear(self, ids: list[str] | None) -> dict[str, Any]:
        """Forget reports that somebody has dealt with, or all; the calls are followed on."""
        self.save()
        known = {row["id"] for row in self._journal.accounts(-1)}
        results = []
        for one in sorted(known) if ids is None else ids:
            if one in known:
                self._journal.forget_account(one)
                results.append({"value": one, "ok": True, "message": ""})
            else:
                results.append({"value": one[:260], "ok": False, "message": "no such report"})
        return {"results": results, "count": sum(bool(result["ok"]) for result in results)}

    def show(self, text: str) -> list[dict[str, Any]]:
        """The reports with this id, account or address; raises InputError when there is none."""
        found = [
            row
            for row in self.rows(-1)
            if text in (row["id"], row["account"], row["value"], f"{row['account']}@{row['realm']}")
        ]
        if not found:
            raise InputError(f"no report about {text[:100]!r}")
        return found

    def _tell(self, document: Document) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self.save()
        self._waiting[document["id"]] = document
        self._publish({"event": "compromised", **document})
        who = f"{document['account']}@{document['realm']}"
        if document["kind"] == "found":
            self.reported += 1
            _log.warning("compromised: account %s: %s", who, document["reason"])
        else:
            calls = document["calls_total"]
            _log.warning("compromised: account %s: %d call%s", who, calls, "s" * (calls != 1))
