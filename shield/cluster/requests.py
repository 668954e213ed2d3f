"""Requests: questions to one node or to all, their answers, and their deadlines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from shield.cluster.messages import Kind

__all__ = ["Answers", "Requests"]

MAX_PENDING = 10_000
"""Questions that wait for answers; a feature that asks more has a bug."""

MAX_TIMEOUT = 300.0
"""Longest deadline, seconds."""


@dataclass(slots=True)
class Answers:
    """What came back."""

    replies: dict[str, Any] = field(default_factory=dict)
    """By node, in the order they came."""
    failures: dict[str, str] = field(default_factory=dict)
    """Nodes that could not, and why."""
    missing: tuple[str, ...] = ()
    """Nodes that said nothing before the deadline, or were lost."""


@dataclass(slots=True)
class _Pending:
    waits: set[str]
    deadline: float
    done: Callable[[Answers], None]
    answers: Answers = field(default_factory=Answers)
    lost: list[str] = field(default_factory=list)


class Requests:
    """The questions of one node that are not answered yet, by tag.

    ``start``: tags count from here, so that an answer to what was asked before a restart fits nothing.
    """

    def __init__(self, start: int = 0) -> None:
        self._pending: dict[int, _Pending] = {}
        self._tag = start
        self.late = 0
        """Answers to no question: too late, twice, or from somebody who was not asked."""

    def open(
        self, nodes: Iterable[str], timeout: float, now: float, done: Callable[[Answers], None]
    ) -> int | None:
        """Begin a question; gives its tag, or None when there are too many. ``done`` is called once."""
        if len(self._pending) >= MAX_PENDING:
            return None
        self._tag += 1
        deadline = now + min(max(timeout, 0.0), MAX_TIMEOUT)
        self._pending[self._tag] = _Pending(set(nodes), deadline, done)
        return self._tag

    def answer(self, sender: str, kind: Kind, tag: int, body: Any) -> None:
        """Take a reply or a failure."""
        pending = self._pending.get(tag)
        if pending is None or sender not in pending.waits:
            self.late += 1
            return
        pending.waits.discard(sender)
        if kind is Kind.REPLY:
            pending.answers.replies[sender] = body
        else:
            pending.answers.failures[sender] = str(body)[:200]
        self._finish_if_complete(tag, pending)

    def lose(self, node: str) -> None:
        """A node is out of reach: nobody needs to wait for it."""
        for tag, pending in list(self._pending.items()):
            if node in pending.waits:
                pending.waits.discard(node)
                pending.lost.append(node)
                self._finish_if_complete(tag, pending)

    def not_sent(self, tag: int, node: str) -> None:
        """The question could not be sent to one of those asked."""
        pending = self._pending.get(tag)
        if pending is not None and node in pending.waits:
            pending.waits.discard(node)
            pending.lost.append(node)
            self._finish_if_complete(tag, pending)

    def cancel(self, tag: int) -> None:
        """Nobody waits any more."""
        self._pending.pop(tag, None)

    def expire(self, now: float) -> None:
        """End the questions whose deadline has passed."""
        for tag, pending in [item for item in self._pending.items() if item[1].deadline <= now]:
            self._finish(tag, pending)

    def deadline(self) -> float | None:
        """The next one."""
        return min((pending.deadline for pending in self._pending.values()), default=None)

    def __len__(self) -> int:
        return len(self._pending)

    def _finish_if_complete(self, tag: int, pending: _Pending) -> None:
        if not pending.waits:
            self._finish(tag, pending)

    def _finish(self, tag: int, pending: _Pending) -> None:
        del self._pending[tag]
        pending.answers.missing = tuple(sorted(pending.waits | set(pending.lost)))
        pending.done(pending.answers)
