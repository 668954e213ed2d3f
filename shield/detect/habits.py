"""Habits: what a source does over several requests that a user agent does not.

A user agent keeps its port, its name and the way it writes; one Call-ID is one dialog of one user;
people and timers leave gaps. The last few unsuccessful requests of a suspect are kept, 27 bytes of each,
and the habits are read from them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import pairwise
from struct import Struct
from typing import NamedTuple

from shield.detect.shape import order, shape
from shield.sip.event import Kind, SipEvent

__all__ = ["HABITS", "Habits", "Trace", "habit"]

MOST_TRACES = 8
"""Requests of a suspect that are kept."""
PACE_TRACES = 6
"""So many requests, and five gaps between them, make a pace."""
PACE_JITTER, PACE_GAP = 0.1, 10.0
"""A pace is regular when no gap differs by more than a tenth from the mean. Timers of monitors and
phones are as regular, but most run for longer than ten seconds."""
HURRY_TIME = 1.0

_head = Struct("<dd?")
"""Time of the first request, end of silence, whether the last alert was a proven one."""
_trace = Struct("<fHHHHHHHHHIB")
_product = re.compile(rb"[^\s/\d_-]*")
_PROVEN, _LATE = 1, 2


class Trace(NamedTuple):
    """One request; the words are hashes of 16 bits."""

    offset: float
    """Seconds since the first one."""
    port: int
    product: int
    """First word of the User-Agent: models of one maker are one program."""
    shape: int
    method: int
    order: int
    """Order of the header fields."""
    user: int
    call_id: int
    tag: int
    cseq: int
    oddities: int
    """Bits of ``shield.detect.oddities``."""
    flags: int

    @property
    def proven(self) -> bool:
        """Whether the request carries a sign that its source is not forged."""
        return bool(self.flags & _PROVEN)

    @property
    def late(self) -> bool:
        """Told long after it was sent: says nothing about pace."""
        return bool(self.flags & _LATE)


class Habits:
    """The last requests of one suspect, and what a rule said about them.

    ``packed`` and ``unpack`` turn it into bytes and back: that is how thousands of them are kept.
    """

    __slots__ = ("_kept", "_start", "proven_alert", "quiet_until")

    def __init__(self, time: float) -> None:
        self._start = time
        self._kept = b""
        self.quiet_until = 0.0
        """No further alert before this event time."""
        self.proven_alert = False
        """The last alert was a proven one."""

    def packed(self) -> bytes:
        """All of it as bytes."""
        return _head.pack(self._start, self.quiet_until, self.proven_alert) + self._kept

    @classmethod
    def unpack(cls, packed: bytes) -> Habits:
        """What was packed."""
        habits = cls(0.0)
        habits._start, habits.quiet_until, habits.proven_alert = _head.unpack_from(packed)
        habits._kept = packed[_head.size :]
        return habits

    def add(self, event: SipEvent, oddities: int, *, proven: bool) -> None:
        """Keep a request."""
        request = event.request
        if request is None:
            return
        agent = _product.match(request.agent or b"")
        entry = _trace.pack(
            event.time - self._start,
            event.client_port,
            _word(agent[0].lower() if agent else b""),
            _word(shape(request)),
            _word(request.method),
            _word(order(request)),
            _word(event.user),
            _word(request.call_id),
            _word(event.tag),
            _word(request.cseq),
            oddities,
            _PROVEN * proven | _LATE * (event.kind is Kind.ABANDONED),
        )
        self._kept = (self._kept + entry)[-MOST_TRACES * _trace.size :]

    def traces(self, time: float, find_time: float) -> list[Trace]:
        """What was kept within ``find_time`` seconds before ``time``, oldest first."""
        since = time - self._start - find_time
        return [
            trace for trace in map(Trace._make, _trace.iter_unpack(self._kept)) if trace.offset >= since
        ]


def _word(value: Hashable) -> int:
    return hash(value) & 0xFFFF


def _most(groups: Iterable[tuple[Hashable, Hashable]]) -> int:
    """The largest number of different values that stand under one key."""
    found: defaultdict[Hashable, set[Hashable]] = defaultdict(set)
    for key, value in groups:
        found[key].add(value)
    return max(map(len, found.values()), default=0)


def _ports(traces: Sequence[Trace]) -> int:
    dialogs = {trace.call_id for trace in traces}
    ports = {trace.port for trace in traces}
    return len(ports) if len(ports) == len(dialogs) else 0


def _pace(traces: Sequence[Trace]) -> int:
    times = [trace.offset for trace in traces if not trace.late]
    if len(times) < PACE_TRACES:
        return 0
    gaps = [later - sooner for sooner, later in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    regular = max(abs(gap - mean) for gap in gaps) <= PACE_JITTER * mean
    return len(times) if 0 < mean <= PACE_GAP and regular else 0


def _hurry(traces: Sequence[Trace]) -> int:
    """The most dialogs that were begun within HURRY_TIME."""
    prompt = [trace for trace in traces if not trace.late]
    return max(
        (
            len({one.call_id for one in prompt if 0 <= one.offset - first.offset <= HURRY_TIME})
            for first in prompt
        ),
        default=0,
    )


def _stuck(traces: Sequence[Trace]) -> int:
    """How often a CSeq came again in its dialog; retransmissions are not kept."""
    seen = Counter((trace.call_id, trace.cseq) for trace in traces)
    return sum(count - 1 for count in seen.values())


HABITS: dict[str, tuple[str, Callable[[Sequence[Trace]], int]]] = {
    "ports": ("Ports, when each dialog (Call-ID) has one of its own.", _ports),
    "agents": (
        "Products in User-Agent that one port names.",
        lambda traces: _most((trace.port, trace.product) for trace in traces),
    ),
    "masks": (
        "Products in User-Agent of messages that have one shape (see `campaign`).",
        lambda traces: _most((trace.shape, trace.product) for trace in traces),
    ),
    "orders": (
        "Orders of header fields of one product, method and port.",
        lambda traces: _most(
            ((trace.product, trace.port, trace.method), trace.order) for trace in traces
        ),
    ),
    "users": (
        "Users that are asked for, and none of them with success.",
        lambda traces: len({trace.user for trace in traces}),
    ),
    "dialog-users": (
        "Users that are asked for in one dialog (Call-ID).",
        lambda traces: _most((trace.call_id, trace.user) for trace in traces),
    ),
    "dialog-tags": (
        "From tags in one dialog.",
        lambda traces: _most((trace.call_id, trace.tag) for trace in traces),
    ),
    "stuck-cseq": ("Requests of a dialog whose CSeq had come before.", _stuck),
    "pace": ("Requests in a row with equal gaps of at most 10 s.", _pace),
    "hurry": ("Dialogs that were begun within one second.", _hurry),
}
"""Name of a habit to what is counted, and how."""


def habit(name: str, traces: Sequence[Trace]) -> int:
    """How much of a habit these requests show."""
    return HABITS[name][1](traces)
