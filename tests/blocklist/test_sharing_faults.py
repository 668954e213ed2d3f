"""Lost messages, partitions, joins and restarts: comparison makes the blocklists equal again."""

from __future__ import annotations

import random

from shield.blocklist.shared_record import ban_key, ban_value
from shield.blocklist.sharing_settings import SharingSettings
from shield.cluster.replicated import ReplicatedMap
from tests.blocklist.sharing_lab import WALL, Lab, LabNode
from tests.blocklist.test_sharing import restart, start

HEALED = 15.0
"""Seconds after which all must be equal: two reports, and a node's word for one that is gone."""


def settle(lab: Lab, seconds: float = HEALED) -> dict[str, float]:
    """Let everybody meet and compare; all must agree then."""
    lab.meet()
    lab.run(seconds)
    return lab.agree()


def test_what_was_lost_on_the_way_is_found() -> None:
    """Bans, an unban and an allowlist entry of which no message arrived."""
    lab = Lab("a", "b", "c")
    settle(lab)
    lab["a"].ban("192.0.2.1", 6000)
    lab["b"].ban("192.0.2.2", 6000)
    lab.deliver()
    lab["c"].unban("192.0.2.1")
    lab["b"].ban("192.0.2.3", 6000)
    lab["a"].allow("198.51.100.7")
    lab.waiting.clear()
    assert settle(lab).keys() == {"192.0.2.2", "192.0.2.3"}
    assert all(node.allowlist.get("198.51.100.7") for node in lab.nodes.values())


def test_both_sides_of_a_partition_agree_when_it_heals() -> None:
    """A thousand changes on each, of the same networks too."""
    lab = Lab("a", "b")
    for n in range(100):
        lab["a"].ban(f"192.0.2.{n}", 6000)
    settle(lab)
    lab.cut = {"a"}
    lab.meet()
    for n in range(1000):
        node = lab["a" if n % 2 else "b"]
        node.ban(f"10.0.{n // 200}.{n % 200}", 6000)
        if n % 10 == 0:
            node.unban(f"192.0.2.{n // 10}")
    lab.run(10)
    lab.cut = set()
    assert len(settle(lab)) == 1000


def test_a_joiner_gets_everything_at_once_and_beyond_the_burst() -> None:
    """What was decided before it came is no flood."""
    lab = Lab("a", settings=SharingSettings(burst=10, rate=1))
    for n in range(3000):
        lab["a"].ban(f"10.0.{n // 250}.{n % 250}", 6000)
    lab.add("b", SharingSettings(burst=10, rate=1))
    assert len(settle(lab)) == 3000
    for n in range(20):
        lab["a"].ban(f"10.1.0.{n}", 6000)
    lab.deliver()
    assert len(lab["b"].banned()) == 3010


def test_a_restart_with_an_old_journal_is_healed() -> None:
    """What the node itself had said since comes back from the others, and so do the unbans."""
    lab = Lab("a", "b", "c")
    a = lab["a"]
    a.ban("192.0.2.1", 6000)
    settle(lab)
    now = lab.now
    rows, _ = a.sharing.store.take(100, now, WALL + now)
    kept = list(a.bans.decisions(now))
    a.ban("192.0.2.2", 6000)
    lab["b"].unban("192.0.2.1")
    lab.deliver()
    start(a, rows, kept)
    assert a.banned() == {"192.0.2.1"}
    assert settle(lab).keys() == {"192.0.2.2"}


def test_a_dead_nodes_decisions_reach_who_joins_after_its_death() -> None:
    """From those who heard them; and they end when the node is removed."""
    lab = Lab("a", "b")
    lab["a"].ban("192.0.2.1", 6000)
    settle(lab)
    lab.nodes.pop("a")
    c = lab.add("c", SharingSettings())
    assert settle(lab).keys() == {"192.0.2.1"}
    assert c.get("192.0.2.1").origin == "a"
    for node in lab.nodes.values():
        node.sharing.forget("a", lab.now)
    assert settle(lab) == {}


def test_names_that_were_never_members_have_no_say() -> None:
    """A captured node that invents origins, each with a budget of its own, gets none of them through."""
    lab = Lab("a", "m", settings=SharingSettings(burst=10, max_bans=50))
    lab.meet()
    lab.run(10)
    made_up = ReplicatedMap("blocklist", "ghost", b"g" * 32)
    for host in range(20):
        decision = lab["m"].decision(f"192.0.2.{host}", 6000, origin="ghost")
        key, wall = ban_key(decision.network), WALL + lab.now
        made_up.put(key, ban_value(decision), 6000, lab.now, wall)
        record = made_up.record(key, lab.now)
        assert record is not None
        assert lab["m"].sharing.records.merge("ghost", record, lab.now, wall)
    lab["m"].ban("198.51.100.1")
    lab.run(100)
    assert lab["a"].banned() == {"198.51.100.1"}
    sync = lab["a"].sharing.sync
    assert sync is not None
    assert sync.state(lab.now) == "synced", "what is refused is not asked for again and again"


def fault(lab: Lab, chance: random.Random) -> None:
    """Something that goes wrong, or right."""
    what = chance.random()
    node = lab[chance.choice(tuple(lab.nodes))]
    value = f"192.0.2.{chance.randrange(12)}"
    if what < 0.3:
        node.ban(value, chance.choice([20, 600, 6000]))
    elif what < 0.5:
        node.suspect(value, chance.choice([20, 200, 300]), messages=50)
    elif what < 0.65 and value in node.banned():
        node.unban(value)
    elif what < 0.75:
        lab.cut ^= {node.name}
        lab.meet()
    elif what < 0.8:
        restart(node)
    elif what < 0.9:
        for _ in range(len(lab.waiting) // 2):
            lab.waiting.remove(chance.choice(lab.waiting))
    else:
        lab.run(chance.choice([0.5, 1.0, 3.0]))


def test_many_schedules_of_faults_end_well() -> None:
    """Bans of both grades, unbans, cuts, restarts, losses at random; then all blocklists are equal."""
    left: list[int] = []
    for seed in range(60):
        chance = random.Random(seed)
        lab = Lab("a", "b", "c", "d")
        for _ in range(60):
            fault(lab, chance)
        lab.cut = set()
        try:
            left.append(len(settle(lab, 40)))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert sum(left) > 300


def test_restarted_nodes_keep_their_own_end() -> None:
    """A ban ends at the same time on all, also where it came back from a journal."""
    lab = Lab("a", "b")
    lab["a"].ban("192.0.2.1", 100)
    settle(lab, 5)
    node: LabNode = lab["b"]
    restart(node)
    assert abs(settle(lab, 5)["192.0.2.1"] - 200.0) < 1
