"""The outlet that the core gives to a capability."""

from __future__ import annotations

from typing import Any

from shield.cluster.capability import Incoming, SendResult
from shield.cluster.messages import Data, Kind
from shield.cluster.post import Post

__all__ = ["PostOutlet"]


class PostOutlet:
    """Sends in the name of one capability; an ``Outlet``."""

    def __init__(self, post: Post, capability: str) -> None:
        self._post = post
        self._capability = capability

    @property
    def name(self) -> str:
        """Name of this node."""
        return self._post.name

    def send(self, node: str, body: Any, now: float) -> SendResult:
        """Send to one node."""
        return self._post.send(node, Data(self._capability, Kind.MESSAGE, 0, body), now)

    def broadcast(self, body: Any, now: float, *, include_self: bool = False) -> SendResult:
        """Send to everybody who can be reached."""
        message = Data(self._capability, Kind.MESSAGE, 0, body)
        return self._post.broadcast(message, now, include_self=include_self)

    def reply(self, incoming: Incoming, body: Any, now: float) -> SendResult:
        """Answer a request."""
        return self._post.send(
            incoming.sender, Data(self._capability, Kind.REPLY, incoming.tag, body), now
        )

    def fail(self, incoming: Incoming, why: str, now: float) -> SendResult:
        """Answer a request that cannot be done."""
        return self._post.fail(self._capability, incoming, why, now)

    def reachable(self, node: str) -> bool:
        """Whether a message can get to the node."""
        return self._post.can_reach(node, self._capability)

    def members(self) -> tuple[str, ...]:
        """Everybody who can be reached, without this node."""
        return self._post.reachable(self._capability)

    def knows(self, node: str) -> bool:
        """Whether the node is a member, in reach or not: it has signed for itself."""
        return self._post.knows(node)
