"""Partners: whom a node compares its map with, so that hundreds of nodes do not all ask each other.

A difference between two maps is mostly what one of all writers has just written. Every report tells the
digest of what its sender wrote itself, so that difference is looked for with its writer, and costs the
others nothing. What is left are records of writers that are gone, and our own after we have lost our
journal: for those a few members are asked, others after a while.
"""

from __future__ import annotations

from zlib import crc32

from shield.cluster.replicated import ReplicatedMap

__all__ = ["SMALL", "asks_for_all", "own_differs"]

SMALL = 16
"""Members up to which each is asked for everything: they find more ways, and it costs little."""

ASKED = 4
"""Of a larger number, about so many are asked for everything..."""

TURN = 10.0
"""... in so many seconds; then others."""


def own_differs(table: ReplicatedMap, writer: str, digest: int | None, now: float) -> bool:
    """Whether we lack what a member wrote, and can take it. ``digest``: None if it tells none."""
    account = table.account(writer)
    if digest is None:
        return True
    if table.is_forgotten(writer) or (account is not None and account.over(now)):
        return False
    return digest != table.digest_of(writer)


def asks_for_all(node: str, member: str, members: int, now: float) -> bool:
    """Whether a node asks a member, one of so many, for everything at this time."""
    turn = crc32(f"{node} {member} {now // TURN:.0f}".encode())
    return members <= SMALL or turn % members < ASKED
