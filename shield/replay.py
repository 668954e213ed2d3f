"""Replay: one capture file through a pipeline of its own, into a report.

The frames' own time is the clock, so a file gives the same result at any speed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shield.blocklist.decision import ChangeKind
from shield.capture.pcap import PcapSource
from shield.detect.compromise import Compromise
from shield.net import Network
from shield.pipeline import Finding, Pipeline, Verdict

__all__ = ["FileReport", "replay_file"]


@dataclass(slots=True)
class FileReport:
    """What one file held."""

    file: str
    packets: int = 0
    messages: int = 0
    skipped: int = 0
    """Packets of sources that were banned already."""
    errors: Counter[str] = field(default_factory=Counter)
    alerts: list[Verdict] = field(default_factory=list)
    """Every alert with the last word about it."""
    decisions: list[Verdict] = field(default_factory=list)
    types: dict[Network, str] = field(default_factory=dict)
    """Type of the last decision about each network."""
    """Verdicts that banned a value which was not banned before."""
    compromised: dict[str, Compromise] = field(default_factory=dict)
    """Accounts that were taken over, by the id of the report: how each stood at the end."""
    error: str | None = None
    """Why reading stopped before the end of the file."""

    def as_json(self) -> dict[str, Any]:
        """One element of ``files`` in ``shield replay --output json``."""
        return {
            "file": self.file,
            "packets": self.packets,
            "messages": self.messages,
            "skipped": self.skipped,
            "errors": dict(self.errors),
            "error": self.error,
            "alerts": [{**found.alert.as_json(), "why": found.why} for found in self.alerts],
            "decisions": [_decision_json(found) for found in self.decisions],
            "compromised": [found.as_json() for found in self.compromised.values()],
        }


def replay_file(
    path: str,
    pipeline_factory: Callable[[], Pipeline],
    *,
    realtime: bool = False,
    progress: Callable[[float], None] | None = None,
) -> FileReport:
    """Read a capture (``-`` is standard input); raises InputError when it cannot be opened."""
    source = PcapSource(path, realtime=realtime)
    report = FileReport(path)
    pipeline = pipeline_factory()
    findings: dict[tuple[bytes, str, float], Verdict] = {}
    try:
        for frames in source.batches():
            for finding in pipeline.feed(frames):
                _note(report, findings, finding)
            done = source.progress() if progress is not None else None
            if progress is not None and done is not None:
                progress(done)
    finally:
        source.close()
    for finding in pipeline.finish():
        _note(report, findings, finding)
    report.alerts = list(findings.values())
    report.packets = pipeline.decoder.stats.frames
    report.messages = pipeline.stats.messages
    report.skipped = pipeline.decoder.stats.skipped
    report.errors = pipeline.stats.errors + pipeline.decoder.stats.errors
    report.error = source.error
    return report


def _note(report: FileReport, findings: dict[tuple[bytes, str, float], Verdict], found: Finding) -> None:
    if isinstance(found, Compromise):
        report.compromised[found.id] = found
    if not isinstance(found, Verdict):
        return
    findings[found.alert.source, found.alert.scenario, found.alert.time] = found
    made = found.decision
    if made is None or not found.changes:
        return
    added = any(change.kind is ChangeKind.ADDED for change in found.changes)
    if added or report.types.get(made.network, made.type) != made.type:  # a limit became a ban
        report.types[made.network] = made.type
        report.decisions.append(found)


def _decision_json(found: Verdict) -> dict[str, Any]:
    assert found.decision is not None
    decision, alert = found.decision, found.alert
    return {
        "value": decision.value,
        "scope": decision.scope,
        "type": decision.type,
        "scenario": decision.scenario,
        "kind": alert.kind,
        "proof": decision.proof.value,
        "proofs": list(alert.proofs),
        "time": round(decision.time, 6),
        "duration": round(decision.duration, 3),
        "messages_to_ban": found.messages,
        "seconds_to_ban": round(decision.time - alert.first_seen, 6),
        "reason": decision.reason,
        "ports": " ".join(map(str, decision.ports)),
    }
