"""Clock: hybrid logical clock, which puts the writes of all nodes into one order.

A stamp is one int: milliseconds of the writer's wall clock since the epoch, shifted by 16 bits, plus a
counter. A write's stamp is higher than that of the write that it replaces, so an answer wins also when
the clock of the answering node is hours behind. Other keys do not matter to it: one stamp from
the future would drag the clocks of all nodes along, to where whose clock is slower believes nothing.
"""

from __future__ import annotations

__all__ = ["COUNTER_BITS", "MAX_AHEAD", "Clock"]

COUNTER_BITS = 16
"""65,536 writes in one millisecond; further ones borrow from the next millisecond."""

MAX_AHEAD = 24 * 3600
"""Seconds a stamp may be ahead of our wall clock. Clocks that differ by hours must do no harm; a stamp
from a distant future would win for ever."""


class Clock:
    """Gives stamps to the writes of one node; ``last`` is the highest that its wall clock has led to."""

    def __init__(self) -> None:
        self.last = 0

    def next(self, wall: float, above: int = 0) -> int:
        """Return a new stamp at wall time ``wall`` (seconds since the epoch), higher than ``above``.

        With exceptions when our own clock was wrong by more than a day and has been set back: the
        others refuse what was stamped meanwhile, so counting on from there would silence this node.
        """
        present, horizon = int(wall * 1000) << COUNTER_BITS, self.horizon(wall)
        self.last = present if self.last > horizon else max(present, self.last + 1)
        return max(self.last, above + 1) if above < horizon else self.last

    def horizon(self, wall: float) -> int:
        """Return the highest stamp that is believed at wall time ``wall``."""
        return int((wall + MAX_AHEAD) * 1000) << COUNTER_BITS
