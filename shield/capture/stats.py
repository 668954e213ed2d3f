"""Counters of the capture path: what was seen, what was passed over and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["DecoderStats", "LiveStats"]


@dataclass(slots=True)
class DecoderStats:
    """What one Decoder did with the frames it was given."""

    frames: int = 0
    """Frames given to the decoder."""
    messages: int = 0
    """SIP messages (or what claims to be one) given out."""
    skipped: int = 0
    """Frames of banned sources, dropped before decoding."""
    keepalives: int = 0
    """Empty lines, zero bytes and STUN packets that keep a NAT binding open."""
    tunnelled: int = 0
    """Frames that held another packet in a tunnel that was opened."""
    slow: int = 0
    """Frames that scapy dissected."""
    slow_refused: int = 0
    """Frames that needed scapy when its budget was used up."""
    ignored: Counter[str] = field(default_factory=Counter)
    """Frames that are in order but no SIP, by reason: other_port, icmp, not_ip, tunnel ..."""
    errors: Counter[str] = field(default_factory=Counter)
    """What was broken or lost, by reason: truncated, bad_udp_length, tcp_gap ..."""


@dataclass(slots=True)
class LiveStats:
    """What the kernel says about one live source, all interfaces together."""

    received: int = 0
    """Frames that passed the kernel's filter, those dropped included."""
    dropped: int = 0
    """Frames the kernel dropped because its buffer was full."""
    read: int = 0
    """Frames that were read from the sockets."""
    reopened: int = 0
    """Sockets opened again, or for the first time, because an interface came up."""
    failures: Counter[str] = field(default_factory=Counter)
    """Errors while reading or opening, by interface and error name."""
