"""The hub: whatever happens reaches kernel, journal, watchers and log, in bounded amounts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shield import hub as module
from shield.capture.source import Frame
from shield.detect.rulefiles import load_rules
from shield.net import Network
from tests.capture.wire import ether, ip4, udp
from tests.node_parts import ATTACKER, RULE, SERVER, WALL, Bench, options


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.journal.close()


def attack(bench: Bench, count: int = 5) -> None:
    """Let a scanner's requests pass the wire."""
    frames = [
        Frame(WALL + n, ether(ip4(udp(options(f"c{n}"), sport=5060), 17, ATTACKER, SERVER)), 1)
        for n in range(count)
    ]
    bench.hub.take(bench.pipeline.feed(frames, bench.now), bench.now, WALL + bench.now)


def events(watch: Any) -> list[dict[str, Any]]:
    return [watch.queue.get_nowait() for _ in range(watch.queue.qsize())]


def test_a_verdict_reaches_everybody(bench: Bench) -> None:
    """An attack on the wire: kernel, watchers, alert with evidence and ban in the journal."""
    watch = bench.hub.watchers.subscribe(lambda event: True)
    attack(bench)
    assert bench.kernel() == {ATTACKER}
    seen = events(watch)
    assert {"alert", "change"} == {event["event"] for event in seen}
    alert = next(event for event in seen if event["event"] == "alert" and event["decision"])
    assert alert["value"] == alert["decision"]["value"] == ATTACKER
    assert bench.hub.save(bench.now, WALL + bench.now) == 0
    assert [d.value for d in bench.journal.load(bench.now, WALL + bench.now).decisions] == [ATTACKER]
    assert "friendly-scanner" in bench.journal.alerts(ATTACKER)[0]["evidence"][0]["message"]


def test_the_last_word_about_an_alert_is_no_second_alert(bench: Bench) -> None:
    """Watchers hear of the wait and of its end; the journal and the counters hold one alert."""
    (bench.rules / "test-scanner.toml").write_text(RULE.replace("max_retry = 3", "max_retry = 1"))
    bench.pipeline.use_rules([r for r in load_rules(bench.rules) if r.name == "test-scanner"])
    watch = bench.hub.watchers.subscribe(lambda event: event["event"] == "alert")
    attack(bench, 1)
    later = bench.pipeline.tick(bench.now + 20.0, WALL + 20.0)
    bench.hub.take(later, bench.now + 20.0, WALL + bench.now + 20.0)
    waits, banned = events(watch)
    assert waits["why"].startswith("waits")
    assert banned["decision"] is not None
    assert bench.hub.matched["test-scanner"] == 1
    bench.hub.save(bench.now, WALL + bench.now)
    assert len(bench.journal.alerts(ATTACKER)) == 1


def test_expiry_reaches_watchers_and_journal(bench: Bench) -> None:
    """A ban that ends by itself is told and recorded like one that is taken back."""
    bench.ask("ban", values=[ATTACKER], duration=10)
    watch = bench.hub.watchers.subscribe(lambda event: True)
    bench.now += 11
    bench.hub.take(bench.pipeline.tick(bench.now, WALL + bench.now), bench.now, WALL + bench.now)
    assert [event["change"] for event in events(watch)] == ["expired"]
    bench.hub.save(bench.now, WALL + bench.now)
    assert bench.journal.history(ATTACKER)[0]["change"] == "expired"


def test_the_log_is_bounded(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """In one second a flood logs a limited number of lines, then how many were left out."""
    caplog.set_level(logging.INFO, "shield")
    bench.ask("ban", values=[f"10.0.0.{n}" for n in range(module.LOG_LINES + 20)])
    assert len(caplog.records) == module.LOG_LINES
    caplog.clear()
    bench.hub.second()
    assert caplog.messages == ["20 further alerts and changes in the last second"]
    bench.hub.second()
    assert len(caplog.records) == 1


def test_saving_goes_in_portions(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many changes go to the journal in portions, in order, and none is lost."""
    monkeypatch.setattr(module, "SAVE_CHANGES", 2)
    for n in range(5):
        changes = bench.pipeline.ban(Network.parse(f"10.0.0.{n}"), bench.now, WALL, duration=60)
        bench.hub.take_changes(changes, bench.now)
    assert [bench.hub.save(bench.now, WALL) for _ in range(3)] == [3, 1, 0]
    assert len(bench.journal.load(bench.now, WALL).decisions) == 5


def test_the_allowlist_waits_for_an_inspection(bench: Bench) -> None:
    """While another thread reads the kernel the allowlist is not changed there; afterwards it is."""
    assert bench.feed is not None
    bench.hub.allowlist_changed(bench.now)
    bench.hub.inspecting = True
    bench.pipeline.allowlist.add(ATTACKER, bench.now)
    bench.hub.allowlist_changed(bench.now)
    assert Network.parse(ATTACKER) not in bench.backend.allowed
    bench.hub.inspecting = False
    bench.hub.tell_allowlist(bench.now)
    assert Network.parse(ATTACKER) in bench.backend.allowed


def test_the_firewall_is_woken(bench: Bench) -> None:
    """Whatever gives the feed work calls the node's firewall task."""
    calls: list[int] = []
    bench.hub.wake = lambda: calls.append(1)
    bench.ask("ban", values=[ATTACKER])
    bench.ask("allow.add", values=[ATTACKER])
    assert len(calls) >= 3
