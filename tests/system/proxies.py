"""Several real SIP servers, each with a node of shield beside it, and phones: one cluster.

proxies = Proxies(lab, folder, "p1", "p2")
proxies.open()
proxies["p2"].phone("1002", "answer")
proxies["p1"].phone("1001", "call", "1002")
proxies.until(lambda: 200 in proxies.results("1001", "call"), 10)
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shield.control.client import Client
from shield.errors import SystemFailure
from tests.netlab import Lab

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RECIPES = sorted((ROOT / "docs" / "recipes").glob("*.cfg"))

CONFIG = """\
[node]
name = "{name}"
mode = "observe"
[capture]
interfaces = ["eth0"]
[detect]
rules = "{root}/rules"
servers = {servers}
[journal]
path = "{folder}/journal.db"
[control]
socket = "{folder}/s"
[cluster]
directory = "{folder}/cluster"
[location]
track = true
grace = "{grace}"
[redirect]
listen = ["127.0.0.1:5070"]
{more}
"""


class Proxy:
    """One server: Kamailio and a node on one host."""

    def __init__(self, proxies: Proxies, name: str, address: str) -> None:
        self.proxies, self.name, self.address = proxies, name, address
        self.folder = proxies.folder / name
        self.folder.mkdir()
        self.host = proxies.lab.host(name, f"{address}/24")
        self.client = Client(f"{self.folder}/s")
        self.node: subprocess.Popen[str] | None = None
        self.server: subprocess.Popen[str] | None = None

    def start_server(self) -> None:
        """Start Kamailio with the recipe of the docs."""
        (self.folder / "run").mkdir(exist_ok=True)
        for path in (HERE / "kamailio-site.cfg", *RECIPES):
            (self.folder / path.name).write_text(path.read_text())
        self.server = self._start(
            "kamailio.log", "kamailio", "-DD", "-E", "-f", str(self.folder / "kamailio-site.cfg"),
            "-l", f"udp:{self.address}:5060", "-l", f"tcp:{self.address}:5060",
            "-A", 'PEERS="^192.0.2.[1-9]$"', "-Y", f"{self.folder}/run",
            "-P", f"{self.folder}/run/pid", "-m", "32", "-M", "4",
        )  # fmt: skip

    def start_node(self) -> None:
        """Start shield."""
        self.client.close()
        self.node = self._start("shield.log", *self.command, "run")

    @property
    def command(self) -> tuple[str, ...]:
        """Words before those of a command of shield."""
        return ("env", f"SHIELD_CONFIG={self.folder}/shield.toml", sys.executable, "-m", "shield")

    def cli(self, *words: str, check: bool = True) -> Any:
        """Run a command of shield here, as its operator would."""
        return self.host.run(*self.command, *words, check=check)

    def call(self, command: str, **arguments: Any) -> Any:
        """Ask the node by its socket."""
        return self.client.call(command, **arguments)

    def whereis(self, user: str) -> list[str]:
        """Nodes at which this node believes a user to be."""
        return [place["node"] for place in self.call("whereis", user=user)["places"]]

    def answers(self) -> bool:
        """Whether the node answers; fails when it has ended."""
        assert self.node is not None
        assert self.node.poll() is None, (self.folder / "shield.log").read_text()[-3000:]
        try:
            return bool(self.call("status"))
        except SystemFailure:
            return False

    def members(self) -> set[str]:
        """Names of the members this node is connected to."""
        return {row["name"] for row in self.call("cluster.members") if row["route"] == "direct"}

    def phone(self, user: str, role: str, *more: str) -> subprocess.Popen[str]:
        """Start a phone that is registered here: see tests/system/phone.py."""
        return self._phone(f"phone{user}", 20 + int(user) - 1000, user, role, *more)

    def room(self, user: str) -> subprocess.Popen[str]:
        """Start a conference room of this server: a phone that answers, registered here only."""
        return self._phone(f"room{user}-{self.name}", 40 + int(self.address[-1]), user, "answer")

    def _phone(self, name: str, last: int, user: str, role: str, *more: str) -> subprocess.Popen[str]:
        """A phone at 192.0.2.``last`` with a host and a log of its own."""
        lab, address = self.proxies.lab, f"192.0.2.{last}"
        host = lab.hosts.get(name) or lab.host(name, f"{address}/24")
        with (self.proxies.folder / f"{name}.log").open("a") as output:
            made: subprocess.Popen[str] = host.popen(
                sys.executable, "-m", "tests.system.phone", role, address,
                self.address, user, f"secret{user}", *more,
                cwd=ROOT, stdout=output, stderr=output,
            )  # fmt: skip
        return made

    def end_node(self, number: int = signal.SIGTERM) -> None:
        """End shield; Kamailio goes on."""
        assert self.node is not None
        self.client.close()
        self.node.send_signal(number)
        self.node.wait(10)

    def _start(self, log: str, *command: str) -> subprocess.Popen[str]:
        with (self.folder / log).open("a") as output:
            made: subprocess.Popen[str] = self.host.popen(
                *command, cwd=self.folder, stdout=output, stderr=output
            )
        return made


class Proxies:
    """All of them; ``more`` are further lines of the configuration of each node."""

    def __init__(self, lab: Lab, folder: Path, *names: str, grace: str = "3s", more: str = "") -> None:
        self.lab, self.folder = lab, folder
        addresses = {name: f"192.0.2.{number}" for number, name in enumerate(names, start=1)}
        self.proxies = {name: Proxy(self, name, address) for name, address in addresses.items()}
        for name, proxy in self.proxies.items():
            text = CONFIG.format(
                name=name, root=ROOT, folder=proxy.folder, grace=grace, more=more,
                servers=json.dumps([*addresses.values()]),
            )  # fmt: skip
            (proxy.folder / "shield.toml").write_text(text)

    def __getitem__(self, name: str) -> Proxy:
        return self.proxies[name]

    def open(self) -> None:
        """Start everything and form the cluster by the commands that an operator types."""
        everybody = [*self.proxies.values()]
        for proxy in everybody:
            proxy.start_server()
            proxy.start_node()
        self.until(lambda: all(proxy.answers() for proxy in everybody), 20)
        first = everybody[0]
        first.cli("cluster", "init", "--name", "proxies")
        for proxy in everybody[1:]:
            token = first.cli("cluster", "invite", "--output", "plain").stdout.strip()
            proxy.cli("cluster", "join", token)
        names = set(self.proxies)
        self.until(lambda: all(p.members() == names - {p.name} for p in everybody), 15)

    def results(self, user: str, kind: str) -> list[int]:
        """Statuses that a phone printed of ``register``, ``call``, ``bye``, ``answered``, ``hungup``."""
        return self.printed(f"phone{user}", kind)

    def printed(self, name: str, kind: str) -> list[int]:
        """The same of any phone or room, by the name of its log."""
        path = self.folder / f"{name}.log"
        text = path.read_text() if path.exists() else ""
        return [int(status) for status in re.findall(rf"^{kind} (\d+)$", text, re.MULTILINE)]

    def until(self, holds: Callable[[], bool], wait: float) -> float:
        """Wait for it; seconds that it took. Fails with the ends of all logs."""
        begun = time.monotonic()
        while not holds():
            assert time.monotonic() - begun < wait, f"not within {wait} s\n{self.logs()}"
            time.sleep(0.03)
        return time.monotonic() - begun

    def logs(self) -> str:
        """The ends of all logs."""
        return "\n".join(
            f"--- {path.relative_to(self.folder)}\n{path.read_text()[-1500:]}"
            for path in sorted(self.folder.rglob("*.log"))
        )

    def close(self) -> None:
        """Close the connections to the nodes; programs end with the lab."""
        for proxy in self.proxies.values():
            proxy.client.close()
