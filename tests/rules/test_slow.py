"""Slow attacks are found, and good sources that go on for days are not."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable

import pytest

from shield.blocklist.allowlist import Allowlist
from shield.blocklist.blocklist import Blocklist
from shield.blocklist.blocklist_settings import BlocklistSettings
from shield.blocklist.policy_settings import PolicySettings
from shield.capture.settings import CaptureSettings
from shield.detect.rulefiles import load_rules
from shield.detect.settings import DetectSettings
from shield.detect.sources import SourceRecord
from shield.net import pack
from shield.pipeline import Finding, Pipeline, Verdict
from tests.traffic import PHONE, SERVERS, START, Talk, Traffic

RULES = load_rules()
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
ATTACKER, HOME, HOME6 = pack("203.0.113.66"), pack("198.51.100.30"), pack("2001:db8:7::30")


def pipeline() -> Pipeline:
    """A node with all built-in rules."""
    allowlist = Allowlist()
    return Pipeline(
        RULES,
        capture=CaptureSettings(),
        detect=DetectSettings(),
        policy=PolicySettings(),
        blocklist=Blocklist(BlocklistSettings(), allowlist),
        allowlist=allowlist,
        origin="node1",
        local=SERVERS.values(),
    )


def quiet() -> Traffic:
    """Nobody sends anything yet."""
    traffic = Traffic(100)
    traffic.frames.clear()
    return traffic


def findings(traffic: Traffic, made: Pipeline | None = None) -> list[Verdict]:
    """Everything that the node says about this traffic."""
    node = made or pipeline()
    traffic.frames.sort(key=lambda frame: frame.time)
    found: list[Finding] = []
    for frame in traffic.frames:
        found += node.feed([frame])
    found += node.finish()
    return [one for one in found if isinstance(one, Verdict)]


def bans(verdicts: list[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.decision is not None]


# What one probe is; number n of them


def register(traffic: Traffic, number: int, at: float) -> None:
    """A user that does not exist."""
    Talk(traffic, ATTACKER, str(100 + number), PHONE).ask(at, "REGISTER", "404 Not Found")


def hidden(traffic: Traffic, number: int, at: float) -> None:
    """A server that challenges everybody; the challenge stays without answer."""
    Talk(traffic, ATTACKER, str(100 + number), PHONE).ask(at, "REGISTER", "401 Unauthorized")


def options(traffic: Traffic, number: int, at: float) -> None:
    """A server that answers OPTIONS for everybody."""
    Talk(traffic, ATTACKER, str(100 + number), PHONE).ask(at, "OPTIONS", "200 OK")


def invite(traffic: Traffic, number: int, at: float) -> None:
    """A number that does not exist."""
    Talk(traffic, ATTACKER, str(100 + number), PHONE).ask(at, "INVITE", "404 Not Found")


def guess(traffic: Traffic, number: int, at: float) -> None:
    """One more password for one user."""
    del number
    Talk(traffic, ATTACKER, "100", PHONE).login(at, accepted=False)


def spray(traffic: Traffic, number: int, at: float) -> None:
    """One password for one more user."""
    Talk(traffic, ATTACKER, str(100 + number), PHONE).login(at, accepted=False)


PROBES = (register, hidden, options, invite, guess, spray)
GAPS = (20.0, 45.0, 90.0, 200.0, 400.0, 600.0)


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("probe", PROBES)
def test_one_probe_each_20_s_to_10_min_is_found(
    probe: Callable[[Traffic, int, float], None], gap: float
) -> None:
    """After twelve probes at most, whatever the pace."""
    traffic = quiet()
    for number in range(12):
        probe(traffic, number, START + number * gap)
    assert {ban.alert.address for ban in bans(findings(traffic))} == {"203.0.113.66"}


def state(record: SourceRecord) -> int:
    """Bytes of everything that one record holds."""
    seen: set[int] = set()
    total = 0
    todo: list[object] = [record]
    while todo:
        one = todo.pop()
        if id(one) in seen or one is None or isinstance(one, type):
            continue
        seen.add(id(one))
        if (type(one) in (int, bool) and -5 <= one <= 256) or one == 0.0:  # type: ignore[operator]
            continue  # Python keeps one of these for everybody
        total += sys.getsizeof(one)
        todo += gc.get_referents(one)
    return total


@pytest.mark.parametrize("probe", PROBES)
def test_a_slow_suspect_costs_at_most_a_kilobyte(probe: Callable[[Traffic, int, float], None]) -> None:
    """Record and counters of a source, right before it is found."""
    traffic, node = quiet(), pipeline()
    for number in range(7):
        probe(traffic, number, START + number * 600)
    assert not findings(traffic, node)
    record = node.engine.sources.get(ATTACKER)
    assert record is not None
    assert record.counters is not None
    assert state(record) <= 1_000


def test_all_that_is_kept_of_many_suspects_stays_within_a_kilobyte_each() -> None:
    """Crowds included; evidence has a table of its own that does not grow."""
    count, traffic = 1_000, quiet()
    gc.collect()
    tracemalloc.start()
    try:
        node = pipeline()  # its tables of fixed size are made anew while time passes
        before = tracemalloc.get_traced_memory()[0]
        for number in range(count):
            source = (0x0A000000 | number << 8).to_bytes(4, "big")
            for user in range(5):
                talk = Talk(traffic, source, f"{number}-{user}", PHONE)
                talk.ask(START + number + user * 120, "REGISTER", "404 Not Found")
            for frame in traffic.frames:
                node.feed([frame])
            traffic.frames.clear()
        for later in range(1, 5):  # transactions and evidence are forgotten in generations
            node.tick(START + later * 5e4, START + later * 5e4)
        gc.collect()
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(node.engine.sources) >= count
    assert used / count <= 1_000


# Good sources


def old_password(traffic: Traffic) -> None:
    """A phone with an old password: each minute or two; a new Call-ID each time it is started."""
    at = START
    for boot in range(3):
        talk = Talk(traffic, HOME, "100", PHONE)
        for number in range(300):
            at += (30.0, 60.0, 120.0)[number % 3] + boot
            talk.login(at, accepted=False)


def old_password_hourly(traffic: Traffic) -> None:
    """A phone that tries again when its registration would have ended, for a week."""
    talk = Talk(traffic, HOME, "100", PHONE)
    for number in range(7 * 24):
        talk.login(START + number * HOUR, accepted=False)


def monitor(traffic: Traffic) -> None:
    """OPTIONS each minute to one user, for two days; it exists, or it does not."""
    for minute in range(2 * 24 * 60):
        Talk(traffic, HOME, "100", "monitor").ask(START + minute * MINUTE, "OPTIONS", "200 OK")
        Talk(traffic, HOME6, "monitor", "monitor").ask(
            START + minute * MINUTE, "OPTIONS", "404 Not Found"
        )


def qualify(traffic: Traffic) -> None:
    """A PBX asks its provider whether it is there, and has an account that is gone."""
    for minute in range(24 * 60):
        Talk(traffic, HOME, "pbx", "Asterisk PBX").ask(START + minute * MINUTE, "OPTIONS", "200 OK")
        if minute % 20 == 0:
            Talk(traffic, HOME, "gone", "Asterisk PBX").ask(
                START + 1 + minute * MINUTE, "REGISTER", "404 Not Found"
            )


def trunk(traffic: Traffic) -> None:
    """A carrier without passwords: for two days calls that are answered, one in ten a wrong number."""
    for number in range(600):
        at = START + number * 5 * MINUTE
        if number % 10 == 9:
            Talk(traffic, HOME, f"4420794{number}", "SBC").ask(at, "INVITE", "404 Not Found")
        else:
            talk = Talk(traffic, HOME, f"4420794{number}", "SBC")
            talk.request(at, "INVITE")
            talk.answer(at + 0.1, "INVITE", "180 Ringing", to_tag=f";tag={number}callee")
            talk.answer(at + 3, "INVITE", "200 OK", to_tag=f";tag={number}callee")
            talk.request(at + 3.1, "ACK", to_tag=f";tag={number}callee")


def misdialler(traffic: Traffic) -> None:
    """Somebody registered who calls a wrong number each hour, for three days."""
    for hour in range(72):
        at = START + hour * HOUR
        Talk(traffic, HOME, "100", PHONE).login(at, accepted=True)
        talk = Talk(traffic, HOME, f"wrong{hour}", PHONE)
        talk.challenge(at + 60, "INVITE", "407 Proxy Authentication Required")
        talk.answer(at + 61, "INVITE", "404 Not Found")


def forgetful(traffic: Traffic) -> None:
    """Twice a day somebody needs three tries for the password."""
    for half in range(10):
        for number in range(4):
            Talk(traffic, HOME, "100", PHONE).login(
                START + half * DAY / 2 + number * 20, accepted=number == 3
            )


@pytest.mark.parametrize(
    "life", [old_password, old_password_hourly, monitor, qualify, trunk, misdialler, forgetful]
)
def test_good_sources_that_go_on_for_days_are_never_found(life: Callable[[Traffic], None]) -> None:
    """Not even an alert."""
    traffic = quiet()
    life(traffic)
    assert findings(traffic) == []
