"""Aside: shared records that this node does not apply, and why.

The map of the cluster holds what all nodes say; what one of them refuses, holds or waits for stands here
by its key. There are never more than records in the map.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import NamedTuple

__all__ = ["Aside", "Mark", "Why"]


class Why(StrEnum):
    """Reason why a record is not applied."""

    HELD = "held"
    """Beyond the origin's budget; an operator releases or drops it."""
    ALLOWLISTED = "allowlisted"
    """The own allowlist covers it; applied when that ends."""
    OWN_SERVER = "own_server"
    """It would ban one of our own SIP servers."""
    MEMBER = "member"
    """It would ban a node of the cluster, and so cut it off here."""
    PREFIX = "prefix"
    """The network is too large."""
    QUORUM = "quorum"
    """Not enough nodes say so."""
    FULL = "full"
    """The blocklist or the allowlist has no room."""
    SWITCHED_OFF = "switched_off"
    """An allowlist entry, and ``share_allow`` is off."""
    UNPROVEN = "unproven"
    """It says itself that its address could be forged, where only proven bans are told."""
    TRUSTED = "trusted"
    """An unproven ban, and the address has lately logged in or completed a call here."""
    RINGING = "ringing"
    """An unproven ban, and a call of the address rings here; looked at again when that is over."""
    FLOOD = "flood"
    """One of many unproven bans of addresses with a message each: somebody forges them."""
    TOO_MANY = "too_many"
    """An unproven ban beyond the origin's budget of these."""
    REFUSED_BEFORE = "refused_before"
    """An unproven ban that was not in force when this node stopped; what it knew then is forgotten."""
    COVERED = "covered"
    """An unproven ban, while a proven decision about the address is in force; never set aside for it."""
    UNREADABLE = "unreadable"
    """Key or value make no sense to this version."""


class Mark(NamedTuple):
    """Who said it, and why it is not applied."""

    origin: str
    why: Why


class Aside:
    """Keys of records that are not applied."""

    def __init__(self) -> None:
        self.marks: dict[bytes, Mark] = {}
        """By key; to be read only. While it is empty nothing needs to be taken out."""
        self._known: dict[tuple[str, Why], Mark] = {}
        self._counts: Counter[Mark] = Counter()

    def put(self, key: bytes, origin: str, why: Why) -> None:
        """Set a record aside (again: the new reason counts)."""
        mark = self._known.get((origin, why))
        if mark is None:
            mark = self._known[origin, why] = Mark(origin, why)
        before = self.marks.get(key)
        if before is not None:
            self._counts[before] -= 1
        self.marks[key] = mark
        self._counts[mark] += 1

    def pop(self, key: bytes) -> Mark | None:
        """Set a record aside no more; returns what was known."""
        mark = self.marks.pop(key, None)
        if mark is not None:
            self._counts[mark] -= 1
        return mark

    def get(self, key: bytes) -> Mark | None:
        """Why the record is not applied; None when it is, or there is none."""
        return self.marks.get(key)

    def keys(self, why: Why, origin: str | None = None) -> list[bytes]:
        """Keys of all records with this reason, of one origin or of all, oldest first."""
        if not self.count(why, origin):
            return []
        return [k for k, m in self.marks.items() if m.why is why and origin in (None, m.origin)]

    def count(self, why: Why, origin: str | None = None) -> int:
        """How many records have this reason."""
        return sum(n for m, n in self._counts.items() if m.why is why and origin in (None, m.origin))

    def counts(self) -> dict[Mark, int]:
        """How many records there are of each origin with each reason."""
        return {mark: count for mark, count in self._counts.items() if count}

    def __len__(self) -> int:
        return len(self.marks)
