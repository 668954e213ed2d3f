"""Configuration and options together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from shield.cli.settings import changed, detection_settings, pipeline_factory, rules_of, settings_of
from shield.config import Settings
from shield.errors import ConfigError
from shield.net import pack


def test_settings_come_from_the_file(tmp_path: Path) -> None:
    """The file that was named must exist; without one the defaults hold."""
    assert settings_of(None).capture == Settings().capture
    with pytest.raises(ConfigError, match="no such file"):
        settings_of(tmp_path / "no.toml")


def test_options_go_on_top(tmp_path: Path) -> None:
    """Servers and domains add, the rest replaces, what was not given changes nothing."""
    file = tmp_path / "shield.toml"
    file.write_text('[detect]\nservers = ["192.0.2.1"]\n[capture]\nports = [5080]\nany_port = true\n')
    nothing: dict[str, Any] = {
        "servers": None, "domains": None, "rules": None, "ports": None, "any_port": False,
    }  # fmt: skip
    more = detection_settings(
        file, **{**nothing, "servers": ["192.0.2.2"], "domains": ["example.net"], "ports": [5070]}
    )
    assert more.detect.servers == ("192.0.2.1", "192.0.2.2")
    assert more.detect.domains == ("example.net",)
    assert (more.capture.ports, more.capture.any_port) == ((5070,), True)
    assert detection_settings(file, **nothing) == settings_of(file)
    sniffed = detection_settings(file, **nothing, interfaces=["eth7"], promiscuous=True).capture
    assert (sniffed.interfaces, sniffed.promiscuous) == (("eth7",), True)


def test_a_rules_directory_that_is_missing_is_wrong_usage(tmp_path: Path) -> None:
    """A configured one may be missing, one that was named may not."""
    with pytest.raises(typer.BadParameter):
        changed(Settings(), rules=tmp_path / "none")
    found = rules_of(changed(Settings(), rules=tmp_path))
    assert [rule.name for rule in found] == [rule.name for rule in rules_of(Settings())]


def test_each_pipeline_has_its_own_memory() -> None:
    """One file's attackers are nobody in the next."""
    factory = pipeline_factory(Settings(), [], local=[pack("192.0.2.1")])
    one, two = factory(), factory()
    assert one.blocklist is not two.blocklist
    assert one.allowlist is not two.allowlist
