"""A hub with real parts, a kernel in memory and a clock that stands still, for tests of the node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shield.blocklist.allowlist import Allowlist, AllowlistSettings
from shield.blocklist.blocklist import Blocklist
from shield.blocklist.blocklist_settings import BlocklistSettings
from shield.blocklist.journal import Journal, JournalSettings
from shield.blocklist.policy_settings import PolicySettings
from shield.blocklist.sharing import Sharing
from shield.capture.settings import CaptureSettings
from shield.capture.stats import LiveStats
from shield.config import Mode, NodeSettings, Settings
from shield.control.commands import Actor
from shield.detect.rulefiles import load_rules
from shield.detect.settings import DetectSettings
from shield.dispatch import NodeDispatcher
from shield.firewall.feed import Feed
from shield.health import Health
from shield.hub import Hub
from shield.net import pack
from shield.pipeline import Pipeline
from tests.firewall.fake import FakeBackend

ATTACKER, SERVER, CARRIER = "192.0.2.66", "198.51.100.1", "203.0.113.7"
WALL = 1_700_000_000.0
ROOT = Actor("operator", 0, 1)

RULE = """\
description = "A scanner says its name"
kind = "scan"
severity = 3
[match]
method = ["OPTIONS"]
[match.header.User-Agent]
regex = "^friendly-scanner"
[count]
max_retry = 3
find_time = 60
[decision]
ban_time = 600
"""


def options(call_id: str, agent: str = "friendly-scanner") -> bytes:
    """What a scanner sends."""
    return (
        f"OPTIONS sip:100@{SERVER} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {ATTACKER}:5060;branch=z9hG4bK{call_id}\r\n"
        f"From: <sip:100@{SERVER}>;tag=t{call_id}\r\nTo: <sip:100@{SERVER}>\r\nCall-ID: {call_id}\r\n"
        f"CSeq: 1 OPTIONS\r\nUser-Agent: {agent}\r\nContent-Length: 0\r\n\r\n"
    ).encode()


class FakeCapture:
    """A live source that hears nothing."""

    def __init__(self) -> None:
        self.stats = LiveStats()
        self.interfaces: tuple[str, ...] = ("eth0",)


class Bench:
    """A node's inner parts. ``now`` is moved by the test."""

    def __init__(
        self,
        folder: Path,
        *,
        enforce: bool = True,
        sharing: Callable[[Bench], Sharing] | None = None,
        **blocklist: Any,
    ) -> None:
        self.now = 100.0
        self.rules = folder / "rules"
        self.rules.mkdir(exist_ok=True)
        (self.rules / "test-scanner.toml").write_text(RULE)
        self.settings = Settings(
            node=NodeSettings(name="node-a", mode=Mode.ENFORCE if enforce else Mode.OBSERVE),
            allowlist=AllowlistSettings(entries=(CARRIER,)),
            journal=JournalSettings(path=str(folder / "journal.db")),
        )
        self.journal = Journal(self.settings.journal)
        allowlist = Allowlist(self.settings.allowlist)
        self.pipeline = Pipeline(
            load_rules(self.rules),
            capture=CaptureSettings(),
            detect=DetectSettings(),
            policy=PolicySettings(),
            blocklist=Blocklist(BlocklistSettings(**blocklist), allowlist),
            allowlist=allowlist,
            origin="node-a",
            local=[pack(SERVER)],
        )
        self.backend = FakeBackend()
        self.backend.now = self.now
        self.feed = Feed(self.backend, Settings().kernel()) if enforce else None
        if self.feed is not None:
            self.feed.adopt([], self.now)
        self.sharing = sharing and sharing(self)
        self.hub = Hub(self.pipeline, self.journal, self.feed, self.sharing or None)
        self.capture = FakeCapture()
        self.health = Health(self.settings, self.hub, self.capture, self.now)
        self.reloads = 0
        self.dispatcher = NodeDispatcher(
            self.hub,
            self.health,
            clock=lambda: self.now,
            wall=lambda: WALL + self.now,
            reload=self._reload,
            default_duration=3600.0,
        )

    def _reload(self) -> dict[str, Any]:
        self.reloads += 1
        return {"rules": 1}

    def ask(self, command: str, **arguments: Any) -> Any:
        """Run a command; lists are read to their end."""
        answer = asyncio.run(self.dispatcher.handle(command, arguments, ROOT))
        return answer if isinstance(answer, dict) or hasattr(answer, "queue") else list(answer)

    def kernel(self) -> set[str]:
        """What the kernel drops as soon as waiting changes have gone to it."""
        assert self.feed is not None
        self.now += 1.5
        self.backend.now = self.now
        self.feed.flush(self.now)
        return {str(network) for network, end in self.backend.ends.items() if end > self.now}

    def banned(self) -> set[str]:
        """What the blocklist holds."""
        return {row["value"] for row in self.ask("list")}
