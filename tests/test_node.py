"""When the node does what: packets, time, journal, names, signals. Source and kernel are stand-ins."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shield import node as module
from shield.blocklist.allowlist import AllowlistSettings
from shield.blocklist.journal import Journal, JournalSettings
from shield.capture.settings import CaptureSettings
from shield.capture.source import Frame
from shield.config import Mode, NodeSettings, Settings
from shield.control.settings import ControlSettings
from shield.detect.settings import DetectSettings
from shield.errors import ConfigError, SystemFailure
from shield.net import Network, pack
from shield.node import Node, run_node
from tests.capture.wire import ether, ip4, udp
from tests.firewall.fake import FakeBackend
from tests.node_parts import ATTACKER, RULE, SERVER, FakeCapture, options


class FakeSource(FakeCapture):
    """Frames that the test puts in, behind a real descriptor."""

    def __init__(self, settings: CaptureSettings) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self.near, self.far = socket.socketpair()
        self.maintained = 0

    def put(self, *payloads: bytes) -> None:
        for number, payload in enumerate(payloads):
            data = ether(ip4(udp(payload, sport=5060), 17, ATTACKER, SERVER))
            self.frames.append(Frame(1e9 + number, data, 1))
        self.far.send(b"x")

    def fileno(self) -> int:
        return self.near.fileno()

    def read(self, limit: int) -> list[Frame]:
        self.near.recv(100)
        frames, self.frames = self.frames, []
        return frames

    def maintain(self) -> None:
        self.maintained += 1

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(module, "LiveSource", FakeSource)
    monkeypatch.setattr(module, "own_addresses", lambda: frozenset([pack(SERVER)]))
    monkeypatch.setattr(module, "make_backend", lambda settings: FakeBackend())
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "test-scanner.toml").write_text(RULE)
    return Settings(
        node=NodeSettings(name="node-a", mode=Mode.ENFORCE),
        detect=DetectSettings(rules=str(tmp_path / "rules")),
        journal=JournalSettings(path=str(tmp_path / "journal.db")),
        control=ControlSettings(socket=str(tmp_path / "s.sock")),
    )


def live(
    settings: Settings,
    act: Callable[[Node], Awaitable[None]],
    read: Callable[[], Settings] | None = None,
) -> Node:
    """Run a node, do something with it, stop it by SIGTERM and wait for its end."""
    node = Node(settings, read or (lambda: settings))

    async def main() -> None:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            running = group.create_task(node.run())
            while not node.control.stats.connections and not Path(settings.control.socket).exists():
                await asyncio.sleep(0.005)
            try:
                await act(node)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                await running

    asyncio.run(main())
    return node


def ban(node: Node, duration: float) -> None:
    now = module._now()
    changes = node.hub.pipeline.ban(Network.parse(ATTACKER), now, time.time(), duration=duration)
    node.hub.take_changes(changes, now)


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.005)


def saved(settings: Settings) -> set[str]:
    journal = Journal(settings.journal)
    found = {decision.value for decision in journal.load(0.0, 0.0).decisions}
    journal.close()
    return found


def test_packets_become_a_ban(settings: Settings) -> None:
    """Frames are read when there are any; the ban is in the kernel, and in the journal at the end."""

    async def act(node: Node) -> None:
        source: Any = node.source
        source.put(*(options(f"c{n}") for n in range(5)))
        await until(lambda: node.hub.matched)
        backend: Any = node.hub.feed.backend if node.hub.feed else None
        await until(lambda: ATTACKER in {str(network) for network in backend.ends})
        assert source.maintained

    node = live(settings, act)
    assert node.hub.unsaved == 0
    assert saved(settings) == {ATTACKER}


def test_bans_come_back(settings: Settings) -> None:
    """What the journal held is banned again and in the kernel before the first packet."""

    async def begin(node: Node) -> None:
        ban(node, 600)

    async def look(node: Node) -> None:
        assert node.hub.feed is not None
        backend: Any = node.hub.feed.backend
        await until(lambda: ATTACKER in {str(network) for network in backend.ends})
        assert pack(ATTACKER) in node.hub.pipeline.blocklist.guard.hosts

    live(settings, begin)
    live(settings, look)


def test_a_ban_ends_by_itself(settings: Settings) -> None:
    """The node comes when the next ban ends, not only once a second."""

    async def act(node: Node) -> None:
        ban(node, 0.05)
        await until(lambda: not len(node.hub.pipeline.blocklist))

    live(settings, act)


def test_names_are_resolved_and_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses of an allowed name are allowed; when DNS fails they stay, and a warning says so."""
    answers: list[Any] = [[pack(ATTACKER)], OSError(2, "no answer")]
    monkeypatch.setattr(module, "RESOLVE_SECONDS", 0.01)

    def look_up(name: str) -> list[bytes]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, OSError):
            raise answer
        return list(answer)

    monkeypatch.setattr(module, "look_up", look_up)
    allowed = AllowlistSettings(entries=("sip.carrier.example",), resolve_interval=0.02)

    async def act(node: Node) -> None:
        await until(node.health.warnings)
        assert node.hub.pipeline.allowlist.covers(pack(ATTACKER))
        assert "sip.carrier.example: does not resolve" in node.health.warnings()[0]

    live(replace(settings, allowlist=allowed), act)

    async def again(node: Node) -> None:
        await until(node.health.warnings)
        assert node.hub.pipeline.allowlist.covers(pack(ATTACKER))

    # The same after a restart with a DNS that does not answer, until the name leaves the configuration.
    live(replace(settings, allowlist=allowed), again)

    async def without(node: Node) -> None:
        assert not node.hub.pipeline.allowlist.covers(pack(ATTACKER))
        assert not node.hub.journal.load(0.0, 0.0).allowed

    live(settings, without)


def test_a_silent_dns_does_not_hold_up_the_stop(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM ends the node although a look-up is still waiting."""
    begun, release = threading.Event(), threading.Event()

    def wait(name: str) -> list[bytes]:
        begun.set()
        release.wait(10)
        return []

    monkeypatch.setattr(module, "look_up", wait)

    async def act(node: Node) -> None:
        await until(begun.is_set)

    live(replace(settings, allowlist=AllowlistSettings(entries=("a.example",))), act)
    assert not release.is_set()
    release.set()


def test_reload_takes_rules_and_allowlist(settings: Settings) -> None:
    """New entries end bans, gone ones are banned again; what needs a restart is a warning."""
    other = replace(
        settings,
        allowlist=AllowlistSettings(entries=(ATTACKER,)),
        node=replace(settings.node, name="node-b"),
        detect=replace(settings.detect, disabled=("test-scanner",)),
    )
    answers = [other, settings]

    async def act(node: Node) -> None:
        ban(node, 600)
        answer = node.reload()
        assert answer["restart"] == ["node.name"]
        assert answer["changed"] == ["detect.disabled", "allowlist.entries"]
        assert not len(node.hub.pipeline.blocklist)
        assert "test-scanner" not in {rule.name for rule in node.hub.pipeline.engine.rules}
        assert "restart shield to apply: node.name" in node.health.warnings()[0]
        assert node.health.status(0.0)["name"] == "node-a"
        assert node.reload()["restart"] == []
        assert node.health.warnings() == []
        assert node.hub.pipeline.allowlist.covers(pack(ATTACKER)) is None
        assert "test-scanner" in {rule.name for rule in node.hub.pipeline.engine.rules}

    live(settings, act, lambda: answers.pop(0))


def test_reload_changes_the_mode(settings: Settings) -> None:
    """Enforce, observe, enforce: bans are in the kernel, gone with the table, and there again."""
    observe = replace(settings, node=replace(settings.node, mode=Mode.OBSERVE))
    answers = [observe, settings]

    async def act(node: Node) -> None:
        assert node.hub.feed is not None
        first: Any = node.hub.feed.backend
        ban(node, 600)
        await until(lambda: first.ends)
        assert node.reload()["changed"] == ["node.mode"]
        await until(lambda: node.hub.feed is None)
        assert (first.table, first.ends) == (False, {})
        assert node.health.status(0.0)["mode"] == "observe"
        assert len(node.hub.pipeline.blocklist) == 1
        node.reload()
        await until(lambda: node.hub.feed is not None)
        assert node.hub.feed is not None
        second: Any = node.hub.feed.backend
        await until(lambda: {str(network) for network in second.ends} == {ATTACKER})
        assert second is not first
        assert node.health.warnings() == []

    live(settings, act, lambda: answers.pop(0))


def test_a_node_that_observed_can_enforce(settings: Settings) -> None:
    """Begun in observe, it never touched a kernel; a reload opens it with what is banned by then."""
    observe = replace(settings, node=replace(settings.node, mode=Mode.OBSERVE))

    async def act(node: Node) -> None:
        ban(node, 600)
        assert node.hub.feed is None
        node.reload()
        await until(lambda: node.hub.feed is not None and node.hub.feed.stats.commits)
        assert node.hub.feed is not None
        backend: Any = node.hub.feed.backend
        assert {str(network) for network in backend.ends} == {ATTACKER}

    live(observe, act, lambda: settings)


def test_a_broken_file_keeps_the_old_settings(settings: Settings) -> None:
    """SIGHUP with a broken file is a warning that names it; rules and allowlist stay."""

    def read() -> Settings:
        raise ConfigError("shield.toml: node.mode: wrong", "shield.toml: x: unknown key")

    async def act(node: Node) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await until(node.health.warnings)
        assert "node.mode: wrong; shield.toml: x" in node.health.warnings()[0]
        assert node.hub.pipeline.engine.rules

    live(settings, act, read)


@pytest.mark.parametrize("broken", ["rule", "entry", "journal"])
def test_a_start_that_fails_is_one_shield_error(settings: Settings, broken: str, tmp_path: Path) -> None:
    """A wrong rule, allowlist entry or journal path ends the start with a clear error."""
    if broken == "rule":
        (tmp_path / "rules" / "bad.toml").write_text("x =")
    elif broken == "entry":
        settings = replace(settings, allowlist=AllowlistSettings(entries=("no good!",)))
    else:
        (tmp_path / "file").write_text("")
        settings = replace(settings, journal=JournalSettings(path=str(tmp_path / "file" / "j.db")))
    with pytest.raises((ConfigError, SystemFailure), match=r"bad\.toml|allowlist\.entries|file"):
        run_node(settings)


def test_systemd_is_told(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY=1 when packets are read, STOPPING=1 when the end begins (sd_notify(3))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        async def act(node: Node) -> None:
            await until(lambda: True)

        live(settings, act)
        assert [manager.recv(100), manager.recv(100)] == [b"READY=1", b"STOPPING=1"]


def test_a_bug_in_detection_is_shown_and_survived(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that makes detection fail is a warning; the next one is judged."""

    async def act(node: Node) -> None:
        source: Any = node.source
        right = node.hub.pipeline.feed

        def feed(frames: Any, now: float | None = None) -> Any:
            monkeypatch.setattr(node.hub.pipeline, "feed", right)
            raise ZeroDivisionError("bug")

        monkeypatch.setattr(node.hub.pipeline, "feed", feed)
        source.put(options("c"))
        await until(node.health.warnings)
        assert node.health.warnings() == ["detection: 1 batches failed: ZeroDivisionError('bug')"]
        source.put(*(options(f"c{n}") for n in range(5)))
        await until(lambda: node.hub.matched)

    live(settings, act)
