"""The Feed on real kernels: flushed, killed and restarted, the ban holds again within 5 s."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shield.firewall.feed import Feed
from shield.firewall.inspection import Inspection
from shield.firewall.registry import make_backend
from shield.firewall.settings import FirewallSettings
from shield.net import Network
from tests.firewall.fake import change, decision, hosts
from tests.firewall.wire import ATTACKER4, ATTACKER6, GOOD4, Wire, net

MANY = 100_000
FOREVER = 1e9


class Node:
    """A feed in the sensor's namespace with the real clock."""

    def __init__(self, backend: str) -> None:
        self.settings = FirewallSettings(backend=backend)
        self.feed = Feed(make_backend(self.settings), self.settings)

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            self.feed.tick(now)
            time.sleep(max(0.0, min(end, self.feed.due(now)) - time.monotonic()))

    def settle(self) -> None:
        """Commit everything that is pending."""
        end = time.monotonic() + 20
        while self.feed.flush(time.monotonic()):
            assert time.monotonic() < end, self.feed.status()


@pytest.fixture(params=["nftables", "iptables"])
def node(request: pytest.FixtureRequest, wire: Wire) -> Iterator[Node]:
    with wire.sensor.inside():
        made = Node(request.param)
        made.feed.allow([net(GOOD4)], time.monotonic())
        made.feed.adopt([], time.monotonic())
        yield made
        made.feed.close(remove=True)
        wire.sensor.run("nft", "flush", "ruleset")


FLUSH = {
    "nftables": "nft flush ruleset",
    # What a reboot leaves: no rules and no sets.
    "iptables": "for p in iptables ip6tables; do $p -t raw -F; $p -t raw -X; done; ipset destroy",
}
DELETE = {
    "nftables": f"nft delete element inet shield hosts4 '{{ {ATTACKER4} }}'",
    "iptables": f"ipset del shield-hosts4 {ATTACKER4}",
}
STRANGER = {
    "nftables": f"nft add element inet shield nets4 '{{ {GOOD4}-192.0.2.203 }}'",
    "iptables": "ipset add shield-nets4 192.0.2.200/30",
}


@pytest.mark.system
def test_ban_and_unban(node: Node, wire: Wire) -> None:
    """apply() returns and the next packet does not arrive; after the unban it does."""
    for text, source in ((ATTACKER4, ATTACKER4), ("2001:db8:0:1::/64", ATTACKER6)):
        node.feed.apply([change("added", text, time.monotonic() + 60)], time.monotonic())
        assert not wire.passes(source)
        node.run(1.1)
        node.feed.apply([change("removed", text)], time.monotonic())
        assert wire.passes(source)


@pytest.mark.system
@pytest.mark.parametrize("damage", [FLUSH, DELETE], ids=["flush", "delete"])
def test_damage_is_repaired(node: Node, wire: Wire, damage: dict[str, str]) -> None:
    """After a flush or a foreign delete the attacker is dropped again within 5 s."""
    changes = [change("added", text, FOREVER) for text in (ATTACKER4, "2001:db8:0:1::/64")]
    node.feed.apply(changes, time.monotonic())
    node.run(2.1)
    wire.sensor.run("sh", "-c", damage[node.settings.backend])
    assert wire.passes(ATTACKER4)
    node.run(4)
    assert not wire.passes(ATTACKER4)
    assert not wire.passes(ATTACKER6)
    assert node.feed.stats.repaired >= 1
    assert node.feed.stats.last_repair


@pytest.mark.system
def test_stranger_is_removed(node: Node, wire: Wire) -> None:
    """What somebody else put into our sets is taken out, even a range that is no network."""
    wire.sensor.run("sh", "-c", STRANGER[node.settings.backend])
    node.run(4)
    node.run(1)
    assert node.feed.backend.active() == {}
    assert node.feed.stats.foreign >= 1


@pytest.mark.system
def test_flush_with_many(node: Node, wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    """With 100,000 live decisions a flushed kernel is right again within 5 s, and so is a restart."""
    many = [Network((0x0A000000 + i).to_bytes(4, "big"), 32) for i in range(MANY)]
    live = [
        *(decision(n, FOREVER) for n in many),
        decision(ATTACKER4, FOREVER),
        decision("2001:db8:0:1::/64", FOREVER),
    ]
    start = time.monotonic()
    node.feed.adopt(live, start)
    node.settle()
    loaded = time.monotonic() - start
    node.run(2.1)

    start = time.monotonic()
    wire.sensor.run("sh", "-c", FLUSH[node.settings.backend])
    while node.feed.stats.repaired < MANY or node.feed.stats.pending:
        node.run(0.05)
        assert time.monotonic() < start + 20, node.feed.status()
    flushed = time.monotonic() - start
    assert node.feed.backend.missing(many) == []
    assert not wire.passes(ATTACKER4)
    assert not wire.passes(ATTACKER6)

    again = Node(node.settings.backend)
    start = time.monotonic()
    again.feed.allow([net(GOOD4)], start)
    again.feed.adopt(live, start)
    assert not wire.passes(ATTACKER4), "it was dropped all the time"
    again.settle()
    restarted = time.monotonic() - start
    assert again.feed.backend.missing(many) == []
    again.feed.close()
    with capsys.disabled():
        name = node.settings.backend
        print(f"\n{name}: loaded {loaded:.2f} s, after flush {flushed:.2f} s, restart {restarted:.2f} s")
    assert flushed < 5
    assert restarted < 5


@pytest.mark.system
def test_read_in_a_thread(node: Node, wire: Wire) -> None:
    """While another thread reads the kernel, bans go on, and none of them is taken for damage."""
    node.feed.apply([change("added", n, FOREVER) for n in hosts(20_000)], time.monotonic())
    node.settle()
    before = node.feed.stats.commits
    with ThreadPoolExecutor(1) as pool:
        for i in range(5):
            node.feed._trusted = False
            reading = pool.submit(enter_and, wire, node.feed.inspect)
            for text in (ATTACKER4, ATTACKER6):
                kind = "removed" if i % 2 else "added"
                node.feed.apply([change(kind, text, FOREVER)], time.monotonic())
                time.sleep(0.006)
            node.feed.repair(reading.result(10), time.monotonic())
            node.settle()
    assert node.feed.stats.commits >= before + 10
    assert (node.feed.stats.repaired, node.feed.stats.foreign, node.feed.stats.failed) == (0, 0, 0)
    assert not wire.passes(ATTACKER4)


def enter_and(wire: Wire, work: Callable[[], Inspection]) -> Inspection:
    """Work in another thread, which has to enter the sensor's namespace by itself."""
    with wire.sensor.inside():
        return work()


KILLED = f"""
import sys, time
from shield.firewall.feed import Feed
from shield.firewall.inspection import Inspection
from shield.firewall.registry import make_backend
from shield.firewall.settings import FirewallSettings
from shield.net import Network
from tests.firewall.fake import decision
settings = FirewallSettings(backend=sys.argv[1], batch_elements=20000)
feed = Feed(make_backend(settings), settings)
many = [Network((0x0A000000 + i).to_bytes(4, "big"), 32) for i in range({MANY})]
feed.adopt([decision(network, {FOREVER}) for network in many], 0.0)
print("ready", flush=True)
while True:
    feed.flush(0.0)
    feed._host_lane.add(feed._wanted.hosts)
"""


@pytest.mark.system
@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_killed_during_commit(wire: Wire, backend: str) -> None:
    """Killed in the middle of commits, shield starts again on what is there and completes it."""
    flags = {"stdout": subprocess.PIPE, "stderr": None}
    victim = wire.sensor.popen(sys.executable, "-c", KILLED, backend, **flags)
    assert victim.stdout is not None
    assert victim.stdout.readline() == "ready\n"
    time.sleep(0.1)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    victim.stdout.close()
    with wire.sensor.inside():
        node = Node(backend)
        live = [decision(Network((0x0A000000 + i).to_bytes(4, "big"), 32), FOREVER) for i in range(MANY)]
        live.append(decision(ATTACKER4, FOREVER))
        start = time.monotonic()
        node.feed.adopt(live, start)
        node.settle()
        took = time.monotonic() - start
        assert not wire.passes(ATTACKER4)
        assert node.feed.backend.missing([item.network for item in live]) == []
        node.feed.close(remove=True)
    assert took < 5
