"""Merge: what a collector makes of reports, whichever of them come, in whatever order.

A call is *talking* from its START, *answered* or *failed* when it is over, *lost* when its end never
came. The first STOP decides; a second one, from another node that the call passed, only adds that node,
unless the first was incomplete. So the same reports in any order, any number of times, are one call.

Pure: rows in, rows out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from shield.cdr.report import Kind, Report

__all__ = ["CLOCK_TOLERANCE", "CallRow", "CallState", "hang_up", "lose", "merge"]

CLOCK_TOLERANCE = 2.0
"""Seconds by which the clock of a node may be off until its times are put right and marked."""
MAX_NODES = 16
"""Nodes that a call names."""


class CallState(StrEnum):
    """What is known of a call."""

    TALKING = "talking"
    ANSWERED = "answered"
    """Was answered and is over."""
    FAILED = "failed"
    """Is over and was never answered."""
    LOST = "lost"
    """Was answered; its end never came."""


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call of the journal; times in seconds since the epoch, 0 for what has not happened."""

    key: bytes
    call_id: bytes
    from_tag: bytes
    to_tag: bytes
    caller: bytes
    called: bytes
    account: bytes
    source: bytes
    server: bytes
    started: float
    rang: float
    answered: float
    ended: float
    duration: float
    """Seconds from the answer to the end, by the clock of one node where possible."""
    status: int
    state: CallState
    node: str
    """Whose report decided."""
    nodes: tuple[str, ...]
    """All that saw it."""
    marks: frozenset[str]
    """``stop_first``: the STOP came before the START. ``moved``: another node saw the end. ``no_stop``:
    the end never came. ``incomplete``: messages were missed. ``clock``: times were put right."""

    @property
    def final(self) -> bool:
        """Whether it is over."""
        return self.state is not CallState.TALKING


def merge(row: CallRow | None, report: Report, node: str, offset: float) -> CallRow | None:
    """Take a START or STOP; None when it changes nothing. ``offset``: our clock minus the node's."""
    if row is None:
        found = _row(report, node, offset)
        if report.kind is Kind.STOP and report.answered:
            found = replace(found, marks=found.marks | {"stop_first"})
        return found
    if report.kind is Kind.STOP and _decides(row, report):
        found = _row(report, node, offset)
        kept = row.marks - {"no_stop", "incomplete"}
        found = replace(found, nodes=_nodes(row.nodes, node), marks=found.marks | kept)
        if row.account and not found.account:
            found = replace(found, account=row.account, source=row.source, server=row.server)
        return found
    found = row if node in row.nodes else replace(row, nodes=_nodes(row.nodes, node))
    if report.account and not row.account:
        # The node at which the caller logged in knows who he is; the next one sees only a proxy.
        found = replace(found, account=report.account, source=report.source, server=report.server)
    return None if found is row else found


def _decides(row: CallRow, report: Report) -> bool:
    """Whether a STOP says how the call ended: the first one, or a better one than we have."""
    if not row.final or row.state is CallState.LOST:
        return True
    return "incomplete" in row.marks and not report.incomplete


def hang_up(row: CallRow, report: Report, node: str, offset: float) -> CallRow | None:
    """Take a BYE that another node saw; None when the call is over already, or has other tags."""
    if row.final or {report.from_tag, report.to_tag} != {row.from_tag, row.to_tag}:
        return None
    shift = offset if abs(offset) > CLOCK_TOLERANCE else 0.0
    ended = max(row.answered, report.ended + shift)
    return replace(
        row,
        ended=ended,
        duration=ended - row.answered,
        state=CallState.ANSWERED,
        nodes=_nodes(row.nodes, node),
        marks=row.marks | {"moved"} | ({"clock"} if shift else set()),
    )


def lose(row: CallRow) -> CallRow:
    """Give a call up whose end never came; a STOP that comes later still counts."""
    return replace(row, state=CallState.LOST, marks=row.marks | {"no_stop"})


def _row(report: Report, node: str, offset: float) -> CallRow:
    shift = offset if abs(offset) > CLOCK_TOLERANCE else 0.0
    marks = {"incomplete"} if report.incomplete else set()
    if shift:
        marks.add("clock")
    over = report.kind is Kind.STOP
    state = CallState.TALKING
    if over:
        state = CallState.ANSWERED if report.answered else CallState.FAILED
    return CallRow(
        report.key,
        report.call_id,
        report.from_tag,
        report.to_tag,
        report.caller,
        report.called,
        report.account,
        report.source,
        report.server,
        _moved(report.started, shift),
        _moved(report.rang, shift),
        _moved(report.answered, shift),
        _moved(report.ended, shift),
        max(0.0, report.ended - report.answered) if over and report.answered else 0.0,
        report.status,
        state,
        node,
        (node,),
        frozenset(marks),
    )


def _moved(time: float, shift: float) -> float:
    return time + shift if time else 0.0


def _nodes(nodes: tuple[str, ...], node: str) -> tuple[str, ...]:
    if node in nodes or len(nodes) >= MAX_NODES:
        return nodes
    return tuple(sorted((*nodes, node)))
