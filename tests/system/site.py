"""A site under attack: a real registrar with shield beside it, a phone, and an attacker's host."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shield.control.client import Client
from shield.errors import SystemFailure
from tests.netlab import Lab, Udp

REGISTRAR, PHONE, ATTACKER = "192.0.2.1", "192.0.2.20", "192.0.2.66"
REGISTRAR6 = "2001:db8::1"
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
[firewall]
backend = "{backend}"
[journal]
path = "{folder}/journal.db"
[control]
socket = "{folder}/shield.sock"
"""


class Site:
    """Hosts of one test; ``start`` starts the node, ``open`` the registrar and the phone."""

    def __init__(self, lab: Lab, folder: Path, backend: str = "nftables") -> None:
        self.folder, self.backend = folder, backend
        self.sensor = lab.host("registrar", f"{REGISTRAR}/24", f"{REGISTRAR6}/48")
        self.attacker = lab.host("attacker", f"{ATTACKER}/24")
        self.phone = lab.host("phone", f"{PHONE}/24")
        self.client = Client(f"{folder}/shield.sock")
        self.program: subprocess.Popen[str] | None = None
        self.log = folder / "shield.log"
        self.configure()

    def configure(self, disabled: tuple[str, ...] = ()) -> None:
        """Write the configuration; ``disabled`` rules do not take part."""
        text = CONFIG.format(root=ROOT, backend=self.backend, folder=self.folder, disabled=[*disabled])
        (self.folder / "shield.toml").write_text(text)

    def open(self) -> None:
        """Start Kamailio and the phone, and wait until the phone is registered."""
        (self.folder / "kamailio").mkdir()
        self._start(
            self.sensor, "kamailio.log",
            "kamailio", "-DD", "-E", "-f", str(HERE / "kamailio.cfg"),
            "-A", f"LISTEN_ADDR=udp:{REGISTRAR}:5060",
            "-Y", f"{self.folder}/kamailio", "-P", f"{self.folder}/kamailio/pid", "-m", "32", "-M", "4",
        )  # fmt: skip
        self._start(
            self.phone, "phone.log",
            sys.executable, str(HERE / "phone.py"), PHONE, REGISTRAR, "1001", "secret1001", "0.4",
        )  # fmt: skip
        self.until(lambda: 200 in self.registrations(), 10)

    def start(self) -> float:
        """Start the node; seconds until it answers."""
        begun = time.monotonic()
        self.client.close()
        self.program = self._start(
            self.sensor, "shield.log",
            sys.executable, "-m", "shield", "run", "--config", f"{self.folder}/shield.toml",
        )  # fmt: skip
        self.until(self._answers, 20)
        return time.monotonic() - begun

    def end(self, number: int) -> int:
        """Send the node a signal; its exit code."""
        assert self.program is not None
        self.client.close()
        self.program.send_signal(number)
        return self.program.wait(10)

    def _start(self, host: Any, log: str, *command: str) -> subprocess.Popen[str]:
        with (self.folder / log).open("a") as output:
            program: subprocess.Popen[str] = host.popen(*command, stdout=output, stderr=output)
        return program

    def _answers(self) -> bool:
        assert self.program is not None
        assert self.program.poll() is None, self.log.read_text()
        try:
            return bool(self.client.call("status"))
        except SystemFailure:
            return False

    def registrations(self) -> list[int]:
        """Final status of every registration of the phone until now."""
        return [int(line) for line in (self.folder / "phone.log").read_text().split()]

    def banned(self) -> dict[str, dict[str, Any]]:
        """Rows of ``list`` by value."""
        return {row["value"]: row for row in self.client.call("list")}

    def kernel(self) -> str:
        """What the kernel itself lists of our sets."""
        if self.backend == "nftables":
            return str(self.sensor.run("nft", "list", "table", "inet", "shield").stdout)
        return str(self.sensor.run("ipset", "list").stdout)

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
