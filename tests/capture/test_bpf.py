"""The kernel's filter compiles, and lets through what the decoder can use."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from shield.capture.bpf import sip_filter
from shield.capture.settings import CaptureSettings
from shield.capture.tunnels import KINDS
from tests.capture.tunnel_wire import TUNNELS
from tests.capture.wire import ether, ip4, ip6, pcap, tcp, udp
from tests.requires import need

PLAIN = CaptureSettings()


def passes(expression: str, data: bytes, tmp_path: Path, linktype: int = 1) -> bool:
    """Ask tcpdump, which uses the same compiler and runs the program itself."""
    need("tcpdump", root=False)
    path = tmp_path / "one.pcap"
    path.write_bytes(pcap((1.0, data), linktype=linktype))
    command = [shutil.which("tcpdump") or "", "-n", "-r", str(path), expression]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    return bool(shown.stdout.strip())


FRAGMENT6 = struct.pack("!BxHI", 17, 1480, 9)


@pytest.mark.parametrize(
    "body",
    [
        ip4(udp()),
        ip4(udp(sport=5060, dport=1)),
        ip4(tcp(), 6),
        ip4(tcp(dport=8088), 6),
        ip6(udp()),
        ip6(tcp(), 6),
        ip4(b"12345678", place=5),
        ip6(FRAGMENT6 + b"12345678", 44),
        ip6(b"\x11\0\x01\x04\0\0\0\0" + udp(), 60),
    ],
)
@pytest.mark.parametrize("tags", [(), (0x8100,), (0x88A8, 0x8100)])
def test_sip_passes(body: bytes, tags: tuple[int, ...], tmp_path: Path) -> None:
    """UDP, TCP, WebSocket, fragments and extension headers, with up to two tags left in the frame."""
    assert passes(sip_filter(PLAIN, tags=True), ether(body, *tags), tmp_path)


@pytest.mark.parametrize("body", [ip4(udp()), ip6(udp()), ip4(b"12345678", place=5)])
def test_bare_ip_passes(body: bytes, tmp_path: Path) -> None:
    """Tunnels have no Ethernet header, so their filter has no tags."""
    assert passes(sip_filter(PLAIN, tags=False), body, tmp_path, linktype=101)


@pytest.mark.parametrize(
    "body",
    [
        ip4(udp(sport=4000, dport=4002)),
        ip4(tcp(dport=80), 6),
        ip4(b"\x08\0\0\0", 1),
        ip6(b"\x80\0\0\0", 58),
    ],
)
@pytest.mark.parametrize("tags", [(), (0x8100,), (0x88A8, 0x8100)])
def test_other_traffic_stays_in_the_kernel(body: bytes, tags: tuple[int, ...], tmp_path: Path) -> None:
    """RTP, web and ping cost shield nothing."""
    assert not passes(sip_filter(PLAIN, tags=True), ether(body, *tags), tmp_path)


def test_any_port_takes_all_udp_and_tcp(tmp_path: Path) -> None:
    """Then the content decides."""
    expression = sip_filter(CaptureSettings(any_port=True), tags=True)
    assert passes(expression, ether(ip4(udp(sport=4000, dport=4002))), tmp_path)
    assert not passes(expression, ether(ip4(b"\x08\0\0\0", 1)), tmp_path)


@pytest.mark.parametrize("tags", [(), (0x8100,), (0x88A8, 0x8100)])
def test_own_condition_holds_for_every_branch(tags: tuple[int, ...], tmp_path: Path) -> None:
    """It cannot be passed by a tag or a fragment."""
    expression = sip_filter(CaptureSettings(filter="not src host 192.0.2.1"), tags=True)
    for body in (ip4(udp()), ip4(b"12345678", place=5)):
        assert not passes(expression, ether(body, *tags), tmp_path)
    assert passes(expression, ether(ip4(udp(), source="192.0.2.7"), *tags), tmp_path)


TUNNELLING = CaptureSettings(tunnels=KINDS, tunnel_endpoints=("192.0.2.1",))


@pytest.mark.parametrize("dress", TUNNELS)
def test_tunnels_pass_when_asked_for(dress: str, tmp_path: Path) -> None:
    """Their ends are for the decoder to compare; without the setting they stay in the kernel."""
    packet = ether(TUNNELS[dress](ip4(udp())), 0x8100)
    assert passes(sip_filter(TUNNELLING, tags=True), packet, tmp_path)
    assert not passes(sip_filter(PLAIN, tags=True), packet, tmp_path)


def test_the_longest_filter_fits_the_kernel() -> None:
    """64 ports and all tunnels, three times for the tags, stay under 4,096 instructions."""
    need("tcpdump", root=False)
    ports = tuple(range(5060, 5124))
    settings = replace(TUNNELLING, ports=ports, websocket_ports=())
    command = ["tcpdump", "-d", "-y", "EN10MB", sip_filter(settings, tags=True)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 100 < len(shown.stdout.splitlines()) < 4096
