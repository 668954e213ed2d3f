"""Policy: turns an alert into a decision, or says why not.

The order is: allowlist, proof of the source's address, trust that it has earned, then the length of the
ban. Proven evidence against a trusted source leads to a limit, while its credit lasts. Evidence that
could be forged leads to a short ban at most, never against a source with good traffic; and when many
new sources show the same fingerprint at once, somebody forges addresses: then none of them is banned
and the flood is reported.

Credit is used up: each earlier proven decision about a source within ``escalation_memory`` halves what
its credit is worth. MAX_CREDIT is below 2^7 and a half is needed, so after eight limits comes the ban.

Sans-IO. Alerts carry event time; ``now`` is node time (see docs/architecture.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from shield.blocklist.allowlist import Allowlist
from shield.blocklist.decision import BAN, LIMIT, Decision
from shield.blocklist.floods import Floods
from shield.blocklist.policy_settings import PolicySettings
from shield.detect.alert import Alert, Proof
from shield.detect.report import QUIET_TIME
from shield.detect.sources import ENOUGH
from shield.net import Network
from shield.sip.recent import RecentMap

__all__ = ["LIMITED", "Policy", "Ruling"]

MAX_HELD = 10_000
"""Alerts waiting for their hold time; beyond, an alert is judged at once."""
MAX_REMEMBERED = 100_000
"""Addresses whose earlier bans are remembered for escalation."""
MAX_RINGING = 60.0
"""A ringing call delays a ban by this many seconds at most: a scanner can let phones ring for ever."""
SAME_OFFENCE = QUIET_TIME
"""Seconds from a limit on in which further proven alerts are about what led to it: other rules see it
too, and each rule speaks of a source once in so many seconds."""

ALLOWLISTED = "allowlisted"
TRUSTED = "trusted source, and the evidence could be forged"
LIMITED = "; limited, for good users are there too"
TAKEN_BACK = "the ban was taken back while it waited"
FLOOD = "one of many new sources with the same look: a forged flood"


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
    limited: int = 0
    """Limits in place of bans."""
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
        self._floods = Floods()
        self._bans: RecentMap[Network, tuple[int, float]] = RecentMap(
            MAX_REMEMBERED, settings.escalation_memory
        )

    def remember(self, network: Network, bans: int, wall: float) -> None:
        """Note ``bans`` earlier bans of a value, the last at ``wall`` (from the journal)."""
        self._bans.put(network, (bans, wall))

    def decide(
        self, alert: Alert, now: float, *, credit: float, standing: Decision | None = None
    ) -> Ruling:
        """Judge one alert; a held one comes back from ``tick``.

        ``credit`` is what is left of the credit that the source has earned. ``standing``: the proven
        decision about it that is in force. If it is a ban this is the same offence seen by one more
        rule, or an answer to what the source sent before, and no repetition.
        """
        if self._allowlist.covers(alert.source) is not None:
            self.stats.allowlisted += 1
            return Ruling(alert, None, ALLOWLISTED)
        if alert.proof is Proof.PROVEN:
            self._held.pop((alert.source, alert.scenario), None)
            return self._proven(alert, now, credit, standing)
        if credit >= ENOUGH:
            self.stats.trusted += 1
            return Ruling(alert, None, TRUSTED)
        forged, full = self._floods.note(alert, self.settings)
        self.stats.floods = self._floods.seen
        if full:
            for key in [key for key in self._held if key[1] == alert.scenario]:
                self._let_go.append(Ruling(self._held.pop(key)[1], None, FLOOD, again=True))
        if forged:
            self.stats.forged_flood += 1
            return Ruling(alert, None, FLOOD)
        if not alert.repeated:
            self.stats.held += 1
            if len(self._held) < MAX_HELD:
                self._held.setdefault((alert.source, alert.scenario), (alert.time, alert))
                wait = f"waits {self.settings.hold_time:.0f} s for a forged flood"
                return Ruling(alert, None, wait, waits=True)
        self._held.pop((alert.source, alert.scenario), None)
        return self._unproven(alert, alert.time, now)

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
            if self._floods.under_way(alert.scenario, alert.time):
                rulings.append(Ruling(alert, None, FLOOD, again=True))
            elif time - alert.time < MAX_RINGING and ringing(alert.source, time):
                self._held[key] = (time, alert)
            elif self._allowlist.covers(alert.source) is not None:
                rulings.append(Ruling(alert, None, ALLOWLISTED, again=True))
            elif trusted(alert.source, time):
                rulings.append(Ruling(alert, None, TRUSTED, again=True))
            else:
                rulings.append(replace(self._unproven(alert, time, now), again=True))
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

    def _proven(self, alert: Alert, now: float, credit: float, standing: Decision | None) -> Ruling:
        """A limit while the credit lasts, else a ban."""
        banned = standing is not None and standing.type == BAN
        host = Network.host(alert.source)
        if credit and not banned:
            before, last = self._before(host, alert.time)
            same = standing is not None and before > 0 and alert.time - last < SAME_OFFENCE
            if credit * 0.5 ** (before - same) >= ENOUGH:
                self.stats.limited += 1
                repeats = self._count(host, alert.time, same=same)
                return self._ruling(alert, now, host, repeats, kind=LIMIT)
        network = self._network(alert)
        return self._ruling(alert, now, network, self._count(network, alert.time, same=banned))

    def _before(self, network: Network, time: float) -> tuple[int, float]:
        """How many proven decisions about a network are remembered, and when the last offence began."""
        repeats, last = self._bans.get(network) or (0, 0.0)
        return (0, 0.0) if time - last > self.settings.escalation_memory else (repeats, last)

    def _count(self, network: Network, time: float, *, same: bool) -> int:
        """Remember a proven decision; how many there were before. ``same``: it is no further offence."""
        before, last = self._before(network, time)
        if before and same:
            before, time = before - 1, last
        self._bans.put(network, (before + 1, time))
        return before

    def _unproven(self, alert: Alert, time: float, now: float) -> Ruling:
        """A ban at event time ``time``, which is later than the alert when that had to wait."""
        return self._ruling(alert, now, self._network(alert), 0, time=time)

    def _ruling(
        self,
        alert: Alert,
        now: float,
        network: Network,
        repeats: int,
        *,
        kind: str = BAN,
        time: float | None = None,
    ) -> Ruling:
        """The decision of an alert, made at its own time or at ``time``."""
        at = alert.time if time is None else time
        if alert.proof is Proof.PROVEN:
            duration = self._escalated(alert.ban_time, repeats)
        else:
            duration = min(alert.ban_time, self.settings.unproven_ban_time)
        self._made += 1
        decision = Decision(
            network=network,
            scenario=alert.scenario,
            origin=self.origin,
            proof=alert.proof,
            time=at,
            until=now + duration,
            duration=duration,
            id=f"{self.origin}-{int(at * 1000):x}-{self._made:x}",
            reason=_reason(alert) + (LIMITED if kind == LIMIT else ""),
            type=kind,
            repeats=repeats,
            ports=alert.ports if kind == LIMIT else (),
        )
        return Ruling(alert, decision, decision.reason)


def _reason(alert: Alert) -> str:
    proof = (
        "proven by " + ", ".join(alert.proofs) if alert.proof is Proof.PROVEN else "address not proven"
    )
    details = dict(alert.details)
    agent = f", user agent {details['user_agent']}" if "user_agent" in details else ""
    return f"{details.get('rule', alert.scenario)} ({alert.count} counted, {proof}{agent})"
