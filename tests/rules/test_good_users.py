"""Random good users in random networks with loss and repetition are never banned."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shield.detect.alert import Alert
from shield.sip.event import Kind, SipEvent
from tests.odd_lives import ODD_LIVES
from tests.rules.test_slow import bans, findings, pipeline
from tests.town import LIVES, Town

RUNS = int(os.environ.get("SHIELD_GOOD_USERS", "40"))
"""Towns that are tried; SHIELD_GOOD_USERS=10000 takes some five minutes."""
MISSES, REPEATS = 0.03, 0.2
"""At most so many packets escape the sensor, or are sent again: a bad line, and a busy sensor."""

ALL = {**LIVES, **ODD_LIVES}
HOUSES = st.lists(
    st.tuples(st.sampled_from(sorted(ALL)), st.integers(0, 2**32 - 1)), min_size=1, max_size=6
)


@pytest.mark.timeout(3_600)
@settings(max_examples=RUNS, deadline=None, database=None)
@given(HOUSES, st.floats(0, MISSES), st.floats(0, REPEATS), st.booleans())
def test_a_town_of_good_users_sees_no_ban(
    houses: list[tuple[str, int]], miss: float, repeat: float, dense: bool
) -> None:
    """Whoever lives there, and however bad the lines are."""
    town = Town(miss=miss, repeat=repeat, dense=dense)
    town.move_in("home", 0)  # nobody is good in a whole network only where nobody lives
    for life, seed in houses:
        town.move_in(ALL[life], seed)
    wrong = [(ban.alert.address, ban.alert.scenario, ban.why) for ban in bans(findings(town))]
    assert wrong == []


def test_a_town_is_no_quiet_place() -> None:
    """What makes good users look bad does happen there: else the test above would prove nothing."""
    town, node = Town(miss=0.02, repeat=0.2), pipeline()
    for life in ALL.values():
        for seed in range(6):
            town.move_in(life, seed)
    seen: Counter[Kind] = Counter()
    observe = node.engine.observe

    def noting(event: SipEvent) -> Sequence[Alert]:
        seen[event.kind] += 1
        return observe(event)

    node.engine.observe = noting  # type: ignore[method-assign]
    assert bans(findings(town, node)) == []
    wanted = {Kind.RETRANSMISSION: 500, Kind.ANSWER: 200, Kind.REFUSED: 300, Kind.ACCEPTED: 500,
              Kind.ABANDONED: 20, Kind.COMPLETED: 100}  # fmt: skip
    assert {kind: seen[kind] for kind in wanted if seen[kind] < wanted[kind]} == {}
