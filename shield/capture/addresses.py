"""Addresses of this machine: what a live sensor never judges."""

from __future__ import annotations

from shield.capture.lean import lean_scapy
from shield.errors import InputError
from shield.net import pack

__all__ = ["own_addresses"]


def own_addresses() -> frozenset[bytes]:
    """Packed addresses of all interfaces of this network namespace, as they are now."""
    lean_scapy()
    from scapy.arch.linux import L2ListenSocket
    from scapy.config import conf
    from scapy.interfaces import NetworkInterface

    assert L2ListenSocket
    assert NetworkInterface
    conf.ifaces.reload()
    found = set()
    for interface in conf.ifaces.values():
        for texts in interface.ips.values():
            for text in texts:
                try:
                    found.add(pack(text.partition("%")[0]))
                except InputError:
                    continue  # a kind of address that is neither IPv4 nor IPv6
    return frozenset(found)
