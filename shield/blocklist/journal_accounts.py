"""Taken over accounts in the journal: one row for each report, replaced while its calls go on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shield.errors import InputError

__all__ = ["FORGET_ACCOUNTS", "MAX_REPORTS", "PUT_ACCOUNT", "account_columns", "read_account"]

MAX_REPORTS = 10_000
"""Reports that are kept, some 5 kB each; the oldest go."""

PUT_ACCOUNT = "INSERT OR REPLACE INTO compromised VALUES (?,?,?)"
FORGET_ACCOUNTS = (
    "DELETE FROM compromised WHERE at < ? OR id IN "
    "(SELECT id FROM compromised ORDER BY at DESC LIMIT -1 OFFSET ?)"
)
"""Takes the wall time before which reports are too old, and MAX_REPORTS."""


def account_columns(documents: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """Columns of reports (``Compromise.as_json``); ``read_account`` is the way back."""
    for document in documents:
        # Escaped to ASCII: text of packets may hold lone surrogates, which SQLite refuses.
        yield document["id"], document["succeeded"], json.dumps(document)


def read_account(row: tuple[Any, ...]) -> dict[str, Any]:
    """Read a row of ``compromised`` as it is shown; raises InputError for one that makes no sense."""
    document = json.loads(row[2])
    if not isinstance(document, dict) or document.get("id") != row[0]:
        raise InputError("not a report of an account")
    return document
