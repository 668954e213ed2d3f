"""Reports: what a node tells the collectors of a call, and how that travels.

START when a call is answered, STOP when it is over (answered or not), BYE for a call whose begin this
node did not see. Each says all that is known, so a collector that hears only the STOP misses nothing.
"""

from __future__ import annotations

from enum import IntEnum
from hashlib import blake2b
from typing import NamedTuple

from shield.errors import RemoteError
from shield.wire import pack_value, unpack_value

__all__ = ["MAX_REPORT", "Kind", "Report", "call_key", "pack_report", "read_report"]

MAX_FIELD = 256
"""Octets of each text; longer ones are cut."""
MAX_CALL_ID = 512
MAX_REPORT = 4_096
MAX_TIME = 1e11


class Kind(IntEnum):
    """What is reported."""

    START = 1
    STOP = 2
    BYE = 3


class Report(NamedTuple):
    """One report. Times are those of the packets, seconds since the epoch, 0 for what did not happen."""

    kind: Kind
    call_id: bytes
    from_tag: bytes
    """Of the caller; in a BYE of whoever hangs up."""
    to_tag: bytes
    caller: bytes = b""
    called: bytes = b""
    account: bytes = b""
    source: bytes = b""
    """Packed address of the caller."""
    server: bytes = b""
    started: float = 0.0
    rang: float = 0.0
    answered: float = 0.0
    ended: float = 0.0
    status: int = 0
    incomplete: bool = False
    """Some messages were not seen: the end may be guessed."""

    @property
    def key(self) -> bytes:
        """Which call it is, the same on all nodes that a call passes."""
        return call_key(self.call_id, self.from_tag)


def call_key(call_id: bytes, from_tag: bytes) -> bytes:
    """16 octets for a call: its Call-ID and the tag of the caller."""
    digest = blake2b(len(call_id).to_bytes(4, "big") + call_id, digest_size=16)
    digest.update(from_tag)
    return digest.digest()


def pack_report(report: Report) -> bytes:
    """Octets of a report, at most MAX_REPORT."""
    cut = [value[:MAX_FIELD] if isinstance(value, bytes) else value for value in report[2:]]
    return pack_value((int(report.kind), report.call_id[:MAX_CALL_ID], *cut))


def read_report(packed: bytes) -> Report:
    """Read one; raises RemoteError("report")."""
    if len(packed) > MAX_REPORT:
        raise RemoteError("report", "too long")
    fields = unpack_value(packed)
    if type(fields) is not tuple or len(fields) < len(Report._fields):
        raise RemoteError("report", "no array of its fields")
    values = fields[: len(Report._fields)]
    kind, texts, times, (status, incomplete) = values[0], values[1:9], values[9:13], values[13:15]
    if kind not in (1, 2, 3) or type(status) is not int or not 0 <= status < 1000:
        raise RemoteError("report", "kind or status")
    if any(type(text) is not bytes or len(text) > MAX_CALL_ID for text in texts):
        raise RemoteError("report", "text")
    if any(type(time) not in (float, int) or not 0 <= time <= MAX_TIME for time in times):
        raise RemoteError("report", "time")
    moments = (float(time) for time in times)
    return Report._make((Kind(kind), *texts, *moments, status, incomplete is True))
