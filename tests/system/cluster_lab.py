"""A cluster of five hosts for system tests: each runs the real daemon, all are plugged into one switch.

    lab.form()                          # by the commands that an operator types
    lab.nodes["n2"].ban("198.18.0.1")
    lab.spread("198.18.0.1")            # seconds until all hold it
    lab.faults.cut("n1", "n2")          # see cluster_faults.py
    lab.converge()                      # seconds until all blocklists and digests are equal

n1 and n2 enforce with nftables; n3 decides and only says what it would do; n4 and n5 observe.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shield.errors import ShieldError
from tests.netlab import Lab
from tests.system.cluster_faults import Faults
from tests.system.cluster_node import ATTACKER, ATTACKS, CARRIER, PARTS, ROOT, SINK, Node

SETTLE = 25.0
"""Seconds that a step may take that has no limit of its own: a node that was restarted too often for the
others is held back by them for 20 s."""
HOURS = 86400.0
"""More than any test may leave behind: when a ban ends is no matter before the next one."""


class ClusterLab:
    """Five nodes and an attacker's host; a context manager around ``Lab`` is the caller's business."""

    def __init__(self, net: Lab, folder: Path) -> None:
        self.net, self.folder = net, folder
        self.nodes = {name: Node(net, folder, name) for name in PARTS}
        self.faults = Faults(net, {name: node.address for name, node in self.nodes.items()})
        sources = (ATTACKER, CARRIER, *ATTACKS.values())
        self.attacker = net.host("attacker", *(f"{source}/24" for source in sources))
        self.sender = {source: self.attacker.udp(source) for source in sources}
        self.typed: list[str] = []
        """Commands with which the cluster was formed."""
        self.formed = 0.0
        """Seconds from nothing, no daemon running, to three nodes that all see each other."""

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    # --- making it --------------------------------------------------------------------------

    def form(self) -> None:
        """Make the cluster: three nodes, then two more."""
        begun, names = time.monotonic(), [*self.nodes]
        self.start(*names[:3])
        self._type("n1", "cluster", "init", "--name", "lab")
        for name in names[1:3]:
            self.join(name)
        self.until(lambda: self.complete(names[:3]))
        self.formed = time.monotonic() - begun
        self.start(*names[3:])
        for name in names[3:]:
            self.join(name)
        self.until(self.complete)

    def join(self, name: str) -> None:
        """Add a node whose daemon runs."""
        token = self._type("n1", "cluster", "invite", "--output", "plain").strip()
        self._type(name, "cluster", "join", token)

    def _type(self, node: str, *words: str) -> str:
        self.typed.append(f"{node}: shield {' '.join(words[:2])}")
        return str(self.nodes[node].cli(*words).stdout)

    def start(self, *names: str) -> None:
        """Start daemons and wait until they answer."""
        for name in names:
            self.nodes[name].launch()
        self.until(lambda: all(self.nodes[name].answers() for name in names), 20)

    def complete(self, names: Iterable[str] = PARTS) -> bool:
        """Whether all of these are connected to each other and see nobody else."""
        wanted = set(names)
        return all(
            {
                name
                for name, row in self.nodes[own].members().items()
                if row["route"] in ("self", "direct")
            }
            == wanted
            for own in wanted
        )

    def restore(self) -> None:
        """Make everything whole again, with empty blocklists: how a test finds the cluster."""
        self.faults.heal()
        for node in self:
            if node.program is not None and node.running:
                node.program.send_signal(signal.SIGCONT)  # it may have been frozen
        stopped = [node.name for node in self if not node.running]
        for name in stopped:
            self.nodes[name].environment = {}
            self.nodes[name].configure()
        self.start(*stopped)
        self.until(self.complete)
        self.converge(late=HOURS)
        self.nodes["n1"].call("unban", all=True)
        self.until(lambda: not any(node.rows() for node in self))
        self.converge()

    @contextmanager
    def proxy(self, name: str, folder: Path) -> Iterator[None]:
        """Run Kamailio on a node's host, with the accounts of ``kamailio.cfg``."""
        node = self.nodes[name]
        program = node.host.popen(
            "kamailio", "-DD", "-E", "-f", str(ROOT / "tests" / "system" / "kamailio.cfg"),
            "-l", f"udp:{node.address}:5060", "-Y", str(folder), "-P", f"{folder}/pid", "-m", "32",
            "-M", "4", start_new_session=True,
        )  # fmt: skip
        try:
            self.until(lambda: ":5060" in node.host.run("ss", "-Hlun").stdout, 10)
            yield
        finally:
            os.killpg(program.pid, signal.SIGKILL)  # asked kindly right after its start it may hang
            program.wait(5)

    def close(self) -> None:
        """Close the connections to the daemons; the programs end with the ``Lab``."""
        for node in self:
            node.client.close()

    # --- looking ----------------------------------------------------------------------------

    def until(self, holds: Callable[[], bool], wait: float = SETTLE, every: float = 0.03) -> float:
        """Wait for it; seconds that it took. Fails with the ends of all logs."""
        begun = time.monotonic()
        while not holds():
            assert time.monotonic() - begun < wait, f"not within {wait} s\n{self.logs()}"
            time.sleep(every)
        return time.monotonic() - begun

    def spread(self, value: str, names: Iterable[str] = PARTS, wait: float = SETTLE) -> float:
        """Wait until these hold a ban; seconds."""
        return self.until(lambda: all(self.nodes[name].holds(value) for name in names), wait, 0.005)

    def gone(self, value: str, names: Iterable[str] = PARTS, wait: float = SETTLE) -> float:
        """Wait until none of these holds a ban; seconds."""
        return self.until(lambda: not any(self.nodes[name].holds(value) for name in names), wait, 0.005)

    def exactly(self, name: str, values: Iterable[str], wait: float = SETTLE) -> float:
        """Wait until a node bans these and nobody else; seconds. Fails with what it bans."""
        wanted, begun = set(values), time.monotonic()
        while (held := self.nodes[name].rows().keys()) != wanted:
            if time.monotonic() - begun > wait:
                state = json.dumps(self.nodes[name].call("cluster.status"), indent=1)
                raise AssertionError(
                    f"{name}: more {held - wanted}, less {wanted - held}\n{state}\n{self.logs()}"
                )
            time.sleep(0.05)
        return time.monotonic() - begun

    def blocklist(self, name: str) -> dict[str, tuple[Any, ...]]:
        """What a node bans, in words that are the same on every node."""
        now, found = time.monotonic(), {}
        for value, row in self.nodes[name].rows().items():
            # The node that decided calls its operator "cli".
            origin = name if row["origin"] in ("cli", "import") else row["origin"]
            ends = round(now + row["remaining"], 1)
            found[value] = (origin, row["scenario"], row["id"], row["reason"], row["repeats"], ends)
        return found

    def equal(self, names: Sequence[str], late: float) -> bool:
        """Whether these ban the same, until the same moment, and their maps have one digest."""
        digests = {self.nodes[name].call("cluster.status")["blocklist"]["digest"] for name in names}
        return len(digests) == 1 and not self.difference(names, late)

    def difference(self, names: Sequence[str], late: float) -> list[str]:
        """Say what differs between the blocklists; ends may be ``late`` seconds apart."""
        first, *others = names
        mine, found = self.blocklist(first), []
        for name in others:
            theirs = self.blocklist(name)
            for value in sorted({*mine, *theirs}):
                a, b = mine.get(value), theirs.get(value)
                if a is None or b is None or a[:-1] != b[:-1] or abs(a[-1] - b[-1]) > late:
                    found.append(f"{value}: {first} {a}, {name} {b}")
        return found

    def converge(
        self, names: Sequence[str] = (*PARTS,), wait: float = SETTLE, late: float = 2.0
    ) -> float:
        """Wait until blocklists and digests are equal; seconds. Fails with what differs."""
        begun = time.monotonic()
        while not self.equal(names, late):
            if time.monotonic() - begun > wait:
                shown = {n: self.nodes[n].call("cluster.status")["blocklist"] for n in names}
                differs = "\n".join(self.difference(names, late)[:20])
                raise AssertionError(f"{differs}\n{json.dumps(shown, indent=1)}\n{self.logs()}")
            time.sleep(0.1)
        return time.monotonic() - begun

    def arriving(self, name: str, source: str) -> int:
        """How many of three packets of the attacker's host reach the programs of a node."""
        host, target = self.nodes[name].host, self.nodes[name].address
        host.watch(source)
        for number in range(3):
            self.sender[source].send(b"probe %d" % number, target, SINK)
        # Delivered with the next softirq; for a banned one is waited in vain.
        end = time.monotonic() + 0.2
        while time.monotonic() < end and host.arrived(source) < 3:
            time.sleep(0.02)
        return host.arrived(source)

    def warnings(self, name: str) -> list[str]:
        """Warnings in ``status``."""
        return [*self.nodes[name].call("status")["warnings"]]

    def logs(self) -> str:
        """End of every log, and who sees whom."""
        found = []
        for node in self:
            try:
                seen = {name: (row["state"], row["route"]) for name, row in node.members().items()}
            except (ShieldError, TimeoutError) as error:
                seen = {"-": (str(error), "")}
            found.append(f"--- {node.name} {seen}\n{node.log.read_text()[-1500:]}")
        return "\n".join(found)
