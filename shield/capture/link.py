"""Find the IP packet in a frame: the link-layer headers, on bytes.

One table entry for each link type says where the EtherType stands and where its payload
begins; VLAN and QinQ tags (IEEE 802.1Q, 802.1ad) are then stepped over. Link types:
https://www.tcpdump.org/linktypes.html.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["DECLINED", "ETHERNET", "Reject", "find_ip"]

ETHERNET: Final = 1
_NULL, _LOOP = 0, 108
_RAW = frozenset((12, 14, 101, 228, 229))
"""DLT_RAW differs between systems (12, 14); 101 is its number in files; 228 and 229 fix the version."""
_TYPED: Final = {ETHERNET: (12, 14), 113: (14, 16), 276: (0, 20)}
"""Link type -> offset of the EtherType, offset of what follows: Ethernet, Linux cooked v1 and v2."""

_VERSIONS: Final = {b"\x08\x00": 4, b"\x86\xdd": 6}
"""EtherType -> IP version; hosts drop a packet whose version says otherwise."""
_TAGS = frozenset((b"\x81\x00", b"\x88\xa8", b"\x91\x00", b"\x92\x00"))
_MAX_TAGS = 4
"""Two are QinQ; more than a few is no real network."""
_SLOW_TYPES = frozenset((b"\x88\x64", b"\x88\x47", b"\x88\x48"))
"""PPPoE session and MPLS carry IP; scapy knows them. Other EtherTypes (ARP, LLDP) never do."""


class Reject(NamedTuple):
    """Why a frame gives no packet: ``counter`` is ``errors``, ``ignored`` or ``slow``."""

    counter: str
    reason: str


DECLINED: Final = Reject("slow", "declined")
"""Not for the byte path: ask scapy."""
TRUNCATED: Final = Reject("errors", "truncated")
BAD_VERSION: Final = Reject("errors", "bad_ip_version")
NOT_IP: Final = Reject("ignored", "not_ip")


def find_ip(data: bytes, linktype: int) -> int | Reject:
    """Offset of the IP header in the frame, or why there is none."""
    place = _TYPED.get(linktype)
    if place is not None:
        return _behind_type(data, *place)
    if linktype in _RAW:
        return 0 if data else TRUNCATED
    if linktype in {_NULL, _LOOP}:
        if len(data) < 5:
            return TRUNCATED
        # The address family is in the byte order of the capturing host and IPv6 has a different
        # number on each system, so the IP version decides (as it must agree anyway).
        return 4 if data[4] >> 4 in {4, 6} else NOT_IP
    return DECLINED


def _behind_type(data: bytes, at: int, offset: int) -> int | Reject:
    """Step over VLAN tags; ``at`` is where the EtherType is, ``offset`` where its payload is."""
    kind = data[at : at + 2]
    for _ in range(_MAX_TAGS + 1):
        version = _VERSIONS.get(kind)
        if version is not None:
            if offset >= len(data):
                return TRUNCATED
            return offset if data[offset] >> 4 == version else BAD_VERSION
        if kind not in _TAGS:
            break
        kind = data[offset + 2 : offset + 4]
        offset += 4
    if len(kind) < 2:
        return TRUNCATED
    return DECLINED if kind in _SLOW_TYPES else NOT_IP
