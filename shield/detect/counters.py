"""The counters of one source, in little memory: nearly always there is one and it counted one thing.

Whoever forges addresses makes a source of each packet, and where a rule counts what that packet asks for
(OPTIONS to a user), each source gets a counter. So a first thing is held as 65 bytes without objects in
it. When a second one comes, or a proven one, a real counter takes its place: same numbers, more memory.
A suspect fits several rules, and most of them with one thing only: these stay as small.
"""

from __future__ import annotations

from struct import Struct

from shield.detect.window import Counter, Window

__all__ = ["KEY_BITS", "MAX_COUNTERS", "Counters", "forgive", "opened", "real", "rule_key", "single"]

_things = Struct("dqqq")
"""Event time of the last thing, key of the counter, the thing, how often it was counted."""

KEY_BITS = (1 << 48) - 1
"""Of a key this much is a hash of what a rule counts by; above it stands the number of the rule."""
MAX_RULES = 1 << 15
"""Far more names than there are rules; keys fit into 64 bits."""
MAX_COUNTERS = 64
"""Counters of one source; a source that needs more has long been found."""
_numbers: dict[str, int] = {}

Counters = bytes | dict[int, Counter | bytes] | None
"""One thing counted, counters by key, or nothing counted yet. Keys and things are hashes.

A counter with one thing is bytes there too."""


def rule_key(name: str) -> int:
    """Key of the counter of a rule that counts by the source alone; the same for a name at any time.

    A counter needs no name in it then, and it outlives a reload of the rules.
    """
    number = _numbers.setdefault(name, len(_numbers) % MAX_RULES)
    return number << 48


def single(counters: Counters, key: int, thing: int | None, time: float) -> Counters:
    """Count an unproven thing as the only one of its counter; None when it is not the only one.

    ``thing`` is None where each thing is a new one.
    """
    if counters is None:
        return _things.pack(time, key, thing or 0, 1)
    if isinstance(counters, bytes):
        only = _things.unpack(counters)[1]
        if only != key:
            return {only: counters, key: _things.pack(time, key, thing or 0, 1)}
        return _again(counters, thing, time)
    held = counters.get(key)
    again: bytes | None = None
    if isinstance(held, bytes):
        again = _again(held, thing, time)
    elif held is None and len(counters) < MAX_COUNTERS:
        again = _things.pack(time, key, thing or 0, 1)
    if again is None:
        return None
    counters[key] = again
    return counters


def _again(held: bytes, thing: int | None, time: float) -> bytes | None:
    """The same thing once more; None when it is another one."""
    _, key, counted, total = _things.unpack(held)
    return None if thing is None or counted != thing else _things.pack(time, key, thing, total + 1)


def opened(counters: Counters) -> dict[int, Counter | bytes]:
    """The same by key."""
    if counters is None:
        return {}
    if isinstance(counters, dict):
        return counters
    return {_things.unpack(counters)[1]: counters}


def real(held: Counter | bytes) -> Counter:
    """A counter in place of the bytes of one thing."""
    if not isinstance(held, bytes):
        return held
    time, _, thing, total = _things.unpack(held)
    window = Window()
    window.total = total
    window.add_first(thing, time)
    return window


def forgive(counters: bytes | dict[int, Counter | bytes], key: int, thing: int) -> Counters:
    """Take a thing out of a counter again; gives what is left of the counters."""
    if isinstance(counters, dict):
        held = counters.get(key)
        if isinstance(held, bytes):
            if _things.unpack(held)[2] == thing:
                del counters[key]
        elif held is not None:
            held.forgive(thing)
        return counters
    _, only, counted, _ = _things.unpack(counters)
    return None if only == key and counted == thing else counters
