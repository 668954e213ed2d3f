"""The counters of one source, in little memory: nearly always there is one and it counted one thing.

Whoever forges addresses makes a source of each packet, and where a rule counts what that packet asks for
(OPTIONS to a user), each source gets a counter. So a first thing is held as 65 bytes without objects in
it. When a second one comes, or a proven one, real counters take its place: same numbers, more memory.
"""

from __future__ import annotations

from struct import Struct

from shield.detect.window import Counter, Window

__all__ = ["KEY_BITS", "Counters", "forgive", "opened", "rule_key", "single"]

_things = Struct("dqqq")
"""Event time of the last thing, key of the counter, the thing, how often it was counted."""

KEY_BITS = (1 << 48) - 1
"""Of a key this much is a hash of what a rule counts by; above it stands the number of the rule."""
MAX_RULES = 1 << 15
"""Far more names than there are rules; keys fit into 64 bits."""
_numbers: dict[str, int] = {}

Counters = bytes | dict[int, Counter] | None
"""One thing counted, counters by key, or nothing counted yet. Keys and single things are hashes."""


def rule_key(name: str) -> int:
    """Key of the counter of a rule that counts by the source alone; the same for a name at any time.

    A counter needs no name in it then, and it outlives a reload of the rules.
    """
    number = _numbers.setdefault(name, len(_numbers) % MAX_RULES)
    return number << 48


def single(counters: bytes | None, key: int, thing: int | None, time: float) -> bytes | None:
    """Count an unproven thing as the only one of its source; None when it is not the only one.

    ``thing`` is None where each thing is a new one.
    """
    if counters is None:
        return _things.pack(time, key, thing or 0, 1)
    _, only, counted, total = _things.unpack(counters)
    if only != key or thing is None or counted != thing:
        return None
    return _things.pack(time, key, thing, total + 1)


def opened(counters: Counters) -> dict[int, Counter]:
    """The same as real counters."""
    if counters is None:
        return {}
    if isinstance(counters, dict):
        return counters
    time, key, thing, total = _things.unpack(counters)
    window = Window()
    window.total = total
    window.add_first(thing, time)
    return {key: window}


def forgive(counters: bytes | dict[int, Counter], key: int, thing: int) -> Counters:
    """Take a thing out of a counter again; gives what is left of the counters."""
    if isinstance(counters, dict):
        counter = counters.get(key)
        if counter is not None:
            counter.forgive(thing)
        return counters
    _, only, counted, _ = _things.unpack(counters)
    return None if only == key and counted == thing else counters
