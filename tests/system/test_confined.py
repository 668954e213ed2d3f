"""shield without root, as deploy/shield.service runs it: captures, blocks, and can do nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.node_parts import options
from tests.requires import need
from tests.system.confined import CAPABILITIES, NOBODY, confined
from tests.system.site import ATTACKER, REGISTRAR, ROOT, Probe, Site

UNIT = ROOT / "deploy" / "shield.service"
NET_ADMIN_AND_RAW = 1 << 12 | 1 << 13


@pytest.mark.system
@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_captures_and_blocks_without_root(
    build: Callable[..., Site], tmp_path: Path, backend: str
) -> None:
    """With two ambient capabilities, a read-only system and no user name, a scanner is dropped."""
    site = build(backend)
    site.configure(hold="1s")
    site.prefix = confined(tmp_path, ROOT)
    site.sensor.watch(ATTACKER)
    sender = site.attacker.udp(ATTACKER)
    probe = Probe(site, sender, ATTACKER)
    site.start()
    assert site.program is not None
    told = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{site.program.pid}/status").read_text().splitlines()
    )
    assert set(told["Uid"].split()) == set(told["Gid"].split()) == {str(NOBODY)}
    for kind in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(told[kind], 16) == NET_ADMIN_AND_RAW, kind
    assert told["NoNewPrivs"] == "1"
    assert probe.passes()
    for number in range(3):
        sender.send(options(f"call{number}"), REGISTRAR, 5060)
    site.until(lambda: ATTACKER in site.banned(), 8)
    # The list has it at once, the kernel with the next commit.
    site.until(lambda: ATTACKER in site.kernel(), 2)
    assert probe.dropped()
    site.client.call("unban", values=[ATTACKER])
    assert probe.passes()
    status = site.client.call("status")
    assert status["warnings"] == []
    assert site.end(signal.SIGTERM) == 0, site.logs()
    assert "Traceback" not in site.log.read_text()


@pytest.mark.system
def test_without_raw_sockets_it_does_not_start(build: Callable[..., Site], tmp_path: Path) -> None:
    """Without CAP_NET_RAW nothing can be seen, so the start fails and names what is missing."""
    site = build()
    fewer = CAPABILITIES.replace(",+net_raw", "")
    command = (sys.executable, "-m", "shield", "run", "--config", f"{tmp_path}/shield.toml")
    done = site.sensor.run(*confined(tmp_path, ROOT, capabilities=fewer), *command, check=False)
    assert done.returncode == 1, done.stderr
    assert "CAP_NET_RAW" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.system
@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_without_packet_filter_it_warns(
    build: Callable[..., Site], tmp_path: Path, backend: str
) -> None:
    """Without CAP_NET_ADMIN it goes on detecting; log and status name what is missing."""
    site = build(backend)
    site.prefix = confined(tmp_path, ROOT, capabilities=CAPABILITIES.replace(",+net_admin", ""))
    site.start()
    site.until(lambda: bool(site.client.call("firewall.status")["failing"]), 5)
    assert "CAP_NET_ADMIN" in site.client.call("firewall.status")["last_error"]
    assert any("CAP_NET_ADMIN" in warning for warning in site.client.call("status")["warnings"])
    assert "CAP_NET_ADMIN" in site.log.read_text()


@pytest.mark.system
@pytest.mark.parametrize("user", ["root", "nobody"])
def test_firewall_check_asks_for_the_capability(
    build: Callable[..., Site], tmp_path: Path, user: str
) -> None:
    """Root without CAP_NET_ADMIN is told that it cannot block; nobody with it that it can."""
    check = (sys.executable, "-m", "shield", "firewall", "check", "--backend", "nftables", "-o", "json")
    prefix = (
        ("setpriv", "--inh-caps=-all", "--bounding-set=-net_admin", "--")
        if user == "root"
        else confined(tmp_path, ROOT)
    )
    done = build().sensor.run(*prefix, *check, check=False)
    results = {row["what"]: row["ok"] for row in json.loads(done.stdout)}
    assert results["permission"] == (user == "nobody"), done.stdout
    assert done.returncode == (user == "root")
    assert results.get("kernel", False) == (user == "nobody")


@pytest.mark.system
@pytest.mark.parametrize("backend", ["iptables", "iptables-legacy"])
def test_firewall_check_tries_iptables(build: Callable[..., Site], tmp_path: Path, backend: str) -> None:
    """Without root the new iptables works; the old one cannot open its lock, and that is said."""
    check = (sys.executable, "-m", "shield", "firewall", "check", "--backend", "iptables", "-o", "json")
    site = build(backend)
    done = site.sensor.run(*site.prefix, *confined(tmp_path, ROOT), *check, check=False)
    kernel = {row["what"]: row for row in json.loads(done.stdout)}["kernel"]
    assert kernel["ok"] == (backend == "iptables"), kernel
    assert done.returncode == (backend != "iptables")
    assert kernel["ok"] or "/run/xtables.lock" in kernel["message"]


@pytest.mark.system
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """systemd-analyze finds nothing to complain about, and rates the service as well confined."""
    need("systemd-analyze", root=False)
    unit = tmp_path / "shield.service"
    text = UNIT.read_text().replace(
        "/opt/shield/bin/shield", str(Path(sys.executable).parent / "shield")
    )
    unit.write_text(text)
    environment = {**os.environ, "LC_ALL": "C", "SYSTEMD_LOG_LEVEL": "warning"}
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, env=environment
    )
    # Units of the machine itself may be wrong; only what is said about ours counts.
    assert [line for line in done.stderr.splitlines() if "shield" in line] == []
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", unit],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
