"""deploy/shield.service under a real systemd: starts, blocks, reloads, comes back, stops."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.node_parts import options
from tests.requires import need
from tests.system.service import DEPLOY, SYSTEMD, Service
from tests.system.site import ATTACKER, REGISTRAR, Probe, Site

CONFIG = """\
[node]
mode = "enforce"
[capture]
interfaces = ["eth0"]
[policy]
hold_time = "1s"
[allowlist]
entries = [{allowed}]
[firewall]
backend = "{backend}"
"""
NET_ADMIN_AND_RAW = 1 << 12 | 1 << 13


@pytest.mark.system
@pytest.mark.parametrize("backend", ["nftables", "iptables", "iptables-legacy"])
def test_service(build: Callable[..., Site], backend: str) -> None:
    """The unit as it is drops a scanner without root; reload, kill -9 and stop do what they should."""
    need(str(SYSTEMD), "nsenter", "unshare")
    site = build(backend)
    legacy = backend == "iptables-legacy"
    service = Service(site, *([DEPLOY / "iptables-legacy.conf"] if legacy else []))
    text = CONFIG.format(allowed="", backend=backend.removesuffix("-legacy"))
    service.config.write_text(text)
    site.sensor.watch(ATTACKER)
    sender = site.attacker.udp(ATTACKER)
    probe = Probe(site, sender, ATTACKER)
    service.boot()
    assert probe.passes()

    told = service.status()
    assert "0" not in told["Uid"].split()
    assert int(told["CapEff"], 16) == int(told["CapBnd"], 16) == NET_ADMIN_AND_RAW
    assert (told["NoNewPrivs"], told["Seccomp"]) == ("1", "2")

    for number in range(3):
        sender.send(options(f"call{number}"), REGISTRAR, 5060)
    site.until(lambda: ATTACKER in site.banned(), 8)
    site.until(lambda: ATTACKER in site.kernel(), 2)
    assert probe.dropped()
    assert site.client.call("status")["warnings"] == []

    service.kill()
    assert ATTACKER in site.banned(), "the journal lies in the unit's StateDirectory"
    assert probe.dropped()
    assert service.show("NRestarts") == "1"

    config = service.root / "etc/shield/shield.toml"
    config.write_text(text.replace("entries = []", f'entries = ["{ATTACKER}"]'))
    assert service.systemctl("reload", "shield").returncode == 0
    site.until(probe.passes, 5)

    site.client.close()
    assert service.systemctl("stop", "shield").returncode == 0
    assert (service.show("ActiveState"), service.show("Result")) == ("inactive", "success")
    assert "Traceback" not in site.log.read_text()
