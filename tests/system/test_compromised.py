"""A real cracker finds a weak password at a real proxy and calls with it: hooks and commands tell."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.hooks.receiver import Receiver
from tests.system.site import ATTACKER, PHONE, REGISTRAR, Site
from tests.system.test_attacks import TOOLS, need_tools

HOOKS = """\
[[hooks.webhook]]
url = "{url}"
[[hooks.exec]]
command = ["/bin/sh", "-c", "cat >> $0; echo >> $0", "{folder}/told"]
"""


@pytest.mark.system
@pytest.mark.parametrize("skipped", [False, True], ids=["read", "skipped"])
def test_a_cracked_account_is_told_with_its_calls(build: Callable[..., Site], skipped: bool) -> None:
    """Nothing is enforced, so the attack goes on; unless it is allowlisted it is skipped meanwhile."""
    need_tools()
    site = build()
    site.open("QOP")
    # svcrack ends with its list, before the answer to the last word has come: so more of them behind.
    words = [*(f"wrong{n}" for n in range(40)), "secret1001", *(f"more{n}" for n in range(40))]
    (site.folder / "words").write_text("".join(f"{word}\n" for word in words))
    with site.sensor.inside():
        server = Receiver()
    with server:
        _configure(site, server.url, skipped=skipped)
        site.start()
        site.call_on(1)
        crack = (str(TOOLS / "sipvicious_svcrack"), "-u1001", "-d", "words", REGISTRAR)
        site.attack(*crack).wait(30)
        assert "secret1001" in (site.folder / "attack.log").read_text(), site.logs()
        found = _next(site, server, "found")
        phone = (sys.executable, "-m", "tests.system.phone", "call")
        calls = site.attack(*phone, ATTACKER, REGISTRAR, "1001", "secret1001", "1002", "0.2")
        called = _next(site, server, "call")
        while not any(call["state"] == "ended" for call in called["calls"]):
            called = _next(site, server, "call")
        calls.terminate()
        calls.wait(5)
    assert (found["account"], found["value"], found["how"]) == ("1001", ATTACKER, "guessed")
    assert (found["guesses"] >= 5, found["incomplete"]) == (True, skipped)
    assert called["id"] == found["id"]
    theirs = [call for call in called["calls"] if call["source"] == ATTACKER]
    assert theirs[0]["called"] == "1002"
    (row,) = site.client.call("compromised", about="1001")
    assert row["calls_total"] >= len(theirs)
    assert PHONE not in {row["value"] for row in site.client.call("compromised")}, "the owner is at home"
    told = [json.loads(line) for line in (site.folder / "told").read_text().splitlines()]
    assert {one["data"]["kind"] for one in told} == {"found", "call"}
    assert site.client.call("status")["hooks"]["failed"] == 0


def _configure(site: Site, url: str, *, skipped: bool) -> None:
    site.configure()
    file = site.folder / "shield.toml"
    text = file.read_text().replace('mode = "enforce"', 'mode = "observe"')
    if not skipped:  # who is on the allowlist is never banned, and told of all the same
        text += f'[allowlist]\nentries = ["{ATTACKER}"]\n'
    file.write_text(text + HOOKS.format(url=url, folder=site.folder) + "\n[hooks]\nparallel = 1\n")


def _next(site: Site, server: Receiver, kind: str) -> Any:
    """Data of the next post of this kind."""
    while True:
        site.until(lambda: bool(server.got), 30)
        data = json.loads(server.got.popleft().body)["data"]
        if data["kind"] == kind:
            return data
