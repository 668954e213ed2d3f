"""Whatever happens in whatever order, all nodes end with the same blocklist."""

from __future__ import annotations

import random
from collections import deque

import pytest

from shield.blocklist.sharing_settings import SharingSettings
from tests.blocklist.sharing_lab import Lab

VALUES = ["192.0.2.1", "192.0.2.2", "192.0.2.0/24", "2001:db8::1", "198.51.100.0/28"]
NAMES = ("a", "b", "c", "d")


def happen(lab: Lab, chance: random.Random) -> None:
    """One thing that detection or an operator does somewhere."""
    node, value = lab[chance.choice(NAMES)], chance.choice(VALUES)
    what = chance.random()
    if what < 0.6:
        node.ban(value, chance.choice([60, 600, 6000]))
    elif what < 0.8:
        if value in node.banned():
            node.unban(value)
    elif what < 0.9:
        node.allow(value)
    elif (entry := node.allowlist.get(value)) is not None and entry.origin != "builtin":
        node.disallow(value)


def shuffle(lab: Lab, chance: random.Random, part: float) -> None:
    """Deliver some messages in any order, some of them twice."""
    waiting = list(lab.waiting)
    chance.shuffle(waiting)
    now = waiting[: int(len(waiting) * part)]
    lab.waiting = deque(now + now[: len(now) // 3])
    later = waiting[len(now) :]
    lab.deliver()
    lab.waiting.extend(later)


@pytest.mark.parametrize("quorum", [1, 2])
def test_all_orders_lead_to_one_blocklist(quorum: int) -> None:
    """Bans of different lengths, unbans and allowlist entries on four nodes at once; 150 seeds."""
    for seed in range(150):
        chance = random.Random(seed)
        lab = Lab(*NAMES, settings=SharingSettings(quorum=quorum))
        for _ in range(30):
            lab.now += chance.random() / 20
            happen(lab, chance)
            if chance.random() < 0.4:
                shuffle(lab, chance, chance.random())
        while lab.waiting:
            shuffle(lab, chance, 1.0)
        digests = {node.sharing.records.digest(lab.now) for node in lab.nodes.values()}
        assert len(digests) == 1, f"seed {seed}"
        allowed = {frozenset(e.value for e in n.allowlist.entries(lab.now)) for n in lab.nodes.values()}
        assert len(allowed) == 1, f"seed {seed}"
        try:
            compare(lab, quorum)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def compare(lab: Lab, quorum: int) -> None:
    """All equal; with a quorum a node may hold its own decision besides."""
    if quorum == 1:
        lab.agree()
        return
    for value in VALUES:
        told = [
            n.sharing.admission.said(n.decision(value, 1).network, lab.now) for n in lab.nodes.values()
        ]
        voters = {entry.origin for _, entry in told[0]}
        for node in lab.nodes.values():
            if len(voters) < quorum and node.name not in voters:
                assert value not in node.banned()
