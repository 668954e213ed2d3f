"""A day of good users, through a pipeline with all rules: nobody may be banned.

All lives of ``tests/town.py`` together: homes, offices, carriers, diallers, phones with old passwords
... They begin at all hours, more of them by day than at night, over lines that lose and repeat, in the
networks of one provider. Messages are made hour by hour, so a million of them need no more memory than
what is under way.
"""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import pack
from typing import Any

from shield.capture.source import Frame
from shield.cli.settings import pipeline_factory
from shield.config import Settings
from shield.detect.rulefiles import load_rules
from shield.pipeline import Verdict
from tests.town import LIVES, START, Town
from tests.traffic import SERVERS

__all__ = ["City", "day", "hours"]

HOURS = 24
HOUR = 3_600.0
RHYTHM = (2, 1, 1, 1, 1, 2, 4, 7, 10, 11, 11, 10, 9, 10, 11, 11, 10, 9, 8, 7, 6, 5, 4, 3)
"""How much begins in each hour."""
SHARES = {"home": 30, "office": 4, "trunk": 6, "dialler": 4, "monitor": 6, "pbx": 8, "panel": 4}
"""How many of each life live there, of ``OTHERS`` one each: most people have a phone that works."""
OTHERS = 3
MISSES, REPEATS = 0.03, 0.2
"""At most so many packets escape the sensor, or are sent again, in one household."""
BATCH = 256
Report = dict[str, Any]


class City(Town):
    """A town with addresses for everybody: 512 networks, so neighbours share a /24 but no address."""

    def __init__(self, seed: int) -> None:
        super().__init__(miss=0.0, repeat=0.0, seed=seed)

    def house(self) -> bytes:
        """An address of the range for benchmarks (RFC 2544), or one in a /64 of its own."""
        if self.random.random() < 0.16:
            return pack("!IIQ", 0x20010DB8, self.houses << 8 | 1, self.random.randrange(1, 1 << 40))
        network = self.houses * 197 % 512
        return pack("!I", (198 << 24 | 18 << 16) + (network << 8) + self.random.randrange(1, 255))

    def live(self, at: float) -> None:
        """Let somebody live here from this time on."""
        lives = list(LIVES)
        life = self.random.choices(lives, [SHARES.get(name, OTHERS) for name in lives])[0]
        self.miss, self.repeat = self.gap(0, MISSES), self.gap(0, REPEATS)
        self.houses += 1
        LIVES[life](self, at)


def hours(messages: int, seed: int) -> Iterator[list[Frame]]:
    """The frames of each hour in order of time, together at least so many."""
    city, made, wanted = City(seed), 0, 0.0
    end = START + HOURS * HOUR
    for hour, share in enumerate(RHYTHM):
        begin = START + hour * HOUR
        wanted += messages * share / sum(RHYTHM)
        while made < wanted:
            before = len(city.frames)
            city.live(begin + city.random.random() * HOUR)
            made += sum(frame.time < end for frame in city.frames[before:])
        city.frames.sort(key=lambda frame: frame.time)
        over = [frame for frame in city.frames if frame.time >= begin + HOUR]
        yield city.frames[: len(city.frames) - len(over)]
        city.frames = over


def day(messages: int, seed: int, done: Callable[[int], None] = lambda _: None) -> Report:
    """Feed a day to a pipeline; ``done`` hears how many messages each hour had."""
    pipeline = pipeline_factory(Settings(), load_rules(), SERVERS.values())()
    alerts, bans, limits = Counter[str](), Counter[str](), Counter[str]()
    used, sent = 0.0, 0
    gc.collect()
    before = _resident()
    most = before
    for frames in hours(messages, seed):
        start = time.process_time()
        for at in range(0, len(frames), BATCH):
            for found in pipeline.feed(frames[at : at + BATCH]):
                if not isinstance(found, Verdict):
                    continue
                alerts[found.alert.scenario] += not found.again
                if found.decision is not None:
                    counted = bans if found.decision.type == "ban" else limits
                    counted[f"{found.alert.scenario} {found.alert.address}"] += 1
        used += time.process_time() - start
        sent += len(frames)
        most = max(most, _resident())
        done(len(frames))
    return {
        "messages": sent,
        "read": pipeline.stats.messages,
        "seed": seed,
        "sources": len(pipeline.engine.sources),
        "alerts": dict(alerts),
        "bans": dict(bans),
        "limits": dict(limits),
        "errors": dict(pipeline.stats.errors + pipeline.decoder.stats.errors),
        "seconds": round(used, 1),
        "microseconds": round(used / sent * 1e6, 1),
        "megabytes": round((most - before) / 1e6),
    }


def _resident() -> int:
    """Octets of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
