"""Random schedules of faults for a net of replicated maps, and the truth they are measured by."""

from __future__ import annotations

from itertools import combinations

from tests.cluster.replica_net import Net

Write = tuple[int, str, float, bytes | None]
"""Stamp, origin, end in the net's time, value."""


class Schedule:
    """Nodes that write, lose messages, are cut off, and restart with old journals."""

    def __init__(self, seed: int, nodes: int = 3, steps: int = 30) -> None:
        self.net = Net("abcde"[:nodes], seed)
        self.random = self.net.random
        self.steps = steps
        self.writes: dict[bytes, list[Write]] = {}
        self.uncertain: set[tuple[bytes, int, str]] = set()
        """Writes that nobody knew any more after a restart."""
        self.saved = {name: dict(node.rows) for name, node in self.net.nodes.items()}

    def run(self) -> float:
        """Run the schedule, heal, and check; returns how long equality took after healing."""
        net, random = self.net, self.random
        net.loss = random.choice([0, 0.1, 0.3])
        net.delay = random.choice([0.005, 0.5, 2])
        net.reorder = random.random() < 0.5
        for _ in range(self.steps):
            action = random.choice([self.write, self.write, self.write, self.cut, self.mend, self.save])
            if random.random() < 0.07:
                action = self.restart
            action()
            net.run(random.choice([0, 0.1, 1, 3]))
        net.loss, net.delay, net.reorder = 0, 0.005, False
        net.cut.clear()
        seconds = net.run_until_equal()
        net.run(3)
        net.run_until_equal(10)
        self.check()
        return seconds

    def write(self) -> None:
        for _ in range(self.random.choice([1, 1, 10, 60])):
            node = self.random.choice(list(self.net.nodes.values()))
            key = b"key %d" % self.random.randrange(200)
            if self.random.random() < 0.2:
                node.remove(key)
            else:
                node.put(key, self.random.randbytes(3), self.random.choice([8, 30, 1000, 1000]))
            entry = node.table.get(key)
            if entry is not None and entry.origin == node.name:
                end = entry.until - node.now + self.net.time
                self.writes.setdefault(key, []).append((entry.stamp, node.name, end, entry.value))

    def cut(self) -> None:
        self.net.cut.add(frozenset(self.random.choice(list(combinations(self.net.nodes, 2)))))

    def mend(self) -> None:
        self.net.cut.clear()

    def save(self) -> None:
        self.saved = {name: dict(node.rows) for name, node in self.net.nodes.items()}

    def restart(self) -> None:
        """A node comes back with a journal from some time ago."""
        node = self.random.choice(list(self.net.nodes.values()))
        node.boot(self.saved[node.name])
        for key, writes in self.writes.items():
            held = [other.table.get(key) for other in self.net.nodes.values()]
            best = max(((entry.stamp, entry.origin) for entry in held if entry), default=(0, ""))
            self.uncertain |= {(key, write[0], write[1]) for write in writes if write[:2] > best}

    def check(self) -> None:
        """Every map holds the last write of every key, unless it has ended, and nothing else."""
        nodes = list(self.net.nodes.values())
        contents = nodes[0].contents()
        for node in nodes:
            assert node.contents() == contents
            assert "forged_origin" not in node.table.counters
        assert not self.net.errors
        for key, (stamp, origin, value) in contents.items():
            assert (stamp, origin, value) in [(s, o, v) for s, o, _, v in self.writes[key]]
        for key, writes in self.writes.items():
            certain = [write for write in writes if (key, write[0], write[1]) not in self.uncertain]
            last = max(certain, default=None)
            # An uncertain write that has ended may have replaced a certain one before.
            replaced = any(w > last and w[2] < self.net.time + 6 for w in writes) if last else True
            if last is not None and not replaced and last[2] > self.net.time + 1:
                assert contents[key][:2] >= last[:2], f"{key!r}: {contents.get(key)}, lost {last}"
