"""Options that commands share."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from shield.cli.options import as_duration, as_networks, socket_path
from shield.control.settings import DEFAULT_SOCKET


def test_durations() -> None:
    """Nothing given is None; nonsense is wrong usage that names the option."""
    assert as_duration("") is None
    assert as_duration("1h30m") == 5400
    with pytest.raises(typer.BadParameter, match="--for"):
        as_duration("soon", "--for")


def test_networks() -> None:
    """One spelling for each address; host bits are wrong usage."""
    assert as_networks(["[2001:DB8::1]", "192.0.2.0/24"]) == ["2001:db8::1", "192.0.2.0/24"]
    with pytest.raises(typer.BadParameter):
        as_networks(["192.0.2.1/24"])


def test_the_socket_is_the_option_the_configured_or_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order; a broken file is somebody else's business."""
    file = tmp_path / "shield.toml"
    monkeypatch.setattr("shield.cli.options.DEFAULT_CONFIG", file)
    assert socket_path("") == DEFAULT_SOCKET
    file.write_text('[control]\nsocket = "/srv/s.sock"\n')
    assert socket_path("") == "/srv/s.sock"
    assert socket_path("/a") == "/a"
    file.write_text("[control")
    assert socket_path("") == DEFAULT_SOCKET


def test_drop_ins_and_the_environment_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket is found where the daemon, given the same files, has put it."""
    monkeypatch.setenv("SHIELD_CONFIG", str(tmp_path / "mine.toml"))
    (tmp_path / "mine.d").mkdir()
    (tmp_path / "mine.d" / "10.toml").write_text('[control]\nsocket = "/a"\n')
    (tmp_path / "mine.d" / "20.toml").write_text('[control]\nsocket = "/b"\n')
    assert socket_path("") == "/b"
