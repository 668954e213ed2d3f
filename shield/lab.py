"""Lab: gives a running node the packets of a capture file, as though its interface had seen them.

For demonstrations, training and tests of a whole cluster: ``shield replay --node FILE``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from shield.capture.pcap import PcapSource
from shield.capture.source import Frame
from shield.errors import InputError
from shield.hub import Hub

__all__ = ["replay_into"]

MAX_FRAMES = 2_000_000
"""Frames of one file: some minutes of a node's time."""

BATCH = 256
"""Frames between two turns of everything else, as when they come from an interface."""


async def replay_into(hub: Hub, path: str) -> dict[str, Any]:
    """Feed a capture at full speed, its times moved so that it ends now; raises InputError.

    Gives what came of it: frames, frames of sources banned already, alerts, bans.
    """
    last, count = _measure(path)
    pipeline = hub.pipeline
    skipped, alerts, bans = pipeline.decoder.stats.skipped, pipeline.stats.alerts, pipeline.stats.bans
    begin, shift = time.monotonic(), time.time() - last
    with closing(PcapSource(path)) as source:
        for frames in _batches(source):
            moved = [Frame(frame.time + shift, frame.data, frame.linktype) for frame in frames]
            now = time.monotonic()
            hub.take(pipeline.feed(moved, now), now, time.time())
            await asyncio.sleep(0)
        problem = source.error
    return {
        "file": path,
        "frames": count,
        "skipped": pipeline.decoder.stats.skipped - skipped,
        "alerts": pipeline.stats.alerts - alerts,
        "bans": pipeline.stats.bans - bans,
        "seconds": round(time.monotonic() - begin, 3),
        "problem": problem,
    }


def _measure(path: str) -> tuple[float, int]:
    """Time of the last frame, and how many there are."""
    last, count = 0.0, 0
    with closing(PcapSource(path)) as source:
        for frames in source.batches():
            count += len(frames)
            last = max(last, *(frame.time for frame in frames)) if frames else last
            if count > MAX_FRAMES:
                raise InputError(f"{path}: more than {MAX_FRAMES:,} frames")
    return last, count


def _batches(source: PcapSource) -> Iterator[Sequence[Frame]]:
    for frames in source.batches():
        for start in range(0, len(frames), BATCH):
            yield frames[start : start + BATCH]
