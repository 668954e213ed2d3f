"""The kernel's filter: a pcap-filter expression that lets through what the decoder can use."""

from __future__ import annotations

from shield.capture.settings import CaptureSettings
from shield.capture.tunnels import GENEVE_PORTS, GTP_PORTS, VXLAN_PORTS

__all__ = ["sip_filter"]

_UNUSUAL = (
    "(ip[6:2] & 0x1fff != 0)",  # later IPv4 fragments carry no ports
    "(ip6[6] = 44)",  # IPv6 fragment header
    "(ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 60 or ip6[6] = 51)",  # others hide the ports from BPF
)
_TUNNELS = {
    # What ``ip6 proto`` compiles to also looks behind a fragment header, which passes anyway.
    "ipip": ["ip proto 4", "ip proto 41", "(ip6[6] = 4 or ip6[6] = 41)"],
    "gre": ["ip proto 47", "(ip6[6] = 47)"],
    "gtp": [f"udp dst port {port}" for port in GTP_PORTS],
    "vxlan": [f"udp dst port {port}" for port in VXLAN_PORTS],
    "geneve": [f"udp dst port {port}" for port in GENEVE_PORTS],
}
"""Their ends are compared by the decoder: networks would take too many of the 4,096 instructions."""


def sip_filter(settings: CaptureSettings, *, tags: bool) -> str:
    """Write the filter; ``tags`` for link types that can carry VLAN tags (Ethernet).

    The kernel takes the outer VLAN tag off a frame before the filter sees it, so the plain
    part matches frames with one tag and each ``vlan`` one more: up to three are let through.
    """
    if settings.any_port:
        wanted = ["udp", "tcp"]
    else:
        wanted = [f"udp port {port}" for port in settings.ports]
        wanted += [f"tcp port {port}" for port in (*settings.ports, *settings.websocket_ports)]
    for kind in settings.tunnels:
        wanted += _TUNNELS[kind]
    inner = " or ".join((*wanted, *_UNUSUAL))
    if settings.filter:
        inner = f"({inner}) and ({settings.filter})"
    if not tags:
        return inner
    # libpcap moves all later offsets behind a tag at each ``vlan``, so the parts must be nested.
    return f"({inner}) or (vlan and (({inner}) or (vlan and ({inner}))))"
