"""Policy: turns an alert into a decision, or says why not.

The order is: allowlist, trust that the source has earned, proof of its address, then the length of
the ban. Evidence that could be forged leads to a short ban at most, never against a source with good
traffic; and when many new sources show the same fingerprint at once, somebody forges addresses:
then none of them is banned and the flood is reported.

Sans-IO. Alerts carry event time; ``now`` is node time (see docs/architecture.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from shield.blocklist.allowlist import Allowlist
from shield.blocklist.decision import Decision
from shield.detect.alert import Alert, Proof
from shield.detect.window import Window
from shield.errors import ConfigError
from shield.net import Network
from shield.sip.recent import RecentMap

__all__ = ["Policy", "PolicySettings", "Ruling"]

MAX_HELD = 10_000
"""Alerts waiting for their hold time; beyond, an alert is judged at once."""
MAX_REMEMBERED = 100_000
"""Addresses whose earlier bans are remembered for escalation."""
MAX_RINGING = 60.0
"""A ringing call delays a ban by this many seconds at most: a scanner can let phones ring for ever."""
FEW_MESSAGES = 5
"""A source with more requests than this is no stray packet of a forged flood."""

ALLOWLISTED = "allowlisted"
TRUSTED = "trusted source, and the evidence could be forged"
TAKEN_BACK = "the ban was taken back while it waited"
FLOOD = "one of many new sources with the same look: a forged flood"


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """How long bans last and what weak evidence may do."""

    unproven_ban_time: float = 300.0
    """Seconds of a ban whose evidence could be forged."""
    max_ban_time: float = 604_800.0
    """Seconds that a ban never exceeds, however often it was repeated."""
    escalation: float = 4.0
    """Each earlier proven ban of the same address makes the next one longer by this factor."""
    escalation_memory: float = 604_800.0
    """Seconds for which an earlier ban counts."""
    hold_time: float = 10.0
    """Seconds of event time that a single suspicious message waits before its source is banned."""
    flood_sources: int = 8
    """More new sources than this with one fingerprint inside hold_time are a forged flood."""
    flood_time: float = 60.0
    """Seconds for which unproven bans of a fingerprint stop after a forged flood was seen."""

    def __post_init__(self) -> None:
        for name in (
            "unproven_ban_time",
            "max_ban_time",
            "escalation_memory",
            "hold_time",
            "flood_time",
        ):
            if getattr(self, name) <= 0:
                raise ConfigError(f"policy.{name}: must be above 0")
        if self.escalation < 1:
            raise ConfigError("policy.escalation: must be 1 or more")
        if self.flood_sources < 1:
            raise ConfigError("policy.flood_sources: must be 1 or more")


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the policy says about an alert."""

    alert: Alert
    decision: Decision | None
    why: str
    """One line: the reason of the decision, or why there is none."""
    waits: bool = False
    """Nothing is decided yet: ``tick`` will give another ruling about the alert."""
    again: bool = False
    """The last word about an alert that waited."""


@dataclass(slots=True)
class PolicyStats:
    """Alerts that led to no ban, by reason, and floods seen."""

    allowlisted: int = 0
    trusted: int = 0
    forged_flood: int = 0
    held: int = 0
    floods: int = 0


class Policy:
    """See the module's docstring."""

    def __init__(
        self,
        settings: PolicySettings,
        allowlist: Allowlist,
        origin: str,
        clean: Callable[[bytes], bool] = lambda _source: True,
    ) -> None:
        self.settings = settings
        self.stats = PolicyStats()
        self._allowlist = allowlist
        self._clean = clean
        """Whether nobody good is in the /24 or /64 of an address."""
        self.origin = origin
        """Name of the node in its decisions."""
        self._made = 0
        self._held: dict[tuple[bytes, str], tuple[float, Alert]] = {}
        self._let_go: list[Ruling] = []
        """About alerts that no longer wait because a forged flood showed itself."""
        self._crowds: dict[str, Window] = {}
        self._floods: dict[str, float] = {}
        self._bans: RecentMap[Network, tuple[int, float]] = RecentMap(
            MAX_REMEMBERED, settings.escalation_memory
        )

    def remember(self, network: Network, bans: int, wall: float) -> None:
        """Note ``bans`` earlier bans of a value, the last at ``wall`` (from the journal)."""
        self._bans.put(network, (bans, wall))

    def decide(self, alert: Alert, now: float, *, trusted: bool, banned: bool = False) -> Ruling:
        """Judge one alert; a held one comes back from ``tick``.

        ``banned``: a proven ban of the source is in force, so this is the same offence seen by one more
        rule, or an answer to what it sent before, and no repetition.
        """
        if self._allowlist.covers(alert.source) is not None:
            self.stats.allowlisted += 1
            return Ruling(alert, None, ALLOWLISTED)
        if alert.proof is Proof.PROVEN:
            self._held.pop((alert.source, alert.scenario), None)
            return self._ban(alert, alert.time, now, banned=banned)
        if trusted:
            self.stats.trusted += 1
            return Ruling(alert, None, TRUSTED)
        if self._flooded(alert):
            self.stats.forged_flood += 1
            return Ruling(alert, None, FLOOD)
        if not alert.repeated:
            self.stats.held += 1
            if len(self._held) < MAX_HELD:
                self._held.setdefault((alert.source, alert.scenario), (alert.time, alert))
                wait = f"waits {self.settings.hold_time:.0f} s for a forged flood"
                return Ruling(alert, None, wait, waits=True)
        self._held.pop((alert.source, alert.scenario), None)
        return self._ban(alert, alert.time, now)

    def tick(
        self,
        time: float,
        now: float,
        trusted: Callable[[bytes, float], bool],
        ringing: Callable[[bytes, float], bool] = lambda _source, _time: False,
    ) -> list[Ruling]:
        """Give the last word about held alerts whose time has come; ``time`` is event time.

        While a call of the source rings it waits on: it may be answered and the source be trusted.
        """
        rulings, self._let_go = self._let_go, []
        while self._held:
            key, (since, alert) = next(iter(self._held.items()))
            if time - since < self.settings.hold_time:
                break
            del self._held[key]
            if self._floods.get(alert.scenario, 0.0) > alert.time:
                rulings.append(Ruling(alert, None, FLOOD, again=True))
            elif time - alert.time < MAX_RINGING and ringing(alert.source, time):
                self._held[key] = (time, alert)
            elif self._allowlist.covers(alert.source) is not None:
                rulings.append(Ruling(alert, None, ALLOWLISTED, again=True))
            elif trusted(alert.source, time):
                rulings.append(Ruling(alert, None, TRUSTED, again=True))
            else:
                rulings.append(replace(self._ban(alert, time, now), again=True))
        return rulings

    def forget(self, networks: Iterable[Network]) -> None:
        """Drop the held alerts of sources in these networks: their ban was taken back a moment ago."""
        if not self._held:
            return
        found = list(networks)
        hosts = {network.address for network in found if network.is_host}
        wide = [network for network in found if not network.is_host]
        for key in list(self._held):
            source = key[0]
            if source in hosts or any(network.contains(Network.host(source)) for network in wide):
                _, alert = self._held.pop(key)
                self._let_go.append(Ruling(alert, None, TAKEN_BACK, again=True))

    def _flooded(self, alert: Alert) -> bool:
        """Whether this alert is part of a flood of forged sources with one fingerprint."""
        if not (alert.fingerprint or alert.sources > 1) or alert.messages > FEW_MESSAGES:
            return False
        name, time = alert.scenario, alert.time
        crowd = self._crowds.setdefault(name, Window())
        limit = self.settings.flood_sources + 1
        sources, _ = crowd.add(
            hash(alert.source), time, proven=False, limit=limit, find_time=self.settings.hold_time
        )
        if sources >= limit:
            if self._floods.get(name, 0.0) <= time:
                self.stats.floods += 1
            self._floods[name] = time + self.settings.flood_time
            for key in [key for key in self._held if key[1] == name]:
                self._let_go.append(Ruling(self._held.pop(key)[1], None, FLOOD, again=True))
        return self._floods.get(name, 0.0) > time

    def _escalated(self, ban_time: float, repeats: int) -> float:
        try:
            longer = ban_time * self.settings.escalation**repeats
        except OverflowError:  # after some hundred bans
            longer = self.settings.max_ban_time
        return min(longer, self.settings.max_ban_time)

    def _network(self, alert: Alert) -> Network:
        """What to ban: the network that the rule asks for, if it holds nobody good; else the source.

        Asked when the ban comes and not when the alert did: somebody may have logged in while it waited.
        """
        if alert.length is not None and self._clean(alert.source):
            network = Network.around(alert.source, alert.length)
            if not self._allowlist.overlaps(network):
                return network
        return Network.host(alert.source)

    def _ban(self, alert: Alert, time: float, now: float, *, banned: bool = False) -> Ruling:
        network = self._network(alert)
        repeats, time_of_ban = 0, time
        if alert.proof is Proof.PROVEN:
            repeats, last = self._bans.get(network) or (0, 0.0)
            if time - last > self.settings.escalation_memory:
                repeats = 0
            elif repeats and banned:
                repeats, time_of_ban = repeats - 1, last
            duration = self._escalated(alert.ban_time, repeats)
            self._bans.put(network, (repeats + 1, time_of_ban))
        else:
            duration = min(alert.ban_time, self.settings.unproven_ban_time)
        self._made += 1
        decision = Decision(
            network=network,
            scenario=alert.scenario,
            origin=self.origin,
            proof=alert.proof,
            time=time,
            until=now + duration,
            duration=duration,
            id=f"{self.origin}-{int(time * 1000):x}-{self._made:x}",
            reason=_reason(alert),
            repeats=repeats,
        )
        return Ruling(alert, decision, decision.reason)


def _reason(alert: Alert) -> str:
    proof = (
        "proven by " + ", ".join(alert.proofs) if alert.proof is Proof.PROVEN else "address not proven"
    )
    details = dict(alert.details)
    agent = f", user agent {details['user_agent']}" if "user_agent" in details else ""
    return f"{details.get('rule', alert.scenario)} ({alert.count} counted, {proof}{agent})"
