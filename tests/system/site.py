"""A site under attack: a real registrar with shield beside it, a phone, and an attacker's host."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shield.control.client import Client
from shield.errors import SystemFailure
from tests.netlab import Lab, Udp

REGISTRAR, PHONE, CALLEE, ATTACKER = "192.0.2.1", "192.0.2.20", "192.0.2.21", "192.0.2.66"
REGISTRAR6, PHONE6, CALLEE6, ATTACKER6 = (
    "2001:db8::1",
    "2001:db8:0:20::20",
    "2001:db8:0:21::21",
    "2001:db8:0:66::66",
)
"""Each in a /64 of its own, so a ban of the attacker's network would not touch the phones by chance."""
SINK = 5080
"""A port of the registrar's host that is not SIP: what is sent there is not judged."""

COUNT = 3
"""Packets of one probe."""

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

CONFIG = """\
[node]
name = "sensor"
mode = "enforce"
[capture]
interfaces = ["eth0"]
[detect]
rules = "{root}/rules"
disabled = {disabled}
[policy]
hold_time = "{hold}"
[firewall]
backend = "{backend}"
[journal]
path = "{folder}/journal.db"
[control]
socket = "{folder}/shield.sock"
"""


LEGACY = (
    *("sh", "-c"),
    'mount --bind "$(command -v xtables-legacy-multi)" "$(command -v xtables-nft-multi)" && exec "$@"',
    "legacy",
)
"""Before a command: iptables is the old one for it. ``ip netns exec`` has made a mount namespace of its
own, so the machine keeps what it has."""


class Site:
    """Hosts of one test; ``start`` starts the node, ``open`` the registrar and two phones.

    ``backend`` may be ``iptables-legacy``. With ``version`` 6 the phones speak IPv6.
    """

    def __init__(self, lab: Lab, folder: Path, backend: str = "nftables", version: int = 4) -> None:
        self.lab, self.folder, self.backend, self.version = lab, folder, backend, version
        self.sensor = lab.host("registrar", f"{REGISTRAR}/24", f"{REGISTRAR6}/48")
        self.attacker = lab.host("attacker", f"{ATTACKER}/24", f"{ATTACKER6}/48")
        self.phone = lab.host("phone", f"{PHONE}/24", f"{PHONE6}/48")
        self.desk = lab.host("callee", f"{CALLEE}/24", f"{CALLEE6}/48")
        self.client = Client(f"{folder}/shield.sock")
        self.program: subprocess.Popen[str] | None = None
        self.log = folder / "shield.log"
        self.prefix: tuple[str, ...] = LEGACY if backend == "iptables-legacy" else ()
        """Words before the command that starts the node."""
        self.configure()

    def configure(self, disabled: tuple[str, ...] = (), hold: str = "10s") -> None:
        """Write the configuration; ``disabled`` rules do not take part, ``hold`` is policy.hold_time."""
        backend = self.backend.removesuffix("-legacy")
        text = CONFIG.format(
            root=ROOT, backend=backend, folder=self.folder, disabled=[*disabled], hold=hold
        )
        (self.folder / "shield.toml").write_text(text)

    def open(self, *defined: str) -> None:
        """Start Kamailio and the phones, and wait until a first call went well.

        ``defined``: words that its configuration asks for (``#!ifdef``).
        """
        (self.folder / "kamailio").mkdir()
        listen = (f"{REGISTRAR}:5060", f"[{REGISTRAR6}]:5060")
        self._start(
            self.sensor, "kamailio.log",
            "kamailio", "-DD", "-E", "-f", str(HERE / "kamailio.cfg"),
            *(word for where in listen for word in ("-l", f"udp:{where}", "-l", f"tcp:{where}")),
            "-Y", f"{self.folder}/kamailio", "-P", f"{self.folder}/kamailio/pid", "-m", "32", "-M", "4",
            *(f"-A{word}" for word in defined),
        )  # fmt: skip
        server, own, other = (
            (REGISTRAR, PHONE, CALLEE) if self.version == 4 else (REGISTRAR6, PHONE6, CALLEE6)
        )
        python = (sys.executable, "-m", "tests.system.phone")
        self._start(self.desk, "callee.log", *python, "answer", other, server, "1002", "secret1002")
        self.until(lambda: 200 in self.results("register", "callee.log"), 10)
        self._start(
            self.phone, "phone.log", *python, "call", own, server, "1001", "secret1001", "1002", "0.2"
        )
        self.until(lambda: 200 in self.results("bye"), 10)

    def start(self) -> float:
        """Start the node; seconds until it answers."""
        begun = time.monotonic()
        self.client.close()
        self.program = self._start(
            self.sensor, "shield.log",
            *self.prefix, sys.executable, "-m", "shield", "run",
            "--config", f"{self.folder}/shield.toml",
        )  # fmt: skip
        self.until(self.answers, 20)
        return time.monotonic() - begun

    def attack(self, *command: str) -> subprocess.Popen[str]:
        """Start a program on the attacker's host."""
        with (self.folder / "attack.log").open("w") as output:
            # Some tools leave a file behind where they run, so there; ours must find their own parts.
            program: subprocess.Popen[str] = self.attacker.popen(
                *command, cwd=self.folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        return program

    def call_on(self, calls: int) -> None:
        """Wait until the phone has made so many calls more, from the first INVITE to the BYE."""
        done = len(self.results("bye"))
        # One more: the call that runs now began before.
        self.until(lambda: len(self.results("bye")) > done + calls, 15)

    def end(self, number: int) -> int:
        """Send the node a signal; its exit code."""
        assert self.program is not None
        self.client.close()
        self.program.send_signal(number)
        return self.program.wait(10)

    def _start(self, host: Any, log: str, *command: str) -> subprocess.Popen[str]:
        with (self.folder / log).open("a") as output:
            program: subprocess.Popen[str] = host.popen(*command, cwd=ROOT, stdout=output, stderr=output)
        return program

    def reach(self, path: str) -> None:
        """Talk to the node by another control socket from now on."""
        self.client.close()
        self.client = Client(path)

    def answers(self) -> bool:
        """Whether the node answers; fails when the program that ``start`` started has ended."""
        assert self.program is None or self.program.poll() is None, self.log.read_text()
        try:
            return bool(self.client.call("status"))
        except SystemFailure:
            return False

    def results(self, what: str, log: str = "phone.log") -> list[int]:
        """Status of every ``register``, ``call``, ``bye`` ... of a phone until now."""
        lines = [line.split() for line in (self.folder / log).read_text().splitlines()]
        # A traceback in the log must not be overlooked: a line is two words, or the test ends here.
        return [int(status) for word, status in lines if word == what]

    def banned(self) -> dict[str, dict[str, Any]]:
        """Rows of ``list`` by value."""
        return {row["value"]: row for row in self.client.call("list")}

    def kernel(self) -> str:
        """What the kernel itself lists of our sets."""
        if self.backend == "nftables":
            return str(self.sensor.run("nft", "list", "table", "inet", "shield").stdout)
        return str(self.sensor.run("ipset", "list").stdout)

    def rules(self, kind: str, version: int) -> str:
        """What ``legacy`` or ``nft`` iptables lists of its own rules."""
        program = f"xtables-{kind}-multi", f"ip{'6' if version == 6 else ''}tables-save"
        return str(self.sensor.run(*program, "-t", "raw").stdout)

    def until(self, holds: Callable[[], bool], wait: float) -> float:
        """Wait for it; seconds that it took. Fails with what everybody logged."""
        begun = time.monotonic()
        while not holds():
            assert time.monotonic() - begun < wait, self.logs()
            time.sleep(0.05)
        return time.monotonic() - begun

    def logs(self) -> str:
        """End of every log."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.log"))
        )


class Probe:
    """Sends from a host and says whether it arrived, by a counter behind every early hook."""

    def __init__(self, site: Site, sender: Udp, source: str, target: str = REGISTRAR) -> None:
        self.site, self.sender, self.source, self.target = site, sender, source, target

    def passes(self) -> bool:
        """Whether all of the next packets arrive."""
        return self._send() >= COUNT  # neighbour discovery of IPv6 may add one

    def dropped(self) -> bool:
        """Whether none of the next packets arrives."""
        return self._send() == 0

    def _send(self) -> int:
        before = self.site.sensor.arrived(self.source)
        for number in range(COUNT):
            self.sender.send(b"probe %d" % number, self.target, SINK)
        # On a veth pair a packet is delivered before the sender's call returns, or with the next
        # softirq; a banned one is waited for in vain.
        end = time.monotonic() + 0.2
        while time.monotonic() < end and self.site.sensor.arrived(self.source) - before < COUNT:
            time.sleep(0.02)
        return self.site.sensor.arrived(self.source) - before
