"""Clock: hybrid logical clock, which puts the writes of all nodes into one order.

A stamp is one int: milliseconds of the writer's wall clock since the epoch, shifted by 16 bits, plus a
counter. A node's next stamp is always higher than every stamp it has seen, so a write that answers
another one wins, also when the clock of the answering node is hours behind.
"""

from __future__ import annotations

from shield.errors import RemoteError

__all__ = ["COUNTER_BITS", "MAX_AHEAD", "Clock"]

COUNTER_BITS = 16
"""65,536 writes in one millisecond; further ones borrow from the next millisecond."""

MAX_AHEAD = 24 * 3600
"""Seconds a stamp may be ahead of our wall clock. Clocks that differ by hours must do no harm; a stamp
from a distant future would win for ever, and drag the clock of every node along."""


class Clock:
    """Gives stamps to the writes of one node; ``last`` is the highest stamp it has given or seen."""

    def __init__(self) -> None:
        self.last = 0

    def next(self, wall: float) -> int:
        """Return a new stamp at wall time ``wall`` (seconds since the epoch).

        Stamps grow, with one exception: when our own clock was wrong by more than a day and has been
        set back, the others refuse what was stamped meanwhile, so counting on from there would
        silence this node.
        """
        present = int(wall * 1000) << COUNTER_BITS
        if self.last > self.horizon(wall):
            self.last = present
        else:
            self.last = max(present, self.last + 1)
        return self.last

    def horizon(self, wall: float) -> int:
        """Return the highest stamp that is believed at wall time ``wall``."""
        return int((wall + MAX_AHEAD) * 1000) << COUNTER_BITS

    def observe(self, stamp: int, wall: float) -> None:
        """Take note of another node's stamp; raises RemoteError ``future_stamp`` beyond the horizon."""
        if stamp > self.horizon(wall):
            raise RemoteError("future_stamp", f"{stamp >> COUNTER_BITS} ms is too far ahead")
        self.last = max(self.last, stamp)

    def restore(self, stamp: int) -> None:
        """Take note of a stamp from our own journal, which is believed whatever the clock says."""
        self.last = max(self.last, stamp)
