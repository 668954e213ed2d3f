"""Reload: what takes effect on a running node, what waits for a restart, and nothing is done by half."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from shield.blocklist.allowlist import AllowlistSettings
from shield.blocklist.blocklist_settings import BlocklistSettings
from shield.blocklist.policy_settings import PolicySettings
from shield.capture.settings import CaptureSettings
from shield.config import NAMED, Mode, NodeSettings, Settings
from shield.control.settings import ControlSettings
from shield.detect.settings import DetectSettings
from shield.errors import ConfigError, SystemFailure
from shield.firewall.settings import FirewallSettings
from shield.net import pack
from shield.reload import FIXED, apply, leave_firewall, plan
from tests.node_parts import ATTACKER, SERVER, WALL, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    level = logging.getLogger().level
    made = Bench(tmp_path)
    yield made
    made.journal.close()
    logging.getLogger().setLevel(level)


def reload(bench: Bench, **tables: Any) -> None:
    settings = replace(bench.settings, **tables)
    apply(settings, bench.pipeline.engine.rules, bench.dispatcher.orders, [pack(SERVER)], bench.now)


def test_the_plan_names_tables_and_keys() -> None:
    """What can be applied is in the settings in force afterwards, what cannot keeps its old value."""
    old = Settings(node=NodeSettings(name="a", mode=Mode.ENFORCE))
    fresh = Settings(
        node=NodeSettings(name="b", mode=Mode.OBSERVE, log_level="debug"),
        capture=CaptureSettings(ports=(5070,)),
        policy=PolicySettings(hold_time=5.0),
        firewall=FirewallSettings(backend="dryrun"),
        control=ControlSettings(socket="/run/other.sock", ban_time=60.0),
        blocklist=BlocklistSettings(max_decisions=5, min_prefix_v4=16),
    )
    ahead = plan(old, fresh)
    assert ahead.changed == (
        "node.mode",
        "node.log_level",
        "policy.hold_time",
        "blocklist.min_prefix_v4",
        "control.ban_time",
    )
    assert ahead.waiting == (
        "node.name",
        "capture.ports",
        "blocklist.max_decisions",
        "firewall.backend",
        "control.socket",
    )
    assert ahead.settings.node == NodeSettings(name="a", mode=Mode.OBSERVE, log_level="debug")
    assert ahead.settings.policy == fresh.policy
    assert (ahead.settings.capture, ahead.settings.firewall) == (old.capture, old.firewall)
    assert ahead.as_json(rules=3)["restart"] == list(ahead.waiting)
    assert plan(ahead.settings, ahead.settings).as_json() == {"changed": [], "restart": []}


def test_settings_of_a_firewall_that_is_not_open_are_free() -> None:
    """From observe to enforce the firewall opens with what the files say now."""
    fresh = Settings(node=NodeSettings(mode=Mode.ENFORCE), firewall=FirewallSettings(backend="dryrun"))
    ahead = plan(Settings(), fresh)
    assert ahead.waiting == ()
    assert ahead.settings.firewall.backend == "dryrun"


def test_fixed_keys_exist() -> None:
    """A key that was renamed would silently count as applied."""
    tables = {
        part.name: {key.name for key in fields(getattr(Settings(), part.name))}
        for part in fields(Settings)
        if part.name not in NAMED
    }
    assert {name for name, keys in FIXED.items() if not keys <= tables[name]} == set()


def test_policy_and_detection(bench: Bench) -> None:
    """The next alert is judged by the new values; what is remembered of sources stays."""
    bench.pipeline.engine.sources.touch(pack(ATTACKER), WALL)
    policy, detect = (
        PolicySettings(hold_time=3.0),
        DetectSettings(trust_time=60.0, domains=("a.example",)),
    )
    reload(bench, policy=policy, detect=detect)
    assert bench.pipeline.policy.settings is policy
    assert bench.pipeline.engine.trust_time == 60.0
    assert bench.pipeline.engine._domains == {b"a.example"}
    assert bench.pipeline.engine.sources.get(pack(ATTACKER)) is not None


def test_a_new_server_is_no_longer_banned(bench: Bench) -> None:
    """Its ban ends, in the kernel too; when it leaves the list it is judged again."""
    bench.ask("ban", values=[ATTACKER])
    reload(bench, detect=DetectSettings(servers=(ATTACKER,)))
    assert pack(ATTACKER) in bench.pipeline.servers.known
    assert (bench.banned(), bench.kernel()) == (set(), set())
    reload(bench)
    assert bench.pipeline.servers.known == {pack(SERVER)}


def test_what_operators_and_journal_use(bench: Bench) -> None:
    """Default duration of a ban, limits of the journal, shortest prefixes, log level."""
    reload(
        bench,
        control=ControlSettings(ban_time=77.0),
        journal=replace(bench.settings.journal, max_alerts=5),
        blocklist=BlocklistSettings(min_prefix_v4=24),
        node=replace(bench.settings.node, log_level="error"),
    )
    (done,) = bench.ask("ban", values=[ATTACKER])["results"]
    assert done["decision"]["remaining"] == 77.0
    assert bench.journal.settings.max_alerts == 5
    (refused,) = bench.ask("ban", values=["198.51.100.0/20"])["results"]
    assert not refused["ok"]
    assert logging.getLogger().level == logging.ERROR


@pytest.mark.parametrize(
    "wrong",
    [
        {"detect": DetectSettings(servers=("198.51.100.0/24",))},
        {"allowlist": AllowlistSettings(entries=("no good!",))},
    ],
)
def test_a_wrong_value_changes_nothing(bench: Bench, wrong: dict[str, Any]) -> None:
    """Each table is checked before the first one is applied."""
    before = bench.pipeline.policy.settings
    with pytest.raises(ConfigError):
        reload(bench, policy=PolicySettings(hold_time=3.0), **wrong)
    assert bench.pipeline.policy.settings is before
    assert bench.pipeline.servers.known == {pack(SERVER)}


def test_observe_takes_the_firewall_away(bench: Bench) -> None:
    """Table and elements go; bans stay decided. To open one again is the caller's."""
    bench.ask("ban", values=[ATTACKER])
    observe = replace(bench.settings, node=replace(bench.settings.node, mode=Mode.OBSERVE))
    assert not leave_firewall(bench.hub, bench.health, bench.settings)
    assert bench.hub.feed is bench.feed
    assert not leave_firewall(bench.hub, bench.health, observe)
    assert bench.hub.feed is None
    assert (bench.backend.table, bench.backend.ends) == (False, {})
    assert bench.banned() == {ATTACKER}
    assert leave_firewall(bench.hub, bench.health, bench.settings)


def test_a_firewall_that_cannot_be_removed_is_a_warning(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator must know that it may still block; it passes when the mode is enforce again."""

    def close(*, remove: bool = False) -> None:
        raise SystemFailure("not permitted")

    monkeypatch.setattr(bench.feed, "close", close)
    observe = replace(bench.settings, node=replace(bench.settings.node, mode=Mode.OBSERVE))
    leave_firewall(bench.hub, bench.health, observe)
    assert bench.health.warnings() == ["firewall: may still block, it cannot be removed: not permitted"]
    assert leave_firewall(bench.hub, bench.health, bench.settings)
    assert bench.health.warnings() == []
