"""Mark: a sign of a tool and what it weighs, in one message or in what its source does.

A mark is a test on a field, an oddity (``shield.detect.oddities``) or a habit
(``shield.detect.habits``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shield.detect.habits import HABITS, MOST_TRACES, Trace, habit
from shield.detect.match import Condition, condition
from shield.detect.oddities import ODDITIES, oddity_bit
from shield.detect.table import Table
from shield.sip.event import SipEvent

__all__ = ["Mark", "parse_marks"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A sign of a tool and what it weighs."""

    text: str
    """How the rule file puts it, for people."""
    weight: int
    condition: Condition | None = None
    oddity: int = 0
    """The bit of an oddity; 0 for another sign."""
    habit: str = ""
    least: int = 0
    """So much of the habit is a sign."""

    def shown(self, event: SipEvent | None, oddities: int, traces: Sequence[Trace] = ()) -> bool:
        """Whether a message, or its source, shows it; without an event no field is tested."""
        if self.condition is not None:
            return event is not None and self.condition.holds(event)
        if self.oddity:
            return bool(oddities & self.oddity)
        return len(traces) >= self.least and habit(self.habit, traces) >= self.least


def parse_marks(top: Table) -> tuple[Mark, ...]:
    """The ``[[mark]]`` tables of a rule; what is wrong is added to the problems of ``top``."""
    found: list[Mark] = []
    for number, item in enumerate(top.take("mark", list, []), start=1):
        table = Table(
            item if isinstance(item, dict) else {}, f"{top.where}.mark[{number}]", top.problems
        )
        mark = _mark(table)
        if mark is not None:
            found.append(mark)
    return tuple(found)


def _mark(table: Table) -> Mark | None:
    weight = table.number("weight", 1, 1, 100)
    oddity, name = table.choice("oddity", tuple(ODDITIES)), table.choice("habit", tuple(HABITS))
    if oddity and name:
        table.problems.append(f"{table.where}: oddity or habit, not both")
    if oddity:
        table.end()
        return Mark(f"oddity {oddity}", weight, oddity=oddity_bit(oddity))
    if name:
        least = table.number("least", 2, 2, MOST_TRACES)
        table.end()
        return Mark(f"habit {name}, {least} or more", weight, habit=name, least=least)
    field = table.take("field", str, "")
    made = table.compile(condition, field, table.rest(), table.where)
    return Mark(made.text, weight, made) if made is not None else None
