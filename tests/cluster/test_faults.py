"""Random faults from seeds: whatever happened, when it is over everybody is a member again."""

from __future__ import annotations

import random

import pytest

from shield.cluster.capability import SendResult
from tests.cluster.fakenet import FakeNet, FakeNode

NAMES = ("a", "b", "c", "d", "e")
FAULTS = 12
EXPECTED = {
    *("silent", "no_hello", "duplicate", "self", "refused_us"),
    *("replayed", "no_route", "too_many_hops", "unknown_sender"),
}
"""What such faults may lead to; a forged or broken message is not among it."""


def hurt(net: FakeNet, chance: random.Random) -> None:
    """One random fault, or the end of one."""
    node: FakeNode = net[chance.choice(NAMES)]
    other = chance.choice([name for name in NAMES if name != node.name])
    match chance.randrange(8):
        case 0:
            node.stop() if not node.stopped else node.start()
        case 1:
            node.frozen = not node.frozen
        case 2:
            net.cut_link(node.name, other)
        case 3:
            names = list(NAMES)
            chance.shuffle(names)
            size = chance.randrange(1, 4)
            net.sever(tuple(names[:size]), tuple(names[size:]))
        case 4:
            net.heal()
        case 5:
            net.break_pipes(lambda pipe: node in pipe.ends)
        case 6:
            node.core.enable(enabled=chance.random() < 0.5, now=net.now)
        case 7:
            node.clock = chance.uniform(-20_000, 20_000)
            node.core.shift += chance.uniform(-5, 5)


@pytest.mark.parametrize("seed", range(120))
def test_a_cluster_heals_after_any_faults(seed: int) -> None:
    """Kills, freezes, cuts, resets, wrong clocks, disabled nodes: then one mesh, one message each."""
    chance = random.Random(seed)
    net = FakeNet(*NAMES, seed=seed, delay=chance.choice([0.001, 0.05, 0.1]))
    net.jitter = chance.choice([0.0, 0.1])
    for _ in range(FAULTS):
        hurt(net, chance)
        net.run(chance.uniform(0.1, 3.0))
        for node in net.nodes.values():
            outlet = node.recorder.outlet
            assert outlet is not None
            outlet.broadcast("noise", net.now)
    net.heal()
    for node in net.nodes.values():
        node.frozen = False
        if node.stopped:
            node.start()
        node.core.enable(enabled=True, now=net.now)
    # A flapping connection is held back for a minute at most.
    net.until(lambda: all(net.sees(name) == set(NAMES) - {name} for name in NAMES), 90)
    net.run(1)
    sender = net[chance.choice(NAMES)]
    outlet = sender.recorder.outlet
    assert outlet is not None
    assert outlet.broadcast("after", net.now) is SendResult.SENT
    net.run(2)
    for node in net.nodes.values():
        assert node.recorder.bodies.count("after") == (node is not sender)
        assert set(node.core.errors) <= EXPECTED
