"""Alerts and decisions as detection makes them, for benchmarks."""

from __future__ import annotations

from shield.blocklist.decision import Decision
from shield.detect.alert import Alert, Evidence, Proof
from shield.net import Network, unpack

LIFETIME = 14_400.0
REASON = "Password guessing on REGISTER (12 counted, proven by nonce, user agent friendly-scanner)"
FIRST = 0x64400000
"""100.64.0.0/10 (RFC 6598): no address of a machine that runs the benchmark."""

SAMPLE = (
    "REGISTER sip:198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP {0}:5060;branch=z9hG4bK{1};rport\r\n"
    "From: <sip:100@198.51.100.1>;tag=t{1}\r\nTo: <sip:100@198.51.100.1>\r\nCall-ID: {1}@{0}\r\n"
    "CSeq: 2 REGISTER\r\nContact: <sip:100@{0}:5060>\r\nMax-Forwards: 70\r\nExpires: 3600\r\n"
    'Authorization: Digest username="100",realm="voice",nonce="{1}",uri="sip:198.51.100.1",'
    'response="0123456789abcdef0123456789abcdef",algorithm=MD5\r\n'
    "User-Agent: friendly-scanner\r\nContent-Length: 0\r\n\r\n"
)


def address(node: int, number: int) -> bytes:
    """The address of one attacker; each of 16 nodes has 262,144 of its own."""
    return (FIRST + (node << 18) + number % (1 << 18)).to_bytes(4, "big")


def decision(network: Network, origin: str, number: int, now: float, wall: float) -> Decision:
    left = LIFETIME + number % 3600
    return Decision(
        network, "register-bruteforce", origin, Proof.PROVEN, wall, now + left, left,
        f"{origin}-{int(wall * 1000):x}-{number:x}", REASON,
    )  # fmt: skip


def alert(source: bytes, number: int, wall: float) -> Alert:
    """With four messages of evidence, as most have."""
    evidence = tuple(
        Evidence(wall, SAMPLE.format(unpack(source), f"{number:08x}{n}"), "401") for n in range(4)
    )
    return Alert(
        time=wall, source=source, scenario="register-bruteforce", kind="bruteforce",
        proof=Proof.PROVEN, proofs=("nonce",), severity=3, confidence=3, count=12, messages=30,
        first_seen=wall - 5, ban_time=LIFETIME, score=12, limit=10, measure="refused logins",
        details=(("user_agent", "friendly-scanner"), ("users", "100, 101, 102")), evidence=evidence,
    )  # fmt: skip
