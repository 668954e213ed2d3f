"""What one node knows of a sharing tag, and how that is kept over a restart."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import reduce
from hashlib import blake2b
from operator import xor
from typing import Any

from shield.cluster.identity import Certificate
from shield.cluster.tag_claim import Claim, Signed, utc
from shield.cluster.tag_plan import is_tag
from shield.errors import RemoteError

__all__ = ["MAX_HISTORY", "Tag", "TagState", "digest", "reason_of", "restore", "stored"]

MAX_HISTORY = 50
"""Changes kept of each tag, also over a restart."""


class TagState(StrEnum):
    """What this node is for a tag."""

    ACTIVE = "active"
    BACKUP = "backup"
    PENDING = "pending"
    """Its old claim is the newest that it knows, but it has started a moment ago and asks the others."""
    DISABLED = "disabled"
    """The same, but it takes no part in the cluster: others cannot reach it."""


@dataclass(slots=True)
class Tag:
    """One tag as one node knows it."""

    name: str
    claim: Claim | None = None
    """The claim that counts."""
    signed: Signed | None = None
    """The same as it travels."""
    old: bool = False
    """The claim is of an earlier life of this node: it counts when the others were heard."""
    state: TagState = TagState.BACKUP
    told: bool = False
    """Followers were told that this node is active."""
    lost_at: float | None = None
    """Node time since which nobody active can be reached."""
    history: deque[list[Any]] = field(default_factory=lambda: deque(maxlen=MAX_HISTORY))
    """[wall time, state of this node, active node or "", reason], the latest last."""

    @property
    def holder(self) -> str:
        """The active node, or an empty text."""
        return self.claim.node if self.claim is not None and self.claim.active else ""

    def changed(self) -> bool:
        """Whether state or active node differ from what was noted last."""
        noted = self.history[-1][1:3] if self.history else [TagState.BACKUP.value, ""]
        return [self.state.value, self.holder] != noted

    def row(self) -> dict[str, Any]:
        """What there is to show; times are seconds since the epoch."""
        last = self.history[-1] if self.history else None
        return {
            "name": self.name,
            "state": self.state.value,
            "node": self.holder,
            "claimed": None if self.claim is None else self.claim.wall,
            "since": None if last is None else last[0],
            "reason": "" if last is None else last[3],
        }


def digest(tags: Iterable[Tag]) -> bytes:
    """Give 8 octets that are equal where the claims are."""
    bodies = (tag.signed[0] for tag in tags if tag.signed is not None)
    sums = (int.from_bytes(blake2b(body, digest_size=8).digest(), "big") for body in bodies)
    return reduce(xor, sums, 0).to_bytes(8, "big")


def reason_of(state: TagState, claim: Claim | None) -> str:
    """Say why a node is what it is, in one line."""
    if claim is None:
        return "nobody has claimed it"
    if state is TagState.DISABLED:
        return "this node is disabled"
    if state is TagState.PENDING:
        return "started; asks the others first"
    if state is TagState.ACTIVE:
        return claim.reason
    word = "claimed" if claim.active else "released"
    return f"{word} by {claim.node} at {utc(claim.wall)}: {claim.reason}"


def stored(tags: Iterable[Tag]) -> dict[str, Any]:
    """Give what ``restore`` takes, as JSON has it."""
    return {
        tag.name: {"claim": [part.hex() for part in tag.signed or ()], "history": list(tag.history)}
        for tag in tags
        if tag.signed is not None or tag.history
    }


def restore(
    rows: Mapping[str, Any], certificate_of: Callable[[str], Certificate | None]
) -> dict[str, Tag]:
    """Give the tags of what was kept; claims that nobody has signed are left out.

    Raises ValueError, TypeError, KeyError or RemoteError for what was never stored so.
    """
    found: dict[str, Tag] = {}
    for name, row in rows.items():
        if not is_tag(name):
            raise RemoteError("shape", f"tag {name[:80]!r}")
        tag = found[name] = Tag(name)
        for moment, state, node, reason in row["history"][-MAX_HISTORY:]:
            tag.history.append([float(moment), str(state), str(node), str(reason)])
        if not row["claim"]:
            continue
        body, signature = map(bytes.fromhex, row["claim"])
        claim = Claim.read((body, signature))
        certificate = certificate_of(claim.node)
        if claim.tag == name and certificate and certificate.verify(signature, body):
            tag.claim, tag.signed, tag.old = claim, (body, signature), True
    return found
