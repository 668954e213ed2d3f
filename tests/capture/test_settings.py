"""Capture settings: sane defaults, every mistake is named."""

from __future__ import annotations

import pytest

from shield.capture.settings import MAX_ENDPOINTS, MAX_PORTS, CaptureSettings
from shield.errors import ConfigError


def test_defaults_listen_everywhere_for_sip() -> None:
    """Without configuration all interfaces are heard, on the port of RFC 3261; no tunnel is opened."""
    settings = CaptureSettings()
    assert settings.interfaces == ("any",)
    assert settings.ports == (5060,)
    assert not settings.promiscuous
    assert not settings.tunnels
    assert settings.buffer_bytes >= 8 << 20


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"ports": (0,)}, "capture.ports"),
        ({"ports": (65536,)}, "capture.ports"),
        ({"websocket_ports": (-1,)}, "capture.websocket_ports"),
        ({"ports": (), "websocket_ports": ()}, "capture.ports"),
        ({"ports": tuple(range(1, MAX_PORTS + 2))}, "capture.ports"),
        ({"tunnels": ("ppp",), "tunnel_endpoints": ("192.0.2.1",)}, "capture.tunnels"),
        ({"tunnels": ("gre",)}, "capture.tunnel_endpoints"),
        ({"tunnel_endpoints": ("here",)}, "capture.tunnel_endpoints"),
        ({"tunnel_endpoints": ("192.0.2.1",) * (MAX_ENDPOINTS + 1)}, "capture.tunnel_endpoints"),
        ({"buffer_bytes": 1}, "capture.buffer_bytes"),
        ({"scapy_rate": 0}, "capture.scapy_rate"),
        ({"scapy_burst": 1_000_000}, "capture.scapy_burst"),
    ],
)
def test_a_mistake_names_its_key(change: dict[str, object], key: str) -> None:
    """A value that cannot work is refused with the key's name."""
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        CaptureSettings(**change)  # type: ignore[arg-type]


def test_all_mistakes_come_at_once() -> None:
    """Two mistakes give two lines."""
    with pytest.raises(ConfigError) as caught:
        CaptureSettings(ports=(0,), buffer_bytes=1)
    assert len(caught.value.problems) == 2


def test_no_port_is_needed_to_look_everywhere() -> None:
    """With any_port the list of ports may be empty."""
    assert CaptureSettings(ports=(), websocket_ports=(), any_port=True).any_port
