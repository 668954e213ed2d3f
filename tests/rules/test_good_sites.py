"""Good users whose calls are spread over several nodes are not banned for what all of them counted."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shield.cluster.capability import Incoming, SendResult
from shield.cluster.messages import Kind
from shield.detect.alert import Alert
from shield.detect.pool import Pool
from shield.detect.pooling import Pooling
from shield.detect.settings import EvidenceSettings
from shield.pipeline import Finding, Verdict
from shield.wire import pack_value, unpack_value
from tests.rules.test_good_users import ALL, HOUSES, MISSES, REPEATS, RUNS
from tests.rules.test_slow import bans, pipeline
from tests.town import Line, Town
from tests.traffic import START

CALL_ID = re.compile(rb"\r\n(?:call-id|i)[ \t]*:[ \t]*([^\r]+)", re.IGNORECASE)
TICK = 0.5


class Sites:
    """Nodes that count together; each sees the calls whose Call-ID falls to it."""

    def __init__(self, count: int) -> None:
        self.now = 0.0
        self.found: list[Finding] = []
        self.waiting: deque[tuple[int, bytes]] = deque()
        self.nodes = [pipeline() for _ in range(count)]
        self.poolings = [self._join(number) for number in range(count)]

    def _join(self, number: int) -> Pooling:
        node, engine = self.nodes[number], self.nodes[number].engine
        pool = Pool(engine.sources, engine.evidence, bytes([number]))
        made = Pooling(EvidenceSettings(), pool, wall=lambda: self.now, secret=lambda size: b"k" * size)

        def judge(alerts: Sequence[Alert], now: float) -> None:
            self.found += node.judge(alerts, now)

        made.on_alerts = judge
        made.connect(_Line(self, number), 0.0)  # type: ignore[arg-type]
        engine.join(pool)
        return made

    def see(self, town: Town) -> list[Verdict]:
        """Everything that the nodes say about the traffic of a town."""
        tick = 0.0
        for frame in sorted(town.frames, key=lambda frame: frame.time):
            self.now = frame.time
            if self.now >= tick:
                tick = self.now + TICK
                self._talk()
            found = CALL_ID.search(frame.data)
            place = sum(found[1]) % len(self.nodes) if found else 0
            self.found += self.nodes[place].feed([frame])
        self._talk()
        for node in self.nodes:
            self.found += node.finish()
        return [one for one in self.found if isinstance(one, Verdict)]

    def _talk(self) -> None:
        for pooling in self.poolings:
            pooling.tick(self.now)
        while self.waiting:
            sender, packed = self.waiting.popleft()
            message = Incoming(str(sender), Kind.MESSAGE, 0, unpack_value(packed))
            for number, pooling in enumerate(self.poolings):
                if number != sender:
                    pooling.receive(message, self.now)


class _Line:
    """A node's way to the others."""

    def __init__(self, sites: Sites, number: int) -> None:
        self.sites, self.number = sites, number

    def members(self) -> tuple[str, ...]:
        return ("others",)

    def broadcast(self, body: Any, now: float) -> SendResult:
        self.sites.waiting.append((self.number, pack_value(body)))
        return SendResult.SENT


@pytest.mark.timeout(3_600)
@settings(max_examples=max(10, RUNS // 4), deadline=None, database=None)
@given(HOUSES, st.floats(0, MISSES), st.floats(0, REPEATS), st.booleans(), st.integers(2, 5))
def test_a_town_that_calls_by_several_nodes_sees_no_ban(
    houses: list[tuple[str, int]], miss: float, repeat: float, dense: bool, sites: int
) -> None:
    """One node hears the successes and another the failures of the same phone."""
    town = Town(miss=miss, repeat=repeat, dense=dense)
    town.move_in("home", 0)
    for life, seed in houses:
        town.move_in(ALL[life], seed)
    wrong = [(ban.alert.address, ban.alert.scenario, ban.why) for ban in bans(Sites(sites).see(town))]
    assert wrong == []


def test_somebody_who_guesses_a_little_at_each_node_is_found() -> None:
    """Else the test above would prove nothing."""
    town = Town(miss=0.0, repeat=0.0)
    town.move_in("home", 0)
    for number in range(20):
        line = Line(town, town.address(77), f"victim{number}")
        line.log_in(START + 60.0 + number, "403 Forbidden")
    sites = Sites(5)
    found = bans(sites.see(town))
    assert found
    assert any("counted_by" in dict(ban.alert.details) for ban in found)
