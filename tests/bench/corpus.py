"""Labelled captures, and what a tool made of one of them: the same words for every tool.

A directory of captures has ``labels.json``: for each file its class, its attackers, who else is in it,
and whether the attackers must be found (docs/detection.md).
"""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from shield.capture.decoder import Decoder
from shield.capture.pcap import PcapSource
from shield.net import Datagram, unpack

__all__ = ["BUNDLED", "Ban", "Capture", "Result", "captures", "directory"]

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / "tests" / "captures"


@dataclass(frozen=True, slots=True)
class Ban:
    """How soon an address was banned."""

    messages: int
    """SIP messages (or what claimed to be such) that it had sent to a server by then."""
    seconds: float
    """Since the first of them."""


@dataclass(slots=True)
class Result:
    """What one tool made of one capture."""

    bans: dict[str, Ban] = field(default_factory=dict)
    """Every address that was banned, the first time that it was."""
    missing: str = ""
    """Why the tool could not be given this capture."""


@dataclass(frozen=True)
class Capture:
    """One labelled file."""

    path: Path
    kind: str
    """Class of what its attackers do; ``benign`` and ``spoofed``: it has none."""
    must: bool
    """Its attackers must be found. Others cannot be told from good users by what is in the file."""
    attackers: frozenset[str]
    tolerated: frozenset[str]
    """Banning one of these is no mistake: attackers, and some that need not be found."""
    others: frozenset[str]
    """Good users, servers, and those in whose name somebody forges."""
    servers: frozenset[str]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @cached_property
    def datagrams(self) -> list[Datagram]:
        """All messages of the file, both directions, as shield's decoder reads them."""
        source, decoder = PcapSource(str(self.path)), Decoder()
        try:
            found = [one for batch in source.batches() for frame in batch for one in decoder.feed(frame)]
        finally:
            source.close()
        return [*found, *decoder.flush()]

    @property
    def arrivals(self) -> list[Datagram]:
        """Messages that arrived at the servers."""
        return [one for one in self.datagrams if unpack(one.destination) in self.servers]

    @cached_property
    def times(self) -> dict[str, list[float]]:
        """When each source sent something to a server."""
        times: defaultdict[str, list[float]] = defaultdict(list)
        for one in self.arrivals:
            times[unpack(one.source)].append(one.time)
        return dict(times)

    def ban_at(self, address: str, moment: float) -> Ban:
        """The ban of an address at this event time."""
        times = self.times.get(address, [])
        return Ban(bisect_right(times, moment), round(moment - times[0], 6) if times else 0.0)

    def caught(self, result: Result) -> dict[str, Ban]:
        """Attackers that were banned."""
        return {address: ban for address, ban in result.bans.items() if address in self.attackers}

    def wronged(self, result: Result) -> set[str]:
        """Who was banned without having attacked; in ``spoofed`` captures somebody forged them."""
        return result.bans.keys() - self.tolerated


def directory() -> Path:
    """SHIELD_CAPTURES, else the shared folder beside the checkout, else the bundled captures."""
    wanted = os.environ.get("SHIELD_CAPTURES")
    places = [Path(wanted)] if wanted else [ROOT.parent / "shared" / "captures", BUNDLED]
    for place in places:
        if (place / "labels.json").exists():
            return place
    raise FileNotFoundError(f"no labels.json in {', '.join(map(str, places))}; set SHIELD_CAPTURES")


def captures(place: Path) -> list[Capture]:
    """All captures that a directory has labels for, by class and name."""
    labels: list[dict[str, Any]] = json.loads((place / "labels.json").read_text())["captures"]
    found = []
    for label in labels:
        tolerated = {*label["attackers"], *label.get("optional_attackers", ())}
        others = {*label["benign"], *label["servers"], *label.get("spoofed_sources", ())}
        found.append(
            Capture(
                place / label["file"],
                label["class"],
                label["expected"] == "block",
                frozenset(label["attackers"]),
                frozenset(tolerated),
                frozenset(others - tolerated),
                frozenset(label["servers"]),
            )
        )
    return sorted(found, key=lambda capture: (capture.kind, capture.name))
