"""A whole node between real hosts: what the kernel lets arrive is counted behind its hooks."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shield.control.client import Client
from shield.errors import SystemFailure
from tests.netlab import Lab
from tests.node_parts import RULE, options
from tests.requires import need

ATTACKER, PHONE, SENSOR = "192.0.2.66", "192.0.2.20", "192.0.2.1"

CONFIG = """\
[node]
name = "sensor"
mode = "{mode}"
[capture]
interfaces = ["eth0"]
[detect]
rules = "{folder}/rules"
[allowlist]
entries = [{allowed}]
[firewall]
backend = "{backend}"
[journal]
path = "{folder}/journal.db"
[control]
socket = "{folder}/shield.sock"
"""


class Scene:
    """Attacker, phone and a sensor with a SIP port; the node can be started again and again."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.folder = folder
        (folder / "rules").mkdir()
        self.rule = folder / "rules" / "test-scanner.toml"
        self.rule.write_text(RULE)
        self.attacker = lab.host("attacker", f"{ATTACKER}/24").udp(ATTACKER)
        self.phone = lab.host("phone", f"{PHONE}/24").udp(PHONE)
        self.sensor = lab.host("sensor", f"{SENSOR}/24")
        self.sip = self.sensor.udp(SENSOR, 5060)
        # Not the SIP port: what is sent here shall not be judged.
        self.sink = self.sensor.udp(SENSOR, 5080)
        self.client = Client(f"{folder}/shield.sock")
        self.command = (sys.executable, "-m", "shield", "run", "--config", f"{folder}/shield.toml")
        self.program: subprocess.Popen[str] | None = None
        self.configure()
        self.numbers = iter(range(1_000_000))
        assert self.passes()  # neighbours are resolved before anything is measured

    def configure(self, mode: str = "enforce", allowed: str = "", backend: str = "nftables") -> None:
        entries = f'"{allowed}"' if allowed else ""
        text = CONFIG.format(mode=mode, folder=self.folder, allowed=entries, backend=backend)
        (self.folder / "shield.toml").write_text(text)

    def start(self) -> None:
        self.client.close()
        with (self.folder / "log").open("a") as log:
            self.program = self.sensor.popen(*self.command, stderr=log)
        self.until(self._answers)

    def _answers(self) -> bool:
        assert self.program is not None
        assert self.program.poll() is None, self.log()
        try:
            return bool(self.client.call("status"))
        except SystemFailure:
            return False

    def end(self, number: int) -> int:
        """Send a signal and give the exit code."""
        assert self.program is not None
        self.client.close()
        self.program.send_signal(number)
        return self.program.wait(10)

    def until(self, holds: Callable[[], bool], wait: float = 8.0) -> None:
        end = time.monotonic() + wait
        while not holds():
            assert time.monotonic() < end, self.log()
            time.sleep(0.02)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def banned(self) -> dict[str, dict[str, Any]]:
        return {row["value"]: row for row in self.client.call("list")}

    def in_kernel(self) -> bool:
        return ATTACKER in self.sensor.run("nft", "list", "set", "inet", "shield", "hosts4").stdout

    def passes(self) -> bool:
        """Whether the attacker's next packets arrive; the phone's must."""
        number = next(self.numbers)
        sent = [f"hello {number} {i}".encode() for i in range(3)]
        for payload in sent:
            self.attacker.send(payload, SENSOR, 5080)
        time.sleep(0.01)
        self.phone.send(b"end %d" % number, SENSOR, 5080)
        got = self.sink.drain(until=b"end %d" % number)
        assert got in ([], sent)
        return got == sent

    def attack(self, count: int = 5) -> None:
        for _ in range(count):
            self.attacker.send(options(f"call{next(self.numbers)}"), SENSOR, 5060)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    need("ip", "nft", "ipset", "iptables", "ip6tables")
    with Lab() as lab:
        made = Scene(lab, tmp_path)
        yield made
        made.client.close()


@pytest.mark.system
@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_operator_bans_and_unbans(scene: Scene, backend: str) -> None:
    """A ban by the socket stops the next packet, an unban lets it pass, SIGTERM ends within 2 s."""
    scene.configure(backend=backend)
    scene.start()
    assert scene.passes()
    assert scene.client.call("ban", values=[ATTACKER], duration=600)["results"][0]["ok"]
    assert not scene.passes()
    assert set(scene.banned()) == {ATTACKER}
    scene.client.call("unban", values=[ATTACKER])
    assert scene.passes()
    assert scene.banned() == {}
    start = time.monotonic()
    assert scene.end(signal.SIGTERM) == 0, scene.log()
    assert time.monotonic() - start < 2
    assert not (scene.folder / "shield.sock").exists()


@pytest.mark.system
def test_scanner_is_dropped(scene: Scene) -> None:
    """A scanner's requests are seen on the wire; he is in the kernel's set, his packets stop."""
    scene.sensor.watch(ATTACKER)
    scene.start()
    scene.attack()
    scene.until(lambda: ATTACKER in scene.banned())
    assert scene.in_kernel()
    before = scene.sensor.arrived(ATTACKER)
    scene.attack()
    assert not scene.passes()
    assert scene.sensor.arrived(ATTACKER) == before
    row = scene.banned()[ATTACKER]
    # Two rules know this message; which of them speaks first is no promise.
    assert row["scenario"] in {"scanner-user-agent", "sipvicious"}
    assert (row["origin"], row["proof"]) == ("sensor", "unproven")
    shown = scene.client.call("show", value=ATTACKER)
    assert shown["state"] == "banned"
    assert "friendly-scanner" in shown["alerts"][0]["evidence"][0]["message"]
    status = scene.client.call("status")
    assert status["bans"]["unproven"] == 1
    assert status["alerts"] >= 1
    assert status["capture"]["messages"] >= 3
    assert status["warnings"] == []
    # The sensor's own tap lies before the hook: what is banned is still seen there, and skipped.
    assert status["capture"]["skipped"] >= 5


@pytest.mark.system
def test_kill_and_restart(scene: Scene) -> None:
    """After kill -9 the kernel goes on dropping, and the next start knows the bans again."""
    scene.start()
    scene.client.call("ban", values=[ATTACKER], duration=600, reason="kept")
    scene.client.call("allow.add", values=[PHONE], reason="the phone")
    assert scene.end(signal.SIGKILL) == -signal.SIGKILL
    assert not scene.passes()
    scene.sensor.run("nft", "flush", "ruleset")  # as after a reboot
    assert scene.passes()
    scene.start()
    assert not scene.passes()
    row = scene.banned()[ATTACKER]
    assert row["reason"] == "kept"
    assert 590 < row["remaining"] <= 600
    assert PHONE in {entry["value"] for entry in scene.client.call("allow.list")}
    assert scene.end(signal.SIGTERM) == 0
    assert not scene.passes(), "a clean stop leaves the kernel's sets"


@pytest.mark.system
def test_observe_blocks_nobody(scene: Scene) -> None:
    """In observe the same attack is decided and shown, and no firewall rule is made."""
    scene.configure("observe")
    scene.start()
    scene.attack()
    scene.until(lambda: ATTACKER in scene.banned())
    assert scene.passes()
    assert scene.sensor.run("nft", "list", "ruleset").stdout == ""


@pytest.mark.system
def test_reload(scene: Scene) -> None:
    """SIGHUP takes a changed allowlist; a broken rule keeps what was and is shown until it is right."""
    scene.start()
    assert scene.program is not None
    scene.client.call("ban", values=[ATTACKER], duration=600)
    assert not scene.passes()
    scene.rule.write_text("broken =")
    scene.configure(allowed=ATTACKER)
    scene.program.send_signal(signal.SIGHUP)
    scene.until(lambda: bool(scene.client.call("status")["warnings"]))
    assert "test-scanner.toml" in scene.client.call("status")["warnings"][0]
    assert not scene.passes(), "the old settings stay, all of them"
    scene.rule.write_text(RULE)
    scene.program.send_signal(signal.SIGHUP)
    scene.until(lambda: not scene.client.call("status")["warnings"])
    assert scene.passes()
    assert scene.banned() == {}


@pytest.mark.system
def test_flushed_kernel_is_repaired(scene: Scene) -> None:
    """After `nft flush ruleset` the attacker is dropped again within 5 s, with a warning in the log."""
    scene.start()
    scene.client.call("ban", values=[ATTACKER], duration=600)
    scene.sensor.run("nft", "flush", "ruleset")
    assert scene.passes()
    scene.until(lambda: not scene.passes(), wait=5)
    assert "WARNING" in scene.log()
    assert scene.client.call("firewall.status")["rebuilt"] == 1


@pytest.mark.system
def test_refused_start(scene: Scene) -> None:
    """What makes a start impossible is one line and exit code 1: wrong interface, second node."""
    scene.start()
    second = scene.sensor.run(*scene.command, check=False)
    assert second.returncode == 1
    assert "already running" in second.stderr.splitlines()[-1]
    assert "Traceback" not in second.stderr
    text = (scene.folder / "shield.toml").read_text()
    (scene.folder / "shield.toml").write_text(text.replace('"eth0"', '"none0"'))
    wrong = scene.sensor.run(*scene.command, check=False)
    assert wrong.returncode == 1
    assert wrong.stderr.count("\n") == 1
    assert "none0" in wrong.stderr
