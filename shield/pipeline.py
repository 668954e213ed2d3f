"""Pipeline: frames in, findings out. Read this file first.

frame -> (decoder) -> datagram -> (parser) -> message -> (tracker) -> event -> (engine) -> alert
      -> (policy) -> decision -> (blocklist) -> change

A source that is banned already is skipped by the decoder before anything is parsed. There is no I/O
here: a live node and a replayed file use the same pipeline.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from shield.blocklist.allowlist import Allowlist
from shield.blocklist.aside import Why
from shield.blocklist.blocklist import Blocklist
from shield.blocklist.decision import BAN, Change, Decision
from shield.blocklist.policy import Policy, Ruling
from shield.blocklist.policy_settings import PolicySettings
from shield.capture.decoder import Decoder
from shield.capture.settings import CaptureSettings
from shield.capture.source import Frame
from shield.detect.alert import Alert, Proof
from shield.detect.compromise import Compromise
from shield.detect.engine import Engine
from shield.detect.rule import Rule
from shield.detect.settings import DetectSettings
from shield.errors import InputError, RemoteError
from shield.net import Datagram, Network, Port, unpack
from shield.sip.event import Kind, SipEvent
from shield.sip.message import Request, parse_message
from shield.sip.recent import RecentMap
from shield.sip.servers import Servers
from shield.sip.transactions import Tracker

__all__ = ["Finding", "Pipeline", "PipelineStats", "Verdict"]

TICK = 0.5
"""Seconds of event time between looks at timers."""
MAX_ALERTED = 16_384
"""Sources whose last alerts are kept for ``show``."""
ALERTS_PER_SOURCE = 8
EXTENSION = ("unknown_method",)
"""A method that we do not know breaks nothing (RFC 3261 section 8.2.1): KDMQ between Kamailio nodes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An alert and what was decided about it."""

    alert: Alert
    decision: Decision | None
    changes: tuple[Change, ...]
    why: str
    messages: int
    """Requests seen from the source when this was decided."""
    waits: bool = False
    """Another verdict about this alert will follow."""
    again: bool = False
    """The last word about an alert that was told before."""


Finding = Verdict | Change | Compromise
Follower = Callable[[SipEvent, float], None]
"""Called with each event of a readable message, and node time."""


@dataclass(slots=True)
class PipelineStats:
    """Counters of the pipeline itself; its parts have their own."""

    frames: int = 0
    requests: int = 0
    responses: int = 0
    alerts: int = 0
    bans: int = 0
    compromised: int = 0
    """Accounts whose password somebody found out."""
    errors: Counter[str] = field(default_factory=Counter)
    """Messages that could not be read or break RFC 3261, by reason."""

    @property
    def messages(self) -> int:
        """SIP messages read."""
        return self.requests + self.responses

    def as_json(self) -> dict[str, Any]:
        """All counters."""
        return {
            "frames": self.frames,
            "messages": self.messages,
            "requests": self.requests,
            "responses": self.responses,
            "alerts": self.alerts,
            "bans": self.bans,
            "compromised": self.compromised,
            "errors": dict(self.errors),
        }


class Pipeline:
    """One sensor's detection from frame to blocklist."""

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        capture: CaptureSettings,
        detect: DetectSettings,
        policy: PolicySettings,
        blocklist: Blocklist,
        allowlist: Allowlist,
        origin: str,
        local: Iterable[bytes] = (),
    ) -> None:
        self.blocklist = blocklist
        self.allowlist = allowlist
        self.origin = origin
        self.stats = PipelineStats()
        self.servers = Servers(detect.addresses().union(local), learn=detect.learn_servers)
        self.tracker = Tracker(self.servers)
        self.engine = Engine(rules, detect, self.servers, self.tracker.dialogs)
        compromises = self.engine.compromises
        compromises.origin, compromises.banned = origin, blocklist.guard.covers
        self.tracker.on_unread = compromises.unread
        self.policy = Policy(policy, allowlist, origin, self.engine.together.clean)
        self.decoder = Decoder(capture, blocklist.guard)
        self._banned = blocklist.guard.hosts
        self._alerted: RecentMap[bytes, deque[Verdict]] = RecentMap(MAX_ALERTED, 86_400.0)
        self.followers: tuple[Follower, ...] = ()
        self._next_tick = 0.0
        self._time = 0.0
        self._made = 0

    def feed(self, frames: Sequence[Frame], now: float | None = None) -> list[Finding]:
        """Take frames; ``now`` is node time, or None to let the frames' own time be it (replay)."""
        findings: list[Finding] = []
        self.stats.frames += len(frames)
        decode, take = self.decoder.feed, self._datagram
        for frame in frames:
            time = frame[0]
            at = time if now is None else now
            if time >= self._next_tick:
                self._ticked(time, at, findings)
            for datagram in decode(frame):
                take(datagram, at, findings)
        self._compromised(findings)
        return findings

    def tick(self, now: float, event_time: float | None = None) -> list[Finding]:
        """Let time pass without traffic; ``event_time`` is the wall clock on a live node."""
        findings: list[Finding] = []
        if event_time is not None:
            self._ticked(event_time, now, findings)
        else:
            findings += self.blocklist.expire(now)
        self._compromised(findings)
        return findings

    def judge(self, alerts: Sequence[Alert], now: float) -> list[Finding]:
        """Decide about alerts that the counts of other nodes completed."""
        findings: list[Finding] = []
        self._decide(self.engine.accuse(alerts), now, findings)
        return findings

    def finish(self, now: float | None = None) -> list[Finding]:
        """End of a capture: give out unfinished TCP messages and judge what still waits."""
        findings: list[Finding] = []
        at = self._time if now is None else now
        for datagram in self.decoder.flush():
            self._datagram(datagram, at, findings)
        for event in self.tracker.tick(self._time):
            self._observe(event, at, findings)
        later = self._time + self.policy.settings.hold_time
        for ruling in self.policy.tick(later, at, self.engine.trusted, self._ringing_now):
            self._rule(ruling, at, findings)
        self.engine.compromises.follower.finish()
        self._compromised(findings)
        return findings

    def _compromised(self, findings: list[Finding]) -> None:
        """Take what was found about accounts; once for many frames, since it is rare."""
        found = self.engine.compromises.found
        if found:
            self.stats.compromised += sum(one.kind == "found" for one in found)
            findings += found
            found.clear()

    def _ringing_now(self, source: bytes, _later: float) -> bool:
        """At the end of a capture: whether a call of the source rang when it ended."""
        return self.engine.ringing(source, self._time)

    def use_rules(self, rules: Sequence[Rule]) -> None:
        """Work with these rules from now on."""
        self.engine.use(rules)

    def use_settings(
        self, detect: DetectSettings, policy: PolicySettings, local: Iterable[bytes], now: float
    ) -> list[Change]:
        """Work with these settings from now on; gives the ends of bans of what is a server now.

        Raises ConfigError, and changes nothing, when a server is no address.
        """
        servers = detect.addresses().union(local)
        fresh = servers - self.servers.known
        self.servers.use(servers, learn=detect.learn_servers)
        self.engine.use_settings(detect)
        self.policy.settings = policy
        changes: list[Change] = []
        for server in sorted(fresh):
            changes += self.blocklist.remove(Network.host(server), now, "one of our own servers")
        return changes

    def ban(
        self,
        network: Network,
        now: float,
        wall: float,
        *,
        duration: float,
        reason: str = "",
        origin: str = "cli",
        scenario: str = "manual",
        kind: str = BAN,
        ports: tuple[Port, ...] = (),
    ) -> list[Change]:
        """Ban or limit on an operator's word; raises InputError when that must not be."""
        self.blocklist.check(network)
        entry = self.allowlist.covers_network(network)
        if entry is not None:
            raise InputError(f"{network} is allowlisted ({entry.reason or entry.value})")
        for server in self.servers.known - self.servers.learned:
            if network.contains(Network.host(server)):
                raise InputError(f"{network} holds our own server {unpack(server)}")
        self._made += 1
        identity = f"{self.origin}-{int(wall * 1000):x}-m{self._made:x}"
        return self.blocklist.add(
            Decision(
                network, scenario, origin, Proof.PROVEN, wall, now + duration, duration, identity,
                reason, kind, ports=ports,
            ),
            now,
        )  # fmt: skip

    def good(self, address: bytes) -> Why | None:
        """What speaks here against an unproven ban of an address; None when nothing does."""
        if self.engine.trusted(address, self._time):
            return Why.TRUSTED
        return Why.RINGING if self.engine.ringing(address, self._time) else None

    @property
    def time(self) -> float:
        """Event time: of the last frame, or of the last tick."""
        return self._time

    def verdicts(self, address: bytes) -> Sequence[Verdict]:
        """What was decided of late about an address, the newest last."""
        return tuple(self._alerted.get(address) or ())

    def _ticked(self, time: float, now: float, findings: list[Finding]) -> None:
        self._next_tick = time + TICK
        self._time = max(self._time, time)
        self._alerted.tick(time)
        self.engine.tick(time)
        findings += self.blocklist.expire(now)
        findings += self.blocklist.pardon(partial(self.engine.trusted, time=time), now)
        for event in self.tracker.tick(time):
            self._observe(event, now, findings)
        for ruling in self.policy.tick(time, now, self.engine.trusted, self.engine.ringing):
            self._rule(ruling, now, findings)

    def _datagram(self, datagram: Datagram, now: float, findings: list[Finding]) -> None:
        stats = self.stats
        if datagram[3] in self._banned and self.engine.compromises.dull(datagram, self.engine.sources):
            self._time = datagram[0]
            stats.responses += 1
            self.tracker.stats.unmatched_responses += 1
            return
        try:
            message = parse_message(datagram[6])
        except RemoteError as error:
            stats.errors[error.reason] += 1
            self._observe(SipEvent(Kind.MALFORMED, datagram, None), now, findings)
            return
        self._time = datagram[0]
        defects = message.defects
        if defects:
            stats.errors.update(defects)
        event: SipEvent | None
        if isinstance(message, Request):
            stats.requests += 1
            event = self.tracker.request(datagram, message)
        else:
            stats.responses += 1
            event = self.tracker.response(datagram, message)
            if event is None:
                return
        alerts = self.engine.observe(event)
        if alerts:
            self._decide(alerts, now, findings)
        for follow in self.followers:
            follow(event, now)
        if defects and defects != EXTENSION and isinstance(message, Request):
            self._observe(event.then(Kind.MALFORMED, datagram.time, None, 0), now, findings)

    def _observe(self, event: SipEvent, now: float, findings: list[Finding]) -> None:
        self._decide(self.engine.observe(event), now, findings)

    def _decide(self, alerts: Sequence[Alert], now: float, findings: list[Finding]) -> None:
        for alert in alerts:
            self.stats.alerts += 1
            credit = self.engine.credit(alert.source, alert.time)
            known = self.blocklist.match(alert.source, now)
            standing = known if known is not None and known.proof is Proof.PROVEN else None
            ruling = self.policy.decide(alert, now, credit=credit, standing=standing)
            self._rule(ruling, now, findings)

    def _rule(self, ruling: Ruling, now: float, findings: list[Finding]) -> None:
        changes: list[Change] = []
        if ruling.decision is not None:
            changes = self.blocklist.add(ruling.decision, now)
            self.stats.bans += bool(changes)
        record = self.engine.sources.get(ruling.alert.source)
        messages = record.messages if record is not None else ruling.alert.messages
        verdict = Verdict(
            ruling.alert, ruling.decision, tuple(changes), ruling.why, messages,
            waits=ruling.waits, again=ruling.again,
        )  # fmt: skip
        self._keep(verdict)
        findings.append(verdict)

    def _keep(self, verdict: Verdict) -> None:
        """Remember a verdict for ``show``, in place of one about the same that waited for more."""
        alert = verdict.alert
        kept = self._alerted.get(alert.source)
        if kept is None:
            kept = deque(maxlen=ALERTS_PER_SOURCE)
            self._alerted.put(alert.source, kept)
        for before in kept:
            if before.waits and before.alert.scenario == alert.scenario:
                kept.remove(before)
                break
        kept.append(verdict)
