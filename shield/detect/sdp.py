"""Session descriptions (RFC 4566), as far as an oddity of them is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["MAX_SDP", "dead_media", "incomplete"]

MAX_SDP = 4_096
"""Bytes that are looked at; offers with every codec and ICE candidate stay below."""

_media = re.compile(rb"^m=[^\s]+ ([0-9]+)[ /]", re.MULTILINE)
_connection = re.compile(rb"^c=IN IP[46] ([0-9A-Fa-f.:]+)", re.MULTILINE)
_each = tuple(re.compile(rb"^%c=" % letter, re.MULTILINE) for letter in b"vostmc")
"""Lines that a description with media must have; ``c=`` stands in the session or in each medium."""


def incomplete(body: bytes) -> bool:
    """Whether a line is missing that RFC 4566 section 5 demands, or it does not begin with ``v=``."""
    text = body[:MAX_SDP].lstrip(b"\r\n")
    return not text.startswith(b"v=") or not all(line.search(text) for line in _each)


def dead_media(body: bytes, nowhere: Callable[[bytes], bool]) -> bool:
    """Whether every medium has port 0, or every address is one where ``nowhere`` says nobody is."""
    text = body[:MAX_SDP]
    ports = _media.findall(text)
    if ports and not any(int(port[:6]) for port in ports):
        return True
    addresses = _connection.findall(text)
    return bool(addresses) and all(nowhere(address.lower()) for address in addresses)
