"""What the kernel shall hold, step by step with the decisions."""

from __future__ import annotations

from shield.blocklist.decision import LIMIT, Change, ChangeKind, Decision
from shield.firewall.feed_stats import FeedStats
from shield.firewall.limits import Limit
from shield.firewall.wanted import Wanted
from shield.net import Port, pack
from tests.firewall.fake import Bench, decision
from tests.firewall.wire import net

SOURCE = "192.0.2.1"
WIDE = Limit(pack(SOURCE))


def limit(*ports: str, until: float = 1000.0) -> Decision:
    return decision(SOURCE, until)._replace(type=LIMIT, ports=tuple(map(Port.parse, ports)))


def change(kind: str, made: Decision) -> Change:
    return Change(ChangeKind(kind), made)


def port(number: int) -> Limit:
    return Limit(pack(SOURCE), 17, number)


def test_a_limit_of_more_ports_takes_the_place_of_one() -> None:
    """What is no longer wanted is among what must be committed."""
    wanted = Wanted()
    assert wanted.follow(change("added", limit("udp/1")), 0.0) == ((net(SOURCE), port(1)), False)
    assert wanted.hosts == {port(1): 1000.0}
    keys, done = wanted.follow(change("extended", limit("udp/2", "udp/3", until=2000.0)), 0.0)
    assert (set(keys), done) == ({net(SOURCE), port(1), port(2), port(3)}, False)
    assert wanted.hosts == {port(2): 2000.0, port(3): 2000.0}
    wanted.follow(change("extended", limit()), 0.0)
    assert wanted.hosts == {WIDE: 1000.0}


def test_a_ban_takes_the_place_of_a_limit_and_back() -> None:
    """An address is either banned or limited."""
    wanted = Wanted()
    wanted.follow(change("added", limit("udp/1")), 0.0)
    keys, _ = wanted.follow(change("extended", decision(SOURCE)), 0.0)
    assert set(keys) == {net(SOURCE), port(1)}
    assert (wanted.hosts, wanted.limits) == ({net(SOURCE): 1000.0}, {})
    wanted.follow(change("extended", limit()), 0.0)
    assert wanted.hosts == {WIDE: 1000.0}


def test_what_has_ended_by_itself_needs_no_commit() -> None:
    """An unban does, with every element of a limit."""
    wanted = Wanted()
    wanted.follow(change("added", limit("udp/1", "udp/2")), 0.0)
    assert wanted.follow(change("expired", limit("udp/1", "udp/2")), 1000.0)[1]
    assert not wanted.hosts
    wanted.follow(change("added", limit("udp/1", "udp/2")), 0.0)
    keys, done = wanted.follow(change("removed", limit("udp/1", "udp/2")), 10.0)
    assert ({port(1), port(2)} <= set(keys), done) == (True, False)


def test_the_kernel_follows(bench: Bench) -> None:
    """Through the feed: limit, ban, unban, and a flush in between."""
    bench.feed.apply([change("added", limit("udp/1", "udp/2"))], bench.at(10))
    assert bench.backend.ends == {port(1): 1000.0, port(2): 1000.0}
    assert isinstance(bench.feed.stats, FeedStats)
    assert (bench.feed.stats.limits, bench.feed.stats.elements) == (1, 2)
    bench.backend.flush_ruleset()
    bench.run(20)
    assert bench.backend.ends == {port(1): 1000.0, port(2): 1000.0}
    bench.backend.ends[WIDE] = 5000.0  # nobody's decision
    bench.backend.touched = True
    bench.run(30)
    assert bench.backend.ends == {port(1): 1000.0, port(2): 1000.0}
    assert bench.feed.stats.foreign == 1
    bench.feed.apply([change("extended", decision(SOURCE))], bench.at(31))
    assert bench.backend.ends == {net(SOURCE): 1000.0}
    bench.feed.apply([change("removed", decision(SOURCE))], bench.at(32))
    assert bench.backend.ends == {}


def test_a_start_adopts_limits() -> None:
    """Those of the journal are put in like bans."""
    bench = Bench()
    bench.feed.adopt([limit("udp/7"), decision("192.0.2.9")], 0.0)
    bench.run(1)
    assert bench.backend.ends == {port(7): 1000.0, net("192.0.2.9"): 1000.0}
