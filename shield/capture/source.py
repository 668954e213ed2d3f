"""Source: where frames come from (a capture file, a network interface)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

__all__ = ["Frame", "Source"]


class Frame(NamedTuple):
    """One captured link-layer frame."""

    time: float
    """Seconds since the epoch."""
    data: bytes
    linktype: int
    """DLT / LINKTYPE number as in a pcap file: 1 Ethernet, 113 and 276 Linux cooked, 101 raw IP ..."""


class Source(Protocol):
    """Yields frames in batches; a live source yields an empty batch when nothing came."""

    name: str

    def batches(self) -> Iterator[Sequence[Frame]]:
        """Frames in the order of capture; ends when the source ends."""
        ...

    def close(self) -> None:
        """Release files and sockets; may be called twice."""
        ...
