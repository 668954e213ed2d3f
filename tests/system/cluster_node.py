"""One host of a cluster lab, with the real daemon on it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from shield.control.client import Client
from shield.errors import SystemFailure
from tests.netlab import Host, Lab

ROOT = Path(__file__).parents[2]
CAPTURES = ROOT / "tests" / "captures"
PORT = 7170

PARTS = {
    "n1": ("192.0.2.1", "enforce", "nftables"),
    "n2": ("192.0.2.2", "enforce", "nftables"),
    "n3": ("192.0.2.3", "enforce", "dryrun"),
    "n4": ("192.0.2.4", "observe", "nftables"),
    "n5": ("192.0.2.5", "observe", "nftables"),
}
"""Address, mode and firewall of each node."""

ATTACKER, CARRIER = "192.0.2.66", "192.0.2.77"
"""Addresses of the attacker's host; the second is in every node's allowlist."""
ATTACKS = {
    "svcrack038_success": "203.0.113.15",
    "hydra_sip": "203.0.113.55",
    "sipsak_usrloc_wrongpw": "203.0.113.32",
    "sippts_scan_tcp": "203.0.113.43",
}
"""Captures of attacks that prove their address, and that address, which the attacker's host has too. A
node takes each once for an attack: the second time its messages are repetitions."""
SINK = 5080
"""A UDP port that is not SIP: what is sent there is not judged."""

CONFIG = """\
[node]
name = "{name}"
mode = "{mode}"
[capture]
interfaces = {interfaces}
[detect]
rules = "{root}/rules"
# A tool that gives itself away is banned before its address is proven; here it shall be proven first.
disabled = ["scanner-user-agent", "sipvicious", "disguised-tool"]
[allowlist]
entries = ["{carrier}"]
[firewall]
backend = "{backend}"
[journal]
path = "{folder}/journal.db"
[control]
socket = "{folder}/s"
[cluster]
directory = "{folder}/cluster"
{cluster}
[sharing]
# Small, so that a node that goes mad comes to the end of it soon.
burst = 1000
max_bans = 2000
"""


class Node:
    """One host and its daemon; ``program`` is the process, or the last one."""

    def __init__(self, net: Lab, folder: Path, name: str) -> None:
        self.name = name
        self.address, self.mode, self.backend = PARTS[name]
        self.folder = folder / name
        self.folder.mkdir()
        self.host: Host = net.host(name, f"{self.address}/24")
        self.host.run("ip", "route", "add", "203.0.113.0/24", "dev", "eth0")
        self.client = Client(f"{self.folder}/s")
        self.program: subprocess.Popen[str] | None = None
        self.environment: dict[str, str] = {}
        """Further variables of the daemon."""
        self.configure()

    def configure(self, **cluster: str) -> None:
        """Write the configuration; ``cluster`` are further keys of that section."""
        text = CONFIG.format(
            name=self.name, mode=self.mode, backend=self.backend, folder=self.folder, root=ROOT,
            # Only n1 listens; the others hear of attacks by what it says, or by ``inject``.
            interfaces=["eth0"] if self.name == "n1" else [], carrier=CARRIER,
            cluster="\n".join(f'{key} = "{value}"' for key, value in cluster.items()),
        )  # fmt: skip
        (self.folder / "shield.toml").write_text(text.replace("'", '"'))

    def launch(self) -> None:
        """Start the daemon; it does not answer yet."""
        self.client.close()
        words = [f"{key}={value}" for key, value in self.environment.items()]
        with self.log.open("a") as log:
            self.program = self.host.popen(
                "env", *words, *self.command, "run", cwd=self.folder, stdout=log, stderr=log
            )

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def command(self) -> tuple[str, ...]:
        """Words before those of a command of shield."""
        return ("env", f"SHIELD_CONFIG={self.folder}/shield.toml", sys.executable, "-m", "shield")

    def cli(self, *words: str, check: bool = True) -> Any:
        """Run a command of shield on this host, as its operator would."""
        return self.host.run(*self.command, *words, check=check)

    def call(self, command: str, **arguments: Any) -> Any:
        """Ask the daemon by its socket."""
        return self.client.call(command, **arguments)

    @property
    def running(self) -> bool:
        return self.program is not None and self.program.poll() is None

    def answers(self) -> bool:
        """Whether the daemon answers; fails when it has ended."""
        assert self.running, self.log.read_text()[-3000:]
        try:
            return bool(self.call("status"))
        except SystemFailure:
            return False

    def drop_journal(self) -> None:
        """Remove the journal of a daemon that has ended."""
        for path in self.folder.glob("journal.db*"):
            path.unlink()

    def see(self, attack: str) -> Any:
        """See one of ATTACKS, as though it had come by the interface; what came of it."""
        return self.call("inject", path=str(CAPTURES / f"{attack}.pcap"))

    def end(self, number: int = signal.SIGTERM) -> None:
        """End the daemon, by default with a goodbye to the others."""
        assert self.program is not None
        self.client.close()
        self.program.send_signal(number)
        self.program.wait(10)

    def ban(self, *values: str, duration: float = 3600, reason: str = "test") -> None:
        """Ban as an operator, in portions that the socket takes."""
        for start in range(0, len(values), 1000):
            part = [*values[start : start + 1000]]
            answer = self.call("ban", values=part, duration=duration, reason=reason)
            assert all(result["ok"] for result in answer["results"])

    def unban(self, *values: str) -> None:
        """Unban as an operator."""
        for start in range(0, len(values), 1000):
            self.call("unban", values=[*values[start : start + 1000]])

    def rows(self) -> dict[str, dict[str, Any]]:
        """Rows of ``list`` by value."""
        return {row["value"]: row for row in self.call("list")}

    def holds(self, value: str) -> bool:
        """Whether this node bans exactly that."""
        return any(row["value"] == value for row in self.call("list"))

    def members(self) -> dict[str, dict[str, Any]]:
        """Rows of ``cluster members`` by name."""
        return {row["name"]: row for row in self.call("cluster.members")}

    def sees(self, name: str) -> str:
        """State of a member as this node knows it."""
        return str(self.members().get(name, {}).get("state"))

    def in_kernel(self, value: str) -> bool:
        """Whether the kernel itself lists an address in our sets."""
        return value in self.host.run("nft", "list", "set", "inet", "shield", "hosts4").stdout
