"""The Feed: nothing is forgotten, nothing is late, nothing is flushed."""

from __future__ import annotations

import logging

import pytest

from shield.firewall import feed as feed_module
from shield.firewall.feed import INLINE_MOST
from tests.firewall.fake import SETTINGS, Bench, change, hosts
from tests.firewall.wire import net


def test_one_ban_goes_at_once(bench: Bench) -> None:
    """A single ban and its unban are in the kernel when apply returns."""
    bench.feed.apply([change("added", "192.0.2.1")], bench.at(10))
    assert bench.active() == {"192.0.2.1"}
    bench.feed.apply([change("removed", "192.0.2.1")], bench.at(11))
    assert bench.active() == set()


def test_next_bans_are_collected(bench: Bench) -> None:
    """Bans within the batch time after a commit go together, at the end of that time."""
    bench.run(10.4)
    bench.feed.apply([change("added", "192.0.2.1")], bench.at(10.5))
    for i in range(2, 6):
        bench.feed.apply([change("added", f"192.0.2.{i}")], bench.at(10.5 + i / 10_000))
    assert bench.active() == {"192.0.2.1"}
    assert bench.feed.due(bench.now) == pytest.approx(10.505)
    bench.run(10.506)
    assert len(bench.active()) == 5
    assert len(bench.backend.commits) == 2


def test_many_go_in_slices(bench: Bench) -> None:
    """More than INLINE_MOST are not committed in apply, but slice by slice, and at once."""
    bench.feed.apply([change("added", n) for n in hosts(INLINE_MOST + 186)], bench.at(10))
    assert bench.active() == set()
    assert bench.feed.flush(10) == 150
    assert bench.feed.due(10) == 10
    bench.run(10)
    assert len(bench.active()) == 250
    assert [len(added) for added, _ in bench.backend.commits] == [100, 100, 50]


def test_one_ban_overtakes_many(bench: Bench) -> None:
    """A single ban does not wait behind a long list."""
    bench.feed.apply([change("added", n) for n in hosts(500)], bench.at(10))
    bench.feed.flush(10)
    bench.feed.apply([change("added", "192.0.2.1")], bench.at(10))
    assert "192.0.2.1" in bench.active()


def test_timeouts(bench: Bench) -> None:
    """The kernel gets the time that is left, and a longer one when a decision is extended."""
    bench.feed.apply([change("added", "192.0.2.1", until=70)], bench.at(10))
    assert bench.backend.ends == {net("192.0.2.1"): 70}
    bench.feed.apply([change("extended", "192.0.2.1", until=700)], bench.at(20))
    assert bench.backend.ends == {net("192.0.2.1"): 700}


def test_an_end_may_move_to_an_earlier_time(bench: Bench) -> None:
    """Hosts and networks; also when the commit fails until the decision is over."""
    for text in ("192.0.2.1", "198.51.100.0/24"):
        bench.feed.apply([change("added", text, until=700)], bench.at(10))
        bench.feed.apply([change("extended", text, until=70)], bench.at(15))
    bench.run(17)
    assert bench.backend.ends == {net("192.0.2.1"): 70, net("198.51.100.0/24"): 70}
    bench.backend.refuse = "busy"
    bench.feed.apply([change("extended", "192.0.2.1", until=30)], bench.at(20))
    bench.feed.apply([change("expired", "192.0.2.1", until=30)], bench.at(30))
    bench.backend.refuse = ""
    bench.run(60)
    assert bench.active() == {"198.51.100.0/24"}


def test_expired_needs_no_commit(bench: Bench) -> None:
    """What ended in the kernel by itself is not deleted again."""
    bench.feed.apply([change("added", "192.0.2.1", until=20)], bench.at(10))
    before = len(bench.backend.commits)
    bench.feed.apply([change("expired", "192.0.2.1", until=20)], bench.at(20.5))
    bench.run(30)
    assert len(bench.backend.commits) == before
    assert bench.feed.stats.elements == 0


@pytest.mark.parametrize("kind", ["removed", "evicted"])
def test_removed_and_evicted(bench: Bench, kind: str) -> None:
    """A removed or evicted decision leaves the kernel."""
    bench.feed.apply([change("added", "192.0.2.1")], bench.at(10))
    bench.feed.apply([change(kind, "192.0.2.1")], bench.at(11))
    assert bench.active() == set()


def test_failed_commit_is_retried(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A refused commit is shown, tried again with growing waits, and forgotten never."""
    bench.run(9.5)
    bench.backend.refuse = "kernel says no"
    with caplog.at_level(logging.WARNING):
        bench.feed.apply([change("added", "192.0.2.1")], bench.at(10))
        bench.feed.apply([change("removed", "192.0.2.2")], bench.at(10))
        bench.run(30)
    stats = bench.feed.stats
    assert stats.pending == 2
    assert stats.failing
    assert "kernel says no" in stats.last_error
    assert "kernel says no" in caplog.text
    assert 5 < bench.backend.calls.count("commit") < 15
    assert bench.feed.status()["retry_wait"] == SETTINGS.retry_last
    bench.backend.refuse = ""
    bench.run(30 + SETTINGS.retry_last)
    assert bench.active() == {"192.0.2.1"}
    assert stats.pending == 0
    assert not stats.failing
    assert stats.retried > 0


def test_bans_during_failure(bench: Bench) -> None:
    """Bans and unbans that come while the kernel refuses are all carried out afterwards."""
    bench.feed.apply([change("added", "192.0.2.9")], bench.at(9))
    bench.backend.refuse = "no"
    for i, text in enumerate(("192.0.2.1", "192.0.2.2", "198.51.100.0/24", "2001:db8::1")):
        bench.feed.apply([change("added", text)], bench.at(10 + i))
    bench.feed.apply([change("removed", "192.0.2.1"), change("removed", "192.0.2.9")], bench.at(15))
    bench.backend.refuse = ""
    bench.run(25)
    assert bench.active() == {"192.0.2.2", "198.51.100.0/24", "2001:db8::1"}


def test_one_bad_element_stops_no_other(bench: Bench) -> None:
    """An element that the kernel never takes delays the others, no more."""
    bench.backend.refuse_element = net("10.0.0.7")
    bench.feed.apply([change("added", n) for n in hosts(300)], bench.at(10))
    bench.run(60)
    assert len(bench.active()) == 299
    assert bench.feed.stats.pending == 1


def test_pending_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of ended bans do not pile up while the kernel refuses; the inspection finds them later."""
    monkeypatch.setattr(feed_module, "PENDING_EXTRA", 50)
    bench.feed.apply([change("added", "192.0.2.9")], bench.at(9))
    bench.backend.refuse = "no"
    bench.feed.apply([change("removed", "192.0.2.9")], bench.at(10))
    for i, n in enumerate(hosts(500)):
        bench.feed.apply([change("added", n)], bench.at(10 + i / 100))
        bench.feed.apply([change("removed", n)], bench.at(10 + i / 100))
    assert bench.feed.stats.pending <= 52
    bench.backend.refuse = ""
    bench.run(30)
    assert bench.active() == set()


def test_networks_once_a_second(bench: Bench) -> None:
    """The first network goes at once, further ones together after network_seconds."""
    bench.feed.apply([change("added", "198.51.100.0/24")], bench.at(10))
    assert bench.active() == {"198.51.100.0/24"}
    for i in range(5):
        bench.feed.apply([change("added", f"203.0.113.{i * 16}/28")], bench.at(10.1 + i / 10))
    bench.run(10.9)
    assert len(bench.active()) == 1
    bench.run(11.1)
    assert len(bench.active()) == 6
    assert len(bench.backend.commits) == 2


def test_inner_network_follows_outer(bench: Bench) -> None:
    """A longer ban of an inner network holds from the moment at which the outer ends, without a gap."""
    bench.feed.apply([change("added", "198.51.100.0/24", until=100)], bench.at(10))
    bench.feed.apply([change("added", "198.51.0.0/16", until=50)], bench.at(12))
    bench.run(13)
    assert bench.active() == {"198.51.0.0/16"}
    bench.run(49.999)
    assert bench.active() == {"198.51.0.0/16"}
    bench.run(50)
    assert bench.active() == {"198.51.100.0/24"}
    assert bench.backend.ends[net("198.51.100.0/24")] == 100


def test_unban_of_outer_leaves_inner(bench: Bench) -> None:
    """When the outer ban is lifted, the inner one is put in by the same commit."""
    bench.feed.apply(
        [change("added", "198.51.100.0/24"), change("added", "198.51.0.0/16")], bench.at(10)
    )
    assert bench.active() == {"198.51.0.0/16"}
    bench.feed.apply([change("removed", "198.51.0.0/16")], bench.at(12))
    assert bench.active() == {"198.51.100.0/24"}
    assert [str(n) for n in bench.backend.commits[-1][0]] == ["198.51.100.0/24"]


def test_hidden_network_is_not_missing(bench: Bench) -> None:
    """A network hidden by an outer one is not taken for damage."""
    bench.feed.apply(
        [change("added", "198.51.100.0/24"), change("added", "198.51.0.0/16")], bench.at(10)
    )
    bench.backend.touched = True
    bench.run(14)
    assert bench.feed.stats.repaired == 0


def test_allow_is_retried(bench: Bench) -> None:
    """A refused allowlist is tried again until the kernel has it."""
    bench.backend.refuse = "no"
    bench.feed.allow([net("192.0.2.7")], bench.at(10))
    bench.run(11)
    bench.backend.refuse = ""
    bench.run(14)
    assert bench.backend.allowed == [net("192.0.2.7")]


def test_close(bench: Bench) -> None:
    """A closed feed commits nothing more."""
    bench.feed.close()
    bench.feed.apply([change("added", "192.0.2.1")], bench.at(10))
    assert bench.active() == set()
