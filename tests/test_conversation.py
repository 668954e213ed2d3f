"""Conversation: texts between nodes."""

from __future__ import annotations

from shield.cluster.capability import Incoming
from shield.cluster.messages import Kind
from shield.conversation import MAX_OPEN, Conversation


def test_requests_that_wait_hold_no_texts() -> None:
    """A mad node may ask a thousand times half a megabyte while somebody listens: none of it stays."""
    conversation = Conversation()
    watch = conversation.listen()
    for tag in range(MAX_OPEN + 10):
        conversation._incoming(Incoming("mad", Kind.REQUEST, tag, "x" * 10_000), 0.0)
    assert len(conversation._open) == MAX_OPEN
    assert {incoming.body for incoming in conversation._open.values()} == {None}
    assert watch is not None
