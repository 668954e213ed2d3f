"""What shield makes of labelled captures, as ``shield replay`` does: alerts, bans, and limits.

Once with all rules, and once without those that judge a single message: what is found then was found by
behaviour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from shield.cli.settings import pipeline_factory
from shield.config import Settings
from shield.detect.rule import Rule
from shield.net import Network, pack
from shield.pipeline import Pipeline, Verdict
from shield.replay import FileReport, replay_file
from tests.bench.corpus import Ban, Capture, Result

__all__ = ["Replayed", "behaviour", "replayed"]


@dataclass(slots=True)
class Replayed(Result):
    """What shield made of one capture."""

    alerts: dict[str, Ban] = field(default_factory=dict)
    """The first alert about each address."""
    scenarios: tuple[str, ...] = ()
    """Rules that led to bans of attackers."""
    proofs: tuple[str, ...] = ()
    limited: float = 0.0
    """Seconds for which somebody who is no attacker was limited."""


def behaviour(rules: Iterable[Rule]) -> list[Rule]:
    """Rules that need more than one message."""
    return [rule for rule in rules if not rule.fingerprint]


def replayed(capture: Capture, rules: Sequence[Rule]) -> Replayed:
    """Replay a capture with these rules and default settings."""
    factory: Callable[[], Pipeline] = pipeline_factory(Settings(), rules)
    return read(capture, replay_file(str(capture.path), factory))


def read(capture: Capture, report: FileReport) -> Replayed:
    """Read a report of a replay."""
    if report.error:
        raise ValueError(f"{capture.path}: {report.error}")
    result = Replayed()
    for found in sorted(report.alerts, key=lambda found: found.alert.time):
        address = found.alert.address
        result.alerts.setdefault(address, capture.ban_at(address, found.alert.time))
    right: list[Verdict] = []
    for found in report.decisions:
        assert found.decision is not None
        covered = held(found.decision.network, capture.times.keys() | capture.others)
        if found.decision.type != "ban":
            innocent = set(covered) - capture.tolerated
            result.limited += found.decision.duration * len(innocent)
            continue
        for address in covered:
            result.bans.setdefault(address, capture.ban_at(address, found.decision.time))
        if not set(covered) - capture.tolerated:
            right.append(found)
    result.scenarios = tuple(dict.fromkeys(found.alert.scenario for found in right))
    result.proofs = tuple(dict.fromkeys(found.decision.proof.value for found in right if found.decision))
    return result


def held(network: Network, addresses: Iterable[str]) -> list[str]:
    """Which of these addresses an address or network covers."""
    return [one for one in addresses if network.contains(Network.host(pack(one)))]
