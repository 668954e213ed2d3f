"""Settings of the NATS carrier: every mistake is told with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from shield.cluster.nats_settings import NatsSettings
from shield.cluster.settings import ClusterSettings
from shield.config import load
from shield.config_text import show
from shield.errors import ConfigError


@pytest.mark.parametrize(
    "server",
    ["", "nats.example.com", "http://nats.example.com", "nats://", "nats://user:secret@host:4222",
     "tls://host:99999", "tls://host:0", "nats://host/path", "nats://[::1"],
)  # fmt: skip
def test_what_is_no_server_is_named(server: str) -> None:
    """Passwords belong in files: what is in the configuration is shown by commands."""
    with pytest.raises(ConfigError, match=r"cluster.nats.servers\[0\]: "):
        NatsSettings(servers=(server,))


def test_servers_are_urls_with_host_and_port() -> None:
    """With TLS or without, by name or address."""
    servers = ("tls://nats1.example.com:4222", "nats://192.0.2.1", "tls://[2001:db8::1]:4222")
    assert NatsSettings(servers=servers).servers == servers


def test_every_mistake_is_told_at_once() -> None:
    """Each with its key."""
    with pytest.raises(ConfigError) as caught:
        NatsSettings(
            subject="a b", heartbeat=9, credentials="x", nkey="/y", user="me", ca="z", key="/key"
        )
    keys = [problem.partition(":")[0].rpartition(".")[2] for problem in caught.value.problems]
    assert keys == ["subject", "heartbeat", "credentials", "ca", "user", "certificate", "nkey"]


def test_the_carrier_needs_a_server() -> None:
    """One that is left out is told at the start, not as a connection that fails."""
    with pytest.raises(ConfigError, match=r"cluster.nats.servers: .*at least one"):
        ClusterSettings(carrier="nats")


def test_the_table_is_read_from_a_file_and_shown(tmp_path: Path) -> None:
    """``[cluster.nats]`` is a table within ``[cluster]``; what is shown can be read back."""
    file = tmp_path / "shield.toml"
    file.write_text(
        '[node]\nname = "n"\n[cluster]\ncarrier = "nats"\n[cluster.nats]\n'
        'servers = ["tls://nats:4222"]\nheartbeat = "1s"\n'
    )
    settings = load(file)
    assert settings.cluster.nats == NatsSettings(servers=("tls://nats:4222",), heartbeat=1.0)
    again = tmp_path / "again.toml"
    again.write_text(show(settings))
    assert load(again) == settings


def test_mistakes_in_the_table_name_file_and_key(tmp_path: Path) -> None:
    """Unknown keys, wrong types and wrong values alike."""
    file = tmp_path / "shield.toml"
    for line, match in (
        ("serverz = []", r"shield.toml: cluster.nats.serverz: unknown key.*servers"),
        ("servers = 1", r"shield.toml: cluster.nats.servers: "),
        ("heartbeat = 99", r"shield.toml: cluster.nats.heartbeat: must be between"),
    ):
        file.write_text(f"[cluster.nats]\n{line}\n")
        with pytest.raises(ConfigError, match=match):
            load(file)
    file.write_text("[cluster]\nnats = 1\n")
    with pytest.raises(ConfigError, match=r"cluster.nats: must be a table, written \[cluster.nats\]"):
        load(file)
