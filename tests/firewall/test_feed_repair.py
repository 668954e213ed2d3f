"""The Feed puts the kernel right: restart, flush, foreign changes."""

from __future__ import annotations

import logging

import pytest

from shield.firewall import feed as feed_module
from shield.firewall import inspection
from shield.firewall.feed import Feed
from tests.firewall.fake import SETTINGS, Bench, change, decision, hosts
from tests.firewall.wire import net


def test_adopt_keeps_what_is_there(bench: Bench) -> None:
    """After a restart only the difference is committed; elements in the kernel are not touched."""
    for text in ("192.0.2.1", "192.0.2.2", "192.0.2.66", "198.51.100.0/24"):
        bench.feed.apply([change("added", text, until=500)], bench.at(10))
    bench.run(12)
    bench.backend.commits.clear()
    again = bench.feed = Feed(bench.backend, SETTINGS)
    live = [
        decision(text, until=until)
        for text, until in (
            ("192.0.2.1", 500),
            ("192.0.2.2", 900),
            ("192.0.2.3", 500),
            ("198.51.100.0/24", 500),
        )
    ]
    again.adopt(live, bench.at(20))
    bench.run(21)
    added, deleted = bench.backend.commits[0]
    assert len(bench.backend.commits) == 1
    assert {str(n) for n in added} == {"192.0.2.2", "192.0.2.3"}
    assert [str(n) for n in deleted] == ["192.0.2.66"]
    assert again.stats.repaired == 0


def test_many_are_not_read_whole(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond READ_MOST sets are never read whole; what is missing is found all the same."""
    for module in (feed_module, inspection):
        monkeypatch.setattr(module, "READ_MOST", 10)
    monkeypatch.setattr(inspection, "SAMPLE", 5)
    bench.backend.calls.clear()
    bench.feed.adopt([decision(n) for n in hosts(30)], bench.at(10))
    bench.run(14)
    assert len(bench.active()) == 30
    bench.backend.flush_ruleset()
    bench.run(19)
    assert len(bench.active()) == 30
    del bench.backend.ends[hosts(30)[20]]
    bench.backend.touched = True
    bench.run(24)
    assert len(bench.active()) == 30
    assert bench.feed.stats.repaired == 31
    assert "active" not in bench.backend.calls
    bench.backend.calls.clear()
    bench.run(30)
    assert set(bench.backend.calls) == {"undisturbed"}


def test_adopt_while_refused() -> None:
    """Without a firewall at start, everything is in it once there is one."""
    bench = Bench()
    bench.backend.refuse = "no nft"
    bench.feed.allow([net("192.0.2.7")], 0)
    bench.feed.adopt([decision("192.0.2.1"), decision("198.51.100.0/24")], bench.at(0))
    bench.feed.apply([change("added", "192.0.2.2")], bench.at(1))
    bench.run(10)
    assert bench.feed.status()["open"] is False
    assert "no nft" in bench.feed.stats.last_error
    bench.backend.refuse = ""
    bench.run(15)
    assert bench.active() == {"192.0.2.1", "192.0.2.2", "198.51.100.0/24"}
    assert bench.backend.allowed == [net("192.0.2.7")]


def test_flush_ruleset_is_repaired(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """After a foreign flush everything is back within 5 s, with a warning and counters."""
    bench.feed.allow([net("192.0.2.7")], 0)
    bench.feed.apply([change("added", n) for n in hosts(1000)], bench.at(10))
    bench.feed.apply([change("added", "198.51.100.0/24")], bench.at(11))
    bench.run(12.5)
    bench.backend.flush_ruleset()
    bench.backend.allowed = []
    with caplog.at_level(logging.WARNING):
        bench.run(17.5)
    assert len(bench.active()) == 1001
    assert bench.backend.allowed == [net("192.0.2.7")]
    assert (bench.feed.stats.rebuilt, bench.feed.stats.repaired) == (1, 1001)
    assert "1001 elements were missing" in caplog.text


def test_ban_after_flush_repairs_at_once(bench: Bench) -> None:
    """A ban that finds no table does not wait for the next inspection."""
    bench.feed.apply([change("added", "192.0.2.1")], bench.at(10))
    bench.run(10.5)
    bench.backend.flush_ruleset()
    bench.feed.apply([change("added", "192.0.2.2")], bench.at(10.6))
    bench.run(10.61)
    assert bench.active() == {"192.0.2.1", "192.0.2.2"}


def test_foreign_changes(bench: Bench) -> None:
    """A deleted element comes back, a foreign one goes, a wrong timeout is set right."""
    for text in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        bench.feed.apply([change("added", text)], bench.at(10))
        bench.run(10.1)
    bench.run(13)
    del bench.backend.ends[net("192.0.2.1")]
    bench.backend.ends[net("192.0.2.2")] = 50
    bench.backend.ends[net("203.0.113.1")] = 1000
    bench.backend.touched = True
    bench.run(18)
    assert bench.backend.ends == {net(f"192.0.2.{i}"): 1000 for i in (1, 2, 3)}
    assert (bench.feed.stats.repaired, bench.feed.stats.foreign) == (2, 1)


def test_quiet_kernel_is_not_read(bench: Bench) -> None:
    """While nobody else changes anything, the sets are not read."""
    bench.feed.apply([change("added", "192.0.2.1")], bench.at(10))
    bench.run(14)
    bench.backend.calls.clear()
    bench.run(60)
    assert set(bench.backend.calls) == {"undisturbed"}


def test_change_during_inspection(bench: Bench) -> None:
    """What is banned or unbanned while the kernel is read is not mistaken for damage."""
    bench.feed.apply([change("added", "192.0.2.1")], bench.at(10))
    bench.backend.touched = True
    found = bench.feed.inspect()
    bench.feed.apply([change("added", "192.0.2.2")], bench.at(11))
    bench.feed.apply([change("removed", "192.0.2.1")], bench.at(12))
    bench.feed.repair(found, bench.at(13))
    bench.run(15)
    assert bench.active() == {"192.0.2.2"}
    assert (bench.feed.stats.repaired, bench.feed.stats.foreign) == (0, 0)


def test_failed_inspection_is_no_quiet(bench: Bench) -> None:
    """After an inspection that failed the next one looks at everything."""
    bench.feed.apply([change("added", "192.0.2.1")], bench.at(10))
    bench.run(14)
    bench.backend.refuse = "busy"
    bench.run(16.5)
    bench.backend.refuse = ""
    bench.backend.ends.clear()  # unnoticed by touched
    bench.run(20)
    assert bench.active() == {"192.0.2.1"}


def test_reconcile_in_one_call(bench: Bench) -> None:
    """reconcile() does everything before it returns, and ends when the kernel refuses."""
    bench.feed.apply([change("added", n) for n in hosts(500)], bench.at(10))
    bench.feed.apply([change("added", "198.51.100.0/24")], bench.at(10))
    bench.run(10)
    bench.backend.flush_ruleset()
    bench.feed.reconcile(bench.at(11.5))
    assert len(bench.active()) == 501
    bench.backend.flush_ruleset()
    bench.backend.refuse = "no"
    bench.feed.reconcile(bench.at(12))
    assert bench.feed.stats.failing
