"""What an operator may change about capturing: the ``[capture]`` table of the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from shield.capture.tunnels import KINDS
from shield.errors import ConfigError, InputError
from shield.net import Network

__all__ = ["CaptureSettings"]

MAX_PORTS = 64
"""Each port is tested by the kernel's filter program, which may have 4,096 instructions."""
MAX_ENDPOINTS = 64
"""Networks of tunnel endpoints are compared one after the other for each tunnelled packet."""
MIN_BUFFER = 64 * 1024
MAX_BUFFER = 1 << 30


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """Where to listen and what counts as SIP traffic."""

    interfaces: tuple[str, ...] = ("any",)
    """Interfaces to listen on; ``any`` means every interface that is up, also later ones. An empty list
    watches nothing: such a node only blocks what other nodes of its cluster find."""
    ports: tuple[int, ...] = (5060,)
    """UDP and TCP ports that carry SIP."""
    websocket_ports: tuple[int, ...] = (5066, 8088)
    """TCP ports that carry SIP over WebSocket without TLS (RFC 7118)."""
    any_port: bool = False
    """Look for SIP on every UDP and TCP port; costs a look at all traffic of the host."""
    tunnels: tuple[str, ...] = ()
    """Tunnels to look into: ``ipip``, ``gre`` (with ERSPAN), ``gtp``, ``vxlan``, ``geneve``. For a
    mirror port that carries them; a host that ends a tunnel has its inside on the tunnel's device."""
    tunnel_endpoints: tuple[str, ...] = ()
    """Addresses and networks of both ends of these tunnels. What comes from elsewhere stays closed:
    whoever is believed here can show shield any source address."""
    promiscuous: bool = False
    """Ask the interface for frames to other hosts too (mirror port)."""
    filter: str = ""
    """Further condition for the kernel in pcap-filter syntax, for example ``not host 192.0.2.1``."""
    buffer_bytes: int = 8 << 20
    """Kernel buffer of each interface in bytes; holds frames while shield is busy."""
    scapy_rate: int = 300
    """Unusual frames decoded by scapy in one second; further ones are counted and dropped."""
    scapy_burst: int = 300
    """Unusual frames decoded by scapy at once before scapy_rate applies."""

    def __post_init__(self) -> None:
        problems = [
            f"capture.{key}: {port!r} is not a port (1 to 65535)"
            for key, ports in (("ports", self.ports), ("websocket_ports", self.websocket_ports))
            for port in ports
            if not 0 < port < 65536
        ]
        if not self.ports and not self.websocket_ports and not self.any_port:
            problems.append("capture.ports: nothing to capture without a port")
        if len(self.ports) + len(self.websocket_ports) > MAX_PORTS:
            problems.append(f"capture.ports: more than {MAX_PORTS} ports; use any_port")
        problems += self._tunnel_problems()
        if not MIN_BUFFER <= self.buffer_bytes <= MAX_BUFFER:
            problems.append(f"capture.buffer_bytes: must be {MIN_BUFFER} to {MAX_BUFFER}")
        problems += [
            f"capture.{key}: must be 1 to 100000"
            for key, value in (("scapy_rate", self.scapy_rate), ("scapy_burst", self.scapy_burst))
            if not 1 <= value <= 100_000
        ]
        if problems:
            raise ConfigError(*problems)

    def _tunnel_problems(self) -> list[str]:
        problems = [
            f"capture.tunnels: {kind!r} is none of {', '.join(KINDS)}"
            for kind in self.tunnels
            if kind not in KINDS
        ]
        for text in self.tunnel_endpoints:
            try:
                Network.parse(text)
            except InputError as error:
                problems.append(f"capture.tunnel_endpoints: {error}")
        if len(self.tunnel_endpoints) > MAX_ENDPOINTS:
            problems.append(f"capture.tunnel_endpoints: more than {MAX_ENDPOINTS}; use networks")
        if self.tunnels and not self.tunnel_endpoints:
            problems.append("capture.tunnel_endpoints: name both ends of the tunnels")
        return problems
