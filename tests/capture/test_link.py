"""The IP packet is found behind each link layer."""

from __future__ import annotations

import pytest

from shield.capture.link import DECLINED, Reject, find_ip
from tests.capture.wire import ether, ip4, ip6, udp

V4, V6 = ip4(udp()), ip6(udp())
COOKED = bytes(14)
SLL2 = bytes(18)


@pytest.mark.parametrize(
    ("data", "linktype", "offset"),
    [
        (ether(V4), 1, 14),
        (ether(V6), 1, 14),
        (ether(V4, 0x8100), 1, 18),
        (ether(V6, 0x88A8, 0x8100), 1, 22),
        (ether(V4, 0x8100, 0x8100), 1, 22),
        (ether(V4, 0x9100, 0x9200), 1, 22),
        (COOKED + b"\x08\x00" + V4, 113, 16),
        (COOKED + b"\x81\x00\x00\x07\x86\xdd" + V6, 113, 20),
        (b"\x08\x00" + SLL2 + V4, 276, 20),
        (b"\x86\xdd" + SLL2 + V6, 276, 20),
        (b"\x02\0\0\0" + V4, 0, 4),
        (b"\0\0\0\x1e" + V6, 0, 4),
        (b"\0\0\0\x02" + V4, 108, 4),
        (V4, 101, 0),
        (V6, 12, 0),
        (V4, 228, 0),
        (V6, 229, 0),
    ],
)
def test_offset_of_the_ip_header(data: bytes, linktype: int, offset: int) -> None:
    """Ethernet with up to two tags, cooked, loopback and raw IP frames are stepped into."""
    assert find_ip(data, linktype) == offset


@pytest.mark.parametrize("linktype", [9, 105, 127, 99999])
def test_other_link_types_are_left_to_scapy(linktype: int) -> None:
    """PPP, Wi-Fi and unknown numbers are declined, not guessed."""
    assert find_ip(ether(V4), linktype) is DECLINED


@pytest.mark.parametrize("kind", [b"\x88\x64", b"\x88\x47"])
def test_pppoe_and_mpls_are_left_to_scapy(kind: bytes) -> None:
    """They can carry IP, but seldom do where SIP is."""
    assert find_ip(bytes(12) + kind + bytes(60), 1) is DECLINED


@pytest.mark.parametrize("kind", [b"\x08\x06", b"\x88\xcc", b"\x00\x40"])
def test_arp_and_the_like_are_ignored(kind: bytes) -> None:
    """An ARP storm must not use up scapy's budget."""
    assert find_ip(bytes(12) + kind + bytes(60), 1) == Reject("ignored", "not_ip")


@pytest.mark.parametrize("linktype", [0, 1, 12, 101, 108, 113, 276])
def test_short_frames_are_truncated(linktype: int) -> None:
    """Every prefix of the link header gives a reason and never an exception."""
    for size in range(4):
        assert find_ip(b"\x81\x00\x81\x00"[:size], linktype) in (
            Reject("errors", "truncated"),
            *([0] if size and linktype in {12, 101} else []),
        )


def test_endless_tags_end() -> None:
    """A frame made of tags only is given up."""
    assert isinstance(find_ip(bytes(12) + b"\x81\x00\x00\x01" * 300, 1), Reject)
