"""Claims of sharing tags: who says to be active for a tag, signed, so that anybody may hand it on.

Of all claims of a tag the one with the highest (stamp, node) counts. Stamps are those of ``clock.py``. A
release ends the claim before it and no other: its stamp is that claim's plus one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from shield.cluster.clock import COUNTER_BITS
from shield.cluster.identity import Certificate, Identity
from shield.cluster.names import is_name
from shield.cluster.tag_plan import is_tag
from shield.errors import RemoteError
from shield.wire import pack_value, unpack_value

__all__ = ["MAX_REASON", "Claim", "Signed", "read_candidacy", "utc"]

MAX_REASON = 200
"""Characters of a reason: one line for people."""

MAX_BODY = 2048
"""Octets of a signed claim: names and a reason, each character up to four octets."""

MAX_CANDIDACY = 256
"""Tags that one node would take over."""

_MARK = "tag"
"""First field of what is signed. A member's record and a parcel have a number as second field where this
has a text, so that none can be passed off as another."""

Signed = tuple[bytes, bytes]
"""Body and signature, as a claim travels and is kept."""


class Claim(NamedTuple):
    """One node's word about a tag."""

    tag: str
    stamp: int
    node: str
    active: bool
    """False: the node gives its claim back, and nobody is active."""
    reason: str

    @property
    def wall(self) -> float:
        """Seconds since the epoch by the clock of its node."""
        return (self.stamp >> COUNTER_BITS) / 1000

    @property
    def rank(self) -> tuple[int, str, bool, str]:
        """Orders the claims of a tag; what follows the node decides its contradictions only."""
        return self.stamp, self.node, self.active, self.reason

    def sign(self, identity: Identity) -> Signed:
        """Pack and sign it."""
        body = pack_value((_MARK, *self))
        return body, identity.sign(body)

    def prove(self, signed: Signed, certificate: Certificate) -> None:
        """Raise RemoteError unless the owner of the certificate has signed it."""
        if not certificate.verify(signed[1], signed[0]):
            raise RemoteError("forged_claim", f"a claim of {self.tag} in the name of {self.node}")

    @classmethod
    def read(cls, signed: Any) -> Claim:
        """Check the shape; nothing of it is true before ``prove``. Raises RemoteError."""
        if (
            type(signed) is not tuple
            or len(signed) != 2
            or any(type(part) is not bytes for part in signed)
            or len(signed[0]) > MAX_BODY
            or len(signed[1]) > 64
        ):
            raise RemoteError("shape", "a claim of a tag")
        match unpack_value(signed[0]):
            case (str(mark), str(tag), int(stamp), str(node), bool(active), str(reason), *_) if (
                mark == _MARK
                and is_tag(tag)
                and 0 < stamp < 1 << 63
                and is_name(node)
                and len(reason) <= MAX_REASON
            ):
                return cls(tag, stamp, node, active, reason)
        raise RemoteError("shape", "a claim of a tag")


def read_candidacy(rows: tuple[Any, ...]) -> dict[str, int]:
    """Read which tags a node would take over, with its priority for each; raises RemoteError."""
    found: dict[str, int] = {}
    for row in rows[:MAX_CANDIDACY]:
        match row:
            case (str(tag), int(priority), *_) if is_tag(tag):
                found[tag] = priority
            case _:
                raise RemoteError("shape", "a candidacy for a tag")
    return found


def utc(wall: float) -> str:
    """A moment for people, the same on all nodes."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
