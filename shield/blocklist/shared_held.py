"""What an operator does with records that are held because their node went beyond its budget."""

from __future__ import annotations

from shield.blocklist.aside import Why
from shield.blocklist.shared_record import ALLOW
from shield.blocklist.sharing import Sharing

__all__ = ["drop", "release"]


def release(sharing: Sharing, origin: str, now: float) -> int:
    """Apply what is held of a node, whatever its budget says; returns how many records."""
    keys = sharing.aside.keys(Why.HELD, origin)
    for key in keys:
        sharing.store.mark(key)
        if key[0] == ALLOW:
            sharing.allow.again(key, now)
    bans = (key for key in keys if key[0] != ALLOW)
    sharing.hand_over(list(sharing.admission.again(bans, now, free=True)), now)
    return len(keys)


def drop(sharing: Sharing, origin: str, now: float) -> int:
    """Take back, on all nodes, what is held of a node here; returns how many records."""
    wall, keys = sharing.wall(), sharing.aside.keys(Why.HELD, origin)
    gone = [key for key in keys if sharing.records.remove(key, now, wall) is not None]
    for key in keys:
        sharing.aside.pop(key)
    sharing.send(gone, now)
    return len(gone)
