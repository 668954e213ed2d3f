"""What can be told while the daemon is down: the journal, opened to look at it only.

The daemon's own word comes first everywhere; who reads an answer from here is told so.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shield.blocklist.filters import parse_filter
from shield.cli.group import complain
from shield.cli.options import configured
from shield.errors import SystemFailure
from shield.net import Network

if TYPE_CHECKING:
    from shield.blocklist.journal import Journal

__all__ = ["journal_accounts", "journal_decisions", "journal_path", "journal_show"]

HISTORY = 50
"""Past events of one address that are shown."""


def journal_path() -> Path:
    """Tell where the journal is: as configured, else the default."""
    from shield.blocklist.journal import JournalSettings

    return Path(configured("journal", "path") or JournalSettings().path)


def journal_decisions(text: str, why: str) -> list[dict[str, Any]]:
    """Live decisions of the journal that match a filter; ``why`` is the daemon's absence.

    Raises SystemFailure(``why``) when there is no journal either: the daemon is what is missing.
    """
    wanted = parse_filter(text)
    now = time.time()
    with _journal(why) as journal:
        decisions = journal.load(now, now).decisions
        rows = [decision.as_json(now) for decision in decisions if decision.until > now]
    return [row for row in rows if wanted.matches(row, now)]


def journal_show(value: str, why: str) -> dict[str, Any]:
    """Tell of one address or network what the journal holds, in the shape of ``show``."""
    from shield.blocklist.story import story

    network, now = Network.parse(value), time.time()
    with _journal(why) as journal:
        live = journal.load(now, now)
        allowed = (entry for entry in live.allowed if any(n.contains(network) for n in entry.networks))
        return story(
            value,
            now,
            decisions=[d for d in live.decisions if d.until > now and d.network.contains(network)],
            allowed=next(allowed, None),
            alerts=journal.alerts(value, HISTORY),
            history=journal.history(value, HISTORY),
        )


def journal_accounts(limit: int, why: str) -> list[dict[str, Any]]:
    """Taken over accounts of the journal, newest first."""
    with _journal(why) as journal:
        return journal.accounts(limit)


@contextlib.contextmanager
def _journal(why: str) -> Iterator[Journal]:
    from shield.blocklist.journal import Journal

    path = journal_path()
    try:
        journal = Journal.open_readonly(path)
    except SystemFailure:
        raise SystemFailure(why) from None
    complain(f"{why}; this is what {path} says")
    try:
        yield journal
    finally:
        journal.close()
